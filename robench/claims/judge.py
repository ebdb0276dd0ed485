"""Judging claims by the records of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from robench.claims.base import Claim, Evidence, Judged
from robench.escape import for_terminal
from robench.store import Store

__all__ = ["judged", "verdicts"]


def verdicts(claims: Iterable[Claim], results: Path) -> Iterator[tuple[Claim, list[Judged]]]:
    """Each claim with its figures, for each data set and network that it can be judged on."""
    store = Store(results)
    records = store.records()
    for claim in claims:
        of = [record for record in records if record.cell.suite in claim.suites]
        yield claim, list(claim.judge(Evidence(of, store.arrays)))


def judged(claims: Iterable[Claim], results: Path) -> Iterator[str]:
    """The verdicts as lines for the terminal."""
    for claim, places in verdicts(claims, results):
        yield f"{claim.name}: {claim.sentence} ({claim.paper})"
        for place, statements in places:
            yield f"  {for_terminal(place)}"
            yield from (f"    {for_terminal(statement.line)}" for statement in statements)
        if not places:
            suites = ", ".join(claim.suites)
            yield f"  not enough records: run `robench claims RESULTS --run` (suite {suites})"
