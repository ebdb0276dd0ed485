"""Networks that were trained on noise, by data set, network and recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from robench.analysis import table
from robench.analysis.transfer import distortions_of, transfer_matrix
from robench.claims.base import Evidence
from robench.reference.published_transfer import PUBLISHED_LEVELS
from robench.spec import Distortion

__all__ = ["Protocol", "ahead", "mean", "of_seeds", "protocols"]

_KEY = ["data", "model", "recipe"]


@dataclass(frozen=True)
class Protocol:
    """All networks of one data set, network and recipe.

    Attributes:
        name: for people.
        frame: long table of their records.
        distortions: what stands behind the name of each training.
        chance: accuracy of guessing.
    """

    name: str
    frame: pd.DataFrame
    distortions: Mapping[str, Distortion | None]
    chance: float

    @cached_property
    def at_published_levels(self) -> pd.DataFrame:
        """Accuracy by training and test, at one level of each kind."""
        return transfer_matrix(self.frame, at=PUBLISHED_LEVELS)

    @cached_property
    def over_levels(self) -> pd.DataFrame:
        """The same, mean over levels."""
        return transfer_matrix(self.frame)


def protocols(evidence: Evidence) -> Iterator[Protocol]:
    """One after the other; none where no network was shown degraded images."""
    frame = table(evidence.records)
    distortions = distortions_of(evidence.records)
    chance = _chance(evidence)
    steps = _steps(frame)
    own = frame[(frame["role"] == "result") & (frame["stage"] == "degrade")]
    for key in own[_KEY].drop_duplicates().itertuples(index=False, name=None):
        of = frame[(frame[_KEY] == list(key)).all(axis=1)]
        data, model, recipe = map(str, key)
        name = f"{data} · {model} · {steps.get(recipe, '?')} steps"
        yield Protocol(name, of, distortions, chance.get(of["data_name"].iloc[0], float("nan")))


def _chance(evidence: Evidence) -> dict[str, float]:
    """One over the number of classes, by data set."""
    found: dict[str, float] = {}
    for record in evidence.records:
        data = record.cell.data.name
        if data not in found and record.cell.stage == "train" and record.status == "ok":
            logits = evidence.arrays(record.id, ("logits",)).get("logits")
            if logits is not None:
                found[data] = 1 / logits.shape[1]
    return found


def _steps(frame: pd.DataFrame) -> dict[str, str]:
    """How long the dense networks of each recipe were trained, by themselves."""
    own = frame[(frame["metric"] == "steps") & frame["is_dense"]]
    return {
        str(recipe): f"{(of[of['role'] == 'start']['value'].max()):.0f} + "
        f"{of[of['role'] == 'result']['value'].max():.0f}"
        for recipe, of in own.groupby("recipe")
    }


def of_seeds(frame: pd.DataFrame, column: str = "value", **where: str) -> dict[int, float]:
    """Seed → value of the one row a seed that is of these."""
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return dict(zip(frame["seed"].astype(int), frame[column].astype(float), strict=True))


def mean(values: Mapping[int, float]) -> str:
    """The mean over seeds, for people."""
    return f"{sum(values.values()) / len(values):.3f}" if values else "missing"


def ahead(a: Mapping[int, float], b: Mapping[int, float]) -> Sequence[float]:
    """`a` - `b` of the seeds that both have."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
