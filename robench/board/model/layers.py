"""Single convolutions beside the figures that their authors published, in columns of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any

from robench.board.model.estimates import Estimate
from robench.board.model.format import NO_VALUE, interval, ratio
from robench.board.model.machine import machine_name
from robench.board.model.tables import Entry, Table
from robench.reference import wen2016

if TYPE_CHECKING:
    from robench.spec import Metric, Record

__all__ = ["is_of_layers", "layer_tables"]

_MEASURES = {"layer": "whole layer, ×", "product": "matrix product, ×"}
_PUBLISHED = ("Xeon E5-2630, ×", "TITAN Black, ×")

_Newest = Mapping[tuple[int, str, int], "Record"]
"""Row of the published table, layer and batch size → record."""


def is_of_layers(record: Record) -> bool:
    """Whether a record is about one layer alone, so that it is in no row of the leaderboard."""
    return record.cell.stage == "layers"


def layer_tables(records: Iterable[Record]) -> tuple[Table, ...]:
    """The published table with what was measured beside it, one for each suite and machine.

    Args:
        records: of any stages; of several for one place the one that was started last counts.
    """
    places: dict[tuple[str, str], dict[tuple[int, str, int], Record]] = {}
    for record in sorted(filter(is_of_layers, records), key=_started):
        cell = record.cell
        suite = f"suite {cell.suite}, version {cell.suite_version}"
        where = (suite, machine_name(record) or cell.device)
        places.setdefault(where, {})[_place(record)] = record
    return tuple(
        _table(f"Measured on {machine}, one thread; {suite}.", newest)
        for (suite, machine), newest in sorted(places.items())
    )


def _place(record: Record) -> tuple[int, str, int]:
    # Records of an earlier wording of the options have these too.
    options: dict[str, Any] = dict(record.cell.options)
    return options["row"], options["layer"], options["batch_size"]


def _started(record: Record) -> tuple[str, str]:
    return str(record.provenance.get("started", "")), record.id


def _table(caption: str, newest: _Newest) -> Table:
    sizes = sorted({batch_size for _, _, batch_size in newest})
    measured = [(f"measured, batch of {size}", len(_MEASURES)) for size in sizes]
    return Table(
        caption=caption,
        groups=(("", 3), *measured, ("published, matrix product", len(_PUBLISHED))),
        heads=(
            "row",
            "layer",
            "zeros",
            *len(sizes) * tuple(_MEASURES.values()),
            *_PUBLISHED,
        ),
        rows=tuple(
            line
            for entry in wen2016.ENTRIES
            if any(row == entry.row for row, _, _ in newest)
            for line in _lines(entry, sizes, newest)
        ),
        words=3,
    )


def _lines(entry: wen2016.Entry, sizes: list[int], newest: _Newest) -> Iterator[tuple[Entry, ...]]:
    """The layers of one published row, and their mean as the authors take it."""
    asked = [(size, measure) for size in sizes for measure in _MEASURES]
    published = (entry.speedup_cpu, entry.speedup_gpu)
    name = {"l1": "ℓ1", "ssl": "SSL"}[entry.method]
    for place, layer in enumerate(wen2016.CONVOLUTIONS):
        yield (
            Entry(f"{entry.row}: {name}", f"error {entry.top1_error}%") if not place else Entry(),
            Entry(layer.name),
            Entry(_zeros(entry, place)),
            *(
                _measured(newest.get((entry.row, layer.name, size)), size, measure)
                for size, measure in asked
            ),
            *(Entry(ratio(of_layers[place])) for of_layers in published),
        )
    yield (
        Entry(),
        Entry("mean"),
        Entry(),
        *(_mean(entry.row, size, measure, newest) for size, measure in asked),
        *(Entry(f"{fmean(of_layers):.1f}") for of_layers in published),  # as they print it
    )


def _zeros(entry: wen2016.Entry, place: int) -> str:
    if entry.method == "l1":
        return f"{entry.sparsity[place]}% weights"
    shares = {"columns": entry.columns[place], "rows": entry.rows[place]}
    return ", ".join(f"{share}% {of}" for of, share in shares.items() if share) or "none"


def _speedup(record: Record | None, size: int, measure: str) -> Metric | None:
    return record.metric("speedup", measure=measure, batch_size=size) if record else None


def _measured(record: Record | None, size: int, measure: str) -> Entry:
    found = _speedup(record, size, measure)
    if found is None or found.value is None:
        return Entry(NO_VALUE if record is None or record.status == "ok" else record.status)
    bounds = interval(Estimate(found.value, found.low, found.high, seeds=1), ratio)
    form = record.details.get("form") if record and measure == "layer" else None
    return Entry(ratio(found.value), f"{bounds} {form}" if form else bounds)


def _mean(row: int, size: int, measure: str, newest: _Newest) -> Entry:
    """Of all five layers; fewer have no mean that could stand beside the published one."""
    found = [
        _speedup(newest.get((row, layer.name, size)), size, measure)
        for layer in wen2016.CONVOLUTIONS
    ]
    values = [metric.value for metric in found if metric is not None and metric.value is not None]
    return Entry(ratio(fmean(values)) if len(values) == len(found) else NO_VALUE)
