"""Noise of a generator that is trained against the finished network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from robench.spec import Cell, StageOptions
from robench.stages.base import Context, FlaggedDetails, MetricInfo, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import classified_images

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["ResolvedWorstNoiseOptions", "WorstNoise", "WorstNoiseDetails", "WorstNoiseOptions"]


class WorstNoiseOptions(StageOptions):
    """Noise of a generator that is trained against the finished network."""

    generator: Literal["adversarial-noise", "adversarial-noise-3x3"] = "adversarial-noise"
    steps: Annotated[int, Field(ge=1)] = 200
    """Of the generator; it was published with at most 1,000."""
    rms: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Root mean square of the noise that it learns with; left out it is that of the data set, half
    the way from an image to a blank one. Published for ImageNet is 0.348."""
    samples: Annotated[int, Field(ge=1)] | None = None


class ResolvedWorstNoiseOptions(WorstNoiseOptions):
    """`WorstNoiseOptions` as a cell has them."""

    version: int
    """Raised whenever the noise or the search changes."""


class WorstNoiseDetails(FlaggedDetails):
    """What the record says beside the metrics."""

    generator: str
    steps: int
    """That it was trained for."""
    rms: float
    """Root mean square of the noise that it learnt with."""
    noise: dict[str, dict[str, Any]]
    """Of ``worst`` and ``white`` noise, what it leaves of the images."""
    images_misled: dict[str, int]


class WorstNoise(Stage[WorstNoiseOptions]):
    """The distance at which noise misleads the network, trained against it and white."""

    name = "worst_noise"
    Options = WorstNoiseOptions
    Details = WorstNoiseDetails
    imports = ("robench.stages.worst_noise",)
    metrics = (
        MetricInfo(
            "worst_noise_l2",
            "worst noise",
            "Median over the correctly classified test images of the l2 distance at which the "
            "network errs along noise of a generator that was trained against it.",
            unit="l2",
            bounds=(0.0, math.inf),
            better="higher",
        ),
        MetricInfo(
            "white_noise_l2",
            "white noise",
            "The same along white noise.",
            unit="l2",
            bounds=(0.0, math.inf),
            better="higher",
        ),
    )

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To images of classes."""
        return classified_images(data)

    def resolve(self, asked: WorstNoiseOptions, premises: Premises) -> ResolvedWorstNoiseOptions:
        """The version of the noise."""
        from robench.training.worst_noise import WORST_NOISE_VERSION

        del premises
        return ResolvedWorstNoiseOptions(**dict(asked), version=WORST_NOISE_VERSION)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.worst_noise.worst_noise`."""
        from robench.stages.worst_noise import worst_noise

        return worst_noise(cell, context)
