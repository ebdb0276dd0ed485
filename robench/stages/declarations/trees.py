"""Gradient-boosted trees beside the network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from robench.spec import Cell, StageOptions
from robench.spec.base import Frozen
from robench.stages.base import Context, MetricInfo, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import tables

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["Trees", "TreesDetails", "TreesOptions"]


class TreesOptions(StageOptions):
    """Gradient-boosted trees beside the network, on tabular data only."""

    library: Literal["scikit-learn", "lightgbm"] = "scikit-learn"
    most_rounds: Annotated[int, Field(ge=1)] = 300
    """The validation split chooses how many of these rounds of boosting are kept."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    leaves: Annotated[int, Field(ge=2)] = 31
    """The most leaves that a tree may have."""


class TreesDetails(Frozen):
    """What the record says beside the metrics."""

    importance: dict[str, tuple[tuple[str, float], ...]]
    """Of ``network`` and ``trees``: features with their shares, the most important first."""


class Trees(Stage[TreesOptions]):
    """Gradient-boosted trees beside the network, on tables: alone and together."""

    name = "trees"
    Options = TreesOptions
    Details = TreesDetails
    imports = ("robench.stages.trees",)
    metrics = (
        MetricInfo(
            "trees_unused_inputs",
            "inputs that the trees do not use",
            "Features whose values change no answer of the trees.",
            unit="share",
            bounds=(0.0, 1.0),
        ),
        MetricInfo(
            "importance_entropy",
            "entropy of importances",
            "Over how many features the importances of the network spread, in bits.",
            bounds=(0.0, math.inf),
        ),
        MetricInfo(
            "trees_importance_entropy",
            "entropy of the trees' importances",
            "The same of the trees.",
            bounds=(0.0, math.inf),
        ),
        MetricInfo(
            "importance_divergence",
            "divergence from the trees",
            "Whether the same features matter to both, in bits: 0 the same, 1 none in common.",
            bounds=(0.0, 1.0),
        ),
        MetricInfo(
            "ensemble_weight",
            "weight in the ensemble",
            "The network's share of the mean of its answers and the trees'.",
            unit="share",
            bounds=(0.0, 1.0),
        ),
    )

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To tables."""
        return tables(data)

    def resolve(self, asked: TreesOptions, premises: Premises) -> TreesOptions:
        """The same, once it is sure that the library is installed."""
        from robench.measure.boosting import check_library

        del premises
        check_library(asked.library)
        return asked

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.trees.trees`."""
        from robench.stages.trees import trees

        return trees(cell, context)
