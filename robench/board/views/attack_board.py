"""Which attack came closest how often: the members of each suite, and guests beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from robench.board.charts.drawing import Drawing
from robench.board.model.flags import protocols_of
from robench.board.model.format import NO_VALUE, distance, percent
from robench.board.model.tables import Entry, Table
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard
    from robench.spec import Record

__all__ = ["AttackBoard"]


@dataclass(frozen=True)
class _Line:
    """What one attack did on some networks, one entry of the record each."""

    attack: str
    of: Sequence[dict[str, Any]]

    @property
    def is_guest(self) -> bool:
        return any(entry.get("guest") for entry in self.of)

    def values(self, name: str) -> list[float]:
        # A record has what is not finite as text: an attack that found nothing has no figure.
        return [entry[name] for entry in self.of if isinstance(entry.get(name), int | float)]

    def mean(self, name: str) -> float | None:
        values = self.values(name)
        return fmean(values) if values else None


class AttackBoard(View):
    """Wins, optimality and passes of each attack, by panel and method."""

    name = "attacks"
    title = "Which attacks find what?"
    lead = (
        "How often each attack of the suite came closest, how near it came to the best of all "
        "of them, and how many passes of the network it took."
    )
    place = 50

    def draw(self, board: Leaderboard) -> Drawing | None:
        """A table of the attacks and one of the methods, for each panel."""
        if not board.attacks:
            return None
        view = self.drawing(
            reading="Every distance on this board is that of the attack which came closest to the "
            "image; a network is as robust as the best of them finds, and no average over attacks "
            "means anything. Optimality is the area that an attack takes off the curve of accuracy "
            "against radius, over the area that all attacks together take (Cinà et al. 2025, arXiv "
            "2404.19460): 1 is the best of all at every image. Where no attack alone comes near 1, "
            "attacks were lost on the network, and all may be. A pass is one image once forwards "
            "or once backwards. Guests ran beside the suite with as many passes as all of it; they "
            "win where they come closer than the whole suite, may exceed an optimality of 1, and "
            "never count in any distance under the suite's version. All numbers are means over the "
            "networks of all levels and seeds.",
        )
        tables = tuple(_tables(board))
        if not tables:
            missing = (
                "No network was attacked in these results (stage attack); add `attack` to the "
                "suite's `evaluate`."
            )
            return replace(view, missing=missing)
        return replace(view, tables=tables)


def _tables(board: Leaderboard) -> Iterator[Table]:
    protocols = protocols_of(board.attacks)
    for panel in board.panels:
        methods: dict[str, list[Record]] = {}
        named: Counter[str] = Counter()
        for key in sorted(board.attacks):
            if key[0] == panel:
                methods.setdefault(key[2], []).extend(board.attacks[key])
                named[protocols[key]] += len(board.attacks[key])
        everyone = [record for records in methods.values() for record in records]
        lines = _lines(everyone)
        if lines:
            told = ", ".join(f"{count:,} by {name} each" for name, count in named.most_common())
            yield _of_attacks(f"{panel}: networks attacked: {told}", lines, everyone)
        if lines and len(methods) > 1:
            ordered = {method: methods[method] for method in board.methods if method in methods}
            yield _of_methods(f"{panel}: optimality on the networks of each method", lines, ordered)


def _of_attacks(caption: str, lines: Sequence[_Line], records: Sequence[Record]) -> Table:
    """A line for each attack, over all networks of a panel."""
    used = [m.value for r in records if (m := r.metric("passes_per_image")) and m.value is not None]
    allowed = [float(str(a)) for r in records if (a := r.details.get("passes_allowed")) is not None]
    whole = (
        Entry("the whole suite"),
        *(Entry(text) for text in ("", "", "")),
        Entry(_count(fmean(used) if used else None)),
        Entry(_count(max(allowed, default=None))),
    )
    rows = [
        (
            Entry(line.attack, _remark(line)),
            _written(line, "wins", percent),
            _optimality(line),
            _written(line, "median_l2", distance),
            _written(line, "passes", _count),
            _written(line, "allowed", _count),
        )
        for line in lines
    ]
    return Table(
        caption=caption,
        groups=(("", 1), ("what it found", 3), ("passes an image", 2)),
        heads=("attack", "came closest, %", "optimality", "median l2", "used", "allowed"),
        rows=(*rows, whole),
    )


def _of_methods(
    caption: str, attacks: Sequence[_Line], methods: Mapping[str, Sequence[Record]]
) -> Table:
    """A line for each method, with a column for each attack."""
    names = [line.attack for line in attacks]
    rows = []
    for method, records in methods.items():
        lines = {line.attack: line for line in _lines(records)}
        count = "1 network" if len(records) == 1 else f"{len(records)} networks"
        entries = (_of_method(lines[name]) if name in lines else Entry(NO_VALUE) for name in names)
        rows.append((Entry(method, count), *entries))
    return Table(
        caption=caption,
        groups=(("", 1 + len(names)),),
        heads=("method", *names),
        rows=tuple(rows),
    )


def _of_method(line: _Line) -> Entry:
    wins = line.mean("wins")
    return Entry(_optimality(line).text, "" if wins is None else f"closest on {percent(wins)}%")


def _lines(records: Sequence[Record]) -> list[_Line]:
    """The attacks of these networks: those of the suite in its order, then the guests."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        attacks = record.details.get("attacks")
        for name, entry in attacks.items() if isinstance(attacks, dict) else ():
            if isinstance(entry, dict):
                found.setdefault(name, []).append(entry)
    return sorted((_Line(name, of) for name, of in found.items()), key=lambda line: line.is_guest)


def _remark(line: _Line) -> str:
    errors = [str(entry["error"]) for entry in line.of if entry.get("error")]
    words = ["guest, not counted"] if line.is_guest else []
    if errors:
        words.append(f"failed on {len(errors)} of {len(line.of)}: {errors[0]}")
    return "; ".join(words)


def _written(line: _Line, name: str, write: Callable[[float], str]) -> Entry:
    found = line.mean(name)
    return Entry(NO_VALUE if found is None else write(found))


def _count(passes: float | None) -> str:
    return NO_VALUE if passes is None else f"{passes:,.0f}"


def _optimality(line: _Line) -> Entry:
    values = line.values("optimality")
    if not values:
        return Entry(NO_VALUE)
    lowest = f"lowest {min(values):.3f}" if len(values) > 1 else ""
    return Entry(f"{fmean(values):.3f}", lowest)
