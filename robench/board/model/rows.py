"""The rows of the leaderboard: one network under one training, method and level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from robench.analysis.levels import shows_own_picture
from robench.board.model.comparable import ROW
from robench.board.model.corrupted import corruption_errors
from robench.board.model.dense_parent import ArraysOf, no_arrays
from robench.board.model.details import flagged_stages
from robench.board.model.estimates import Estimate
from robench.board.model.flags import (
    Flag,
    attack_records,
    flags_of,
    protocols_of,
    ranked_protocols,
    records_of,
    warnings_in,
)
from robench.board.model.measured import FRACTION, RowKey, by_key, key_of, measured, others_of
from robench.board.model.quality import (
    ACCURACY,
    R2,
    Quality,
    against_dense,
    estimated,
    qualities_of,
)
from robench.board.model.versions import Method
from robench.stats.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd

    from robench.spec import Record

__all__ = ["FAR_BELOW_DENSE", "Kinds", "Row", "rows_of"]

FAR_BELOW_DENSE = 0.2
"""How much accuracy or R² a network may lose against its dense control before its robustness is no
longer ranked: a network that errs on most inputs is only asked about those that are easy."""


@dataclass(frozen=True)
class Kinds:
    """How many kinds of degradation or corruption a mean is over."""

    count: int
    of: int
    """The most that any row of the panel has."""

    @property
    def told(self) -> str:
        """In words."""
        if self.count < self.of:
            return f"mean over {self.count} of {self.of} kinds, so that it is not ranked"
        return "1 kind" if self.count == 1 else f"mean over {self.count} kinds"


@dataclass(frozen=True)
class Row:
    """Everything that is known about one row; what was not measured is `None`."""

    panel: str
    data: str
    model: str
    training: str
    method: str
    """The label of the method, of `kind`."""
    level: float
    """The requested level."""
    kind: Method
    version: int = 1
    """Of the method: all numbers of the row are of this one."""
    data_name: str = ""
    """Of the data set's plug-in, without its parameters."""
    level_achieved: Estimate | None = None
    measure: Quality = ACCURACY
    """What `quality` is: accuracy, or R² where the networks predict a number."""
    quality: Estimate | None = None
    against_dense: Estimate | None = None
    """Quality minus that of the dense network of the same seed."""
    ensemble: Estimate | None = None
    """Quality of the network together with boosted trees."""
    trees: Estimate | None = None
    """Quality of those trees alone, the same for all networks of a panel."""
    median_l2: Estimate | None = None
    l2_area: Estimate | None = None
    """Mean accuracy over l2 radii up to a limit that is the data set's."""
    attack: str = ""
    """Attack suite and number of images of these distances."""
    attack_is_ranked: bool = True
    """Whether they are those of the other rows of the panel, so that distances compare."""
    degraded: Estimate | None = None
    """Accuracy on degraded images: the mean over kinds of the mean over levels."""
    corruption_error: Estimate | None = None
    """Errors under corruptions, as a multiple of those of the dense network of the same seed."""
    macs_ratio: Estimate | None = None
    speedup: Estimate | None = None
    batch_size: int | None = None
    """At which the speed-up was measured: the largest there is."""
    flags: tuple[Flag, ...] = ()
    kinds: Mapping[str, Kinds] = field(default_factory=dict)
    """By stage, ``degrade`` and ``corrupt``: what `degraded` and the corruption errors are over."""
    others: Mapping[str, Estimate] = field(default_factory=dict)
    """What stages declare besides, by `robench.board.model.measured.Declared.key`."""

    @property
    def accuracy(self) -> Estimate | None:
        """The quality of a network that tells classes apart."""
        return self.quality if self.measure is ACCURACY else None

    @property
    def r2(self) -> Estimate | None:
        """The quality of a network that predicts a number."""
        return self.quality if self.measure is R2 else None

    @property
    def is_far_below_dense(self) -> bool:
        """Whether it lost more than `FAR_BELOW_DENSE` of the dense network's accuracy or R²."""
        lost = self.against_dense.value if self.against_dense is not None else None
        return lost is not None and lost < -FAR_BELOW_DENSE

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why its robustness to images is not ranked; empty where it is."""
        return ("its accuracy is far below dense",) if self.is_far_below_dense else ()

    @property
    def attack_doubts(self) -> tuple[str, ...]:
        """Why its robustness to attacks is not ranked; empty where it is."""
        names = ", ".join(flag.name for flag in warnings_in(self.flags))
        return (*((f"flags were raised ({names})",) if names else ()), *self.doubts)

    @property
    def seeds(self) -> int:
        """How many seeds have a trained network."""
        return self.quality.seeds if self.quality is not None else 0

    @property
    def model_label(self) -> str:
        """The model, with what else tells two panels of one data set and model apart."""
        return self.panel.removeprefix(f"{self.data} · ")

    @property
    def key(self) -> RowKey:
        """What tells it from the other rows."""
        return (self.panel, self.training, self.method, self.level)


def rows_of(
    frame: pd.DataFrame, records: Iterable[Record], arrays: ArraysOf = no_arrays
) -> list[Row]:
    """All rows, whether anything was measured or not, in the order of their keys."""
    results = frame[frame["role"] == "result"]
    places = results.drop_duplicates(ROW).sort_values(ROW).to_dict("records")
    columns = _columns(frame, arrays)
    attacks = attack_records(records, frame)
    flags = flags_of(records_of(flagged_stages(), records, frame))
    protocols = protocols_of(attacks)
    ranked = ranked_protocols(protocols)
    measures = qualities_of(frame)
    others = others_of(frame)
    kinds = _kinds_of(frame)
    batch_sizes = _largest_batch(measured(frame, "speed", "speedup"))
    return [
        Row(
            panel=place["panel"],
            data=place["data"],
            model=place["model"],
            training=place["training"],
            method=place["method"],
            level=place["level"],
            kind=Method(place["method"], place["method_name"]),
            version=int(place["method_version"]),
            data_name=place["data_name"],
            batch_size=batch_sizes.get(place["panel"]),
            measure=measures[place["panel"]],
            flags=flags.get(key, ()),
            attack=protocols.get(key, ""),
            attack_is_ranked=protocols.get(key) == ranked.get(key[0]),
            kinds=kinds.get(key, {}),
            others=others.get(key, {}),
            **{name: column.get(key) for name, column in columns.items()},
        )
        for place in places
        for key in [key_of(place)]
    ]


def _columns(frame: pd.DataFrame, arrays: ArraysOf) -> dict[str, Mapping[RowKey, Estimate]]:
    """Each column of the leaderboard, by the key of the row."""
    speedup = measured(frame, "speed", "speedup")
    largest = speedup["panel"].map(_largest_batch(speedup))
    return {
        "level_achieved": by_key(measured(frame, "train", "level_achieved"), bounds=FRACTION),
        "quality": estimated(frame),
        "against_dense": against_dense(frame),
        "ensemble": estimated(frame, "ensemble_"),
        "trees": estimated(frame, "trees_"),
        "median_l2": by_key(measured(frame, "attack", "median_l2"), bounds=(0.0, float("inf"))),
        "l2_area": by_key(measured(frame, "attack", "l2_area_share"), bounds=FRACTION),
        "degraded": by_key(_mean_over_degradations(frame), bounds=FRACTION),
        "corruption_error": by_key(corruption_errors(frame, arrays), geometric=True),
        "macs_ratio": by_key(measured(frame, "speed", "operation_ratio"), geometric=True),
        "speedup": by_key(
            speedup[speedup["batch_size"] == largest] if len(speedup) else speedup, geometric=True
        ),
    }


def _kinds_of(frame: pd.DataFrame) -> dict[RowKey, dict[str, Kinds]]:
    """How many kinds each row was shown; of several seeds the fewest."""
    found: dict[RowKey, dict[str, Kinds]] = {}
    for stage in ("degrade", "corrupt"):
        each = measured(frame, stage, "accuracy")
        if each.empty:
            continue
        counts = each.groupby([*ROW, "seed"])["kind"].nunique().groupby(ROW).min().reset_index()
        most = counts.groupby("panel")["kind"].max()
        for row in counts.to_dict("records"):
            kinds = Kinds(int(row["kind"]), int(most[row["panel"]]))
            found.setdefault(key_of(row), {})[stage] = kinds
    return found


def _largest_batch(speedup: pd.DataFrame) -> dict[str, int]:
    if speedup.empty:
        return {}
    largest = speedup.groupby("panel")["batch_size"].max()
    return {str(panel): int(size) for panel, size in largest.items()}


def _mean_over_degradations(frame: pd.DataFrame) -> pd.DataFrame:
    """For each network the mean over kinds of the mean over levels: each kind counts alike.

    Levels that show an undegraded picture, or one that other kinds show as well, do not count.
    """
    each = measured(frame, "degrade", "accuracy")
    each = each[shows_own_picture(each)] if len(each) else each
    if each.empty:
        return each
    network = [*ROW, "seed"]
    kinds = each.groupby([*network, "kind"])["value"].mean()
    mean = kinds.groupby(network).mean().reset_index()
    n = each.groupby(network)["n"].min().to_numpy(np.float64)
    # The images are the same for all levels: an upper bound of what they leave open.
    bounds = wilson(mean["value"].to_numpy(np.float64), n)
    return mean.assign(low=bounds.low, high=bounds.high, n=n)
