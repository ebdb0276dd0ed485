"""Flags that attacks and noise raised, and which attack suite a distance belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from robench.attacks.evaluation.flags import FLAGS
from robench.board.model.comparable import ROW
from robench.board.model.format import number
from robench.board.model.measured import key_of

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.measured import RowKey
    from robench.spec import Record

__all__ = [
    "Flag",
    "attack_records",
    "flags_of",
    "protocols_of",
    "ranked_protocols",
    "records_of",
    "warnings_in",
]

Kind = Literal["warning", "note"]


@dataclass(frozen=True)
class Flag:
    """A flag that was raised in a row."""

    name: str
    meaning: str
    seeds: int
    """For how many seeds it was raised."""
    kind: Kind = "warning"
    """``warning``: the distance may flatter the network; ``note``: a reader should know."""
    values: tuple[float, ...] = ()
    """What was measured where it was raised, in order of size."""
    sound: str = ""
    """Which values raise nothing, in words."""

    @property
    def told(self) -> str:
        """Everything about it in one line, for a tooltip."""
        counted = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        ends = dict.fromkeys(number(value) for value in (*self.values[:1], *self.values[-1:]))
        measured = f"measured {' to '.join(ends)}, sound {self.sound}; " if ends else ""
        return f"{self.name} (in {counted}): {self.meaning} ({measured}{self.kind})"


def attack_records(records: Iterable[Record], frame: pd.DataFrame) -> dict[RowKey, list[Record]]:
    """The records of attacks that succeeded, by the row that they belong to."""
    return records_of(("attack",), records, frame)


def records_of(
    stages: Collection[str], records: Iterable[Record], frame: pd.DataFrame
) -> dict[RowKey, list[Record]]:
    """The records of some stages that succeeded, by the row that they belong to."""
    cells = frame[["id", *ROW]].drop_duplicates("id")
    keys = {row["id"]: key_of(row) for row in cells.to_dict("records")}
    found: dict[RowKey, list[Record]] = {}
    for record in records:
        if record.cell.stage in stages and record.status == "ok" and record.id in keys:
            found.setdefault(keys[record.id], []).append(record)
    return found


def flags_of(flagged: Mapping[RowKey, Iterable[Record]]) -> dict[RowKey, tuple[Flag, ...]]:
    """The flags that were raised in each row; warnings first, then by name.

    Args:
        flagged: what `records_of` returns for the stages that may raise flags.
    """
    found: dict[RowKey, tuple[Flag, ...]] = {}
    for key, records in flagged.items():
        raised: dict[str, list[tuple[int, Mapping[str, object]]]] = {}
        for record in records:
            for flag in _raised(record):
                name = str(flag.get("name", "flag"))
                raised.setdefault(name, []).append((record.cell.seed, flag))
        flags = [_flag(name, of_records) for name, of_records in raised.items()]
        found[key] = tuple(sorted(flags, key=lambda flag: (flag.kind == "note", flag.name)))
    return {key: flags for key, flags in found.items() if flags}


def warnings_in(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Those that say that a distance may flatter the network."""
    return tuple(flag for flag in flags if flag.kind == "warning")


def protocols_of(attacks: Mapping[RowKey, Iterable[Record]]) -> dict[RowKey, str]:
    """Attack suite and number of images of each row: ``l2-quick/1 on 500 images``.

    Args:
        attacks: what `attack_records` returns.
    """
    return {key: _protocol(record) for key, records in attacks.items() for record in records}


def ranked_protocols(protocols: Mapping[RowKey, str]) -> dict[str, str]:
    """For each panel the protocol of most rows: distances of other ones are not ranked there."""
    counts: dict[str, Counter[str]] = {}
    for (panel, *_), protocol in sorted(protocols.items()):
        counts.setdefault(panel, Counter())[protocol] += 1
    return {panel: of.most_common(1)[0][0] for panel, of in counts.items()}


def _protocol(record: Record) -> str:
    suite = record.details.get("suite") or record.cell.options.get("suite") or "unknown attacks"
    accuracy = record.metric("accuracy")
    n = accuracy.n if accuracy is not None else record.cell.options.get("samples")
    return f"{suite} on {n:,} images" if isinstance(n, int) else str(suite)


def _raised(record: Record) -> list[Mapping[str, object]]:
    flags = record.details.get("flags")
    if not isinstance(flags, list):
        return []
    return [flag for flag in flags if isinstance(flag, dict) and flag.get("raised")]


def _flag(name: str, of_records: list[tuple[int, Mapping[str, object]]]) -> Flag:
    _, first = of_records[0]
    values = [flag["value"] for _, flag in of_records if flag.get("value") is not None]
    return Flag(
        name=name,
        meaning=str(first.get("meaning", "")),
        seeds=len({seed for seed, _ in of_records}),
        kind="note" if first.get("kind") == "note" or _is_note(name) else "warning",
        values=tuple(sorted(float(str(value)) for value in values)),
        sound=_sound(first),
    )


def _is_note(name: str) -> bool:
    """Whether this flag is a note by now, though it may have been a warning when it was stored."""
    return name in FLAGS and FLAGS[name].kind == "note"


def _sound(flag: Mapping[str, object]) -> str:
    threshold = flag.get("threshold")
    if isinstance(threshold, list):
        return " to ".join(number(float(end)) for end in threshold)
    if threshold is None:
        return "values are not known"
    # The raised value lies on the other side.
    limit, value = float(str(threshold)), flag.get("value")
    is_below = value is not None and float(str(value)) < limit
    return f"from {number(limit)}" if is_below else f"up to {number(limit)}"
