"""Everything that a board shows, worked out once from the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from robench.analysis.frame import CLEAN_TRAINING, trainings
from robench.board.model.comparable import panelled, without_superseded
from robench.board.model.coverage import (
    Coverage,
    NotReached,
    Standing,
    coverage_of,
    not_reached_of,
    standings_of,
)
from robench.board.model.dense_parent import ArraysOf, comparisons, no_arrays
from robench.board.model.details import stages_without_networks
from robench.board.model.flags import attack_records
from robench.board.model.layers import is_of_layers
from robench.board.model.rows import Row, rows_of
from robench.board.model.versions import (
    Method,
    OtherVersion,
    other_versions,
)

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.measured import RowKey
    from robench.spec import Distortion, Record

__all__ = ["Leaderboard", "leaderboard"]


@dataclass(frozen=True)
class Leaderboard:
    """Records, brought into rows that can be compared."""

    records: tuple[Record, ...]
    """In an order that depends on nothing but themselves."""
    everything: pd.DataFrame
    """The long table of all records."""
    networks: pd.DataFrame
    """The long table of the records of whole networks: all but those of single layers."""
    frame: pd.DataFrame
    """The same without what newer cells replace."""
    rows: tuple[Row, ...]
    standings: Mapping[RowKey, Standing]
    coverage: Coverage
    not_reached: tuple[NotReached, ...]
    """Levels that methods did not come to, in the order of the panels."""
    other_versions: tuple[OtherVersion, ...] = ()
    """Versions of methods that are left out, in the order of the panels."""
    arrays: ArraysOf = no_arrays
    """Reads some of the arrays beside a record."""

    @cached_property
    def panels(self) -> tuple[str, ...]:
        """Data sets × models, each a small multiple of its own."""
        return tuple(dict.fromkeys(row.panel for row in self.rows))

    @cached_property
    def kinds(self) -> Mapping[str, Method]:
        """What each method is, by its label: the controls first, then by label."""
        kinds = {row.method: row.kind for row in self.rows}
        return dict(sorted(kinds.items(), key=lambda item: item[1].order))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The labels of the methods, the controls first."""
        return tuple(self.kinds)

    @cached_property
    def distortions(self) -> Mapping[str, Distortion | None]:
        """What stands behind the name of each training."""
        return trainings(self.records)

    @cached_property
    def trainings(self) -> tuple[str, ...]:
        """What networks were trained on; clean images first."""
        found = {row.training for row in self.rows}
        return tuple(sorted(found, key=lambda name: (name != CLEAN_TRAINING, name)))

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The requested levels: not those of the dense control and of given networks."""
        return tuple(sorted({row.level for row in self.rows if row.kind.is_graded}))

    @cached_property
    def statuses(self) -> Mapping[str, int]:
        """How many cells ended how, start networks included."""
        counts = Counter(record.status for record in self.records)
        return {"ok": counts.pop("ok", 0), **dict(sorted(counts.items()))}

    @cached_property
    def unsuccessful(self) -> tuple[Record, ...]:
        """The records whose status is not ``ok``."""
        return tuple(record for record in self.records if record.status != "ok")

    @cached_property
    def layers(self) -> tuple[Record, ...]:
        """The records of single layers, which are in no row."""
        return tuple(filter(is_of_layers, self.records))

    @cached_property
    def attacks(self) -> Mapping[RowKey, list[Record]]:
        """The records of attacks that count, by row."""
        return attack_records(self.records, self.frame)

    @cached_property
    def against_parent(self) -> pd.DataFrame:
        """Each attacked network against the dense one of its seed, image by image."""
        return comparisons(self.attacks, self.arrays)

    @cached_property
    def left_out(self) -> int:
        """How many records a newer or a more common form of the same cell replaces."""
        return self.networks["id"].nunique() - self.frame["id"].nunique()

    def standing(self, row: Row) -> Standing:
        """Whether a row is whole."""
        return self.standings[row.key]


def leaderboard(records: Iterable[Record], arrays: ArraysOf = no_arrays) -> Leaderboard:
    """Bring records into rows that can be compared.

    Args:
        records: of any suites and stages, in any order; none at all give a board without rows.
        arrays: reads some of the arrays beside a record.
    """
    ordered = tuple(sorted(records, key=_record_order))
    everything = panelled(ordered)
    networks = everything[~everything["stage"].isin(stages_without_networks())]
    frame = without_superseded(networks)
    rows = rows_of(frame, ordered, arrays)
    return Leaderboard(
        records=ordered,
        everything=everything,
        networks=networks,
        frame=frame,
        rows=tuple(sorted(rows, key=_row_order)),
        standings=standings_of(frame),
        coverage=coverage_of(frame),
        not_reached=not_reached_of(frame),
        other_versions=other_versions(networks),
        arrays=arrays,
    )


def _record_order(record: Record) -> tuple[object, ...]:
    cell = record.cell
    return (
        *(cell.suite, cell.suite_version, cell.data.label, cell.model.label),
        *(cell.recipe.distortion.label if cell.recipe.distortion else "", cell.method.label),
        *(cell.level, cell.seed, cell.role, cell.stage, record.id),
    )


def _row_order(row: Row) -> tuple[object, ...]:
    is_noisy = row.training != CLEAN_TRAINING
    return (row.panel, is_noisy, row.training, row.kind.order, row.level)
