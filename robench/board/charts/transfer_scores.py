"""Of what training on the tested noise gains, how much training on other noise gained: a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from robench.analysis.transfer import (
    UNDISTORTED,
    contrast_control,
    distortions_of,
    mean_transfer_scores,
    transfer_scores,
)
from robench.board.charts.heat_map import NETWORK, in_test_order, in_training_order
from robench.board.model.format import NO_VALUE
from robench.board.model.tables import Entry, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robench.board.model.leaderboard import Leaderboard
    from robench.spec import Distortion

__all__ = ["ABOUT_SCORES", "score_tables"]

ABOUT_SCORES = (
    "The tables below give shares of a gain: 0 is a network trained on clean images, 1 one trained "
    "on the tested noise itself. Uniform noise and salt-and-pepper lie on images of 30% contrast: "
    "beside each share stands that of a network trained on less contrast alone. What such a "
    "network reaches as well was not learnt from the noise."
)


def score_tables(board: Leaderboard, matrix: pd.DataFrame) -> tuple[Table, ...]:
    """A table for each panel: dense networks trained on one kind, tested on the others.

    Args:
        board: that the matrix is of.
        matrix: of `robench.board.charts.heat_map.board_matrix`, over all levels.
    """
    distortions = {
        name: distortion
        for name, distortion in distortions_of(board.records).items()
        if name in set(matrix["training"])
    }
    dense = matrix[matrix["is_dense"]]
    found = []
    for panel in board.panels:
        of_panel = dense[dense["panel"] == panel]
        scores = transfer_scores(of_panel, distortions, network=NETWORK)
        means = mean_transfer_scores(scores, network=NETWORK)
        rows = tuple(_rows(means.dropna(subset="score"), distortions))
        if rows:
            found.append(_table(panel, rows, contrast_control(distortions)))
    return tuple(found)


def _rows(
    means: pd.DataFrame, distortions: Mapping[str, Distortion | None]
) -> Iterator[tuple[Entry, ...]]:
    by_place = {(row["training"], row["test"]): row for row in means.to_dict("records")}
    tests = [test for test in in_test_order(means["test"]) if test not in UNDISTORTED]
    for training in in_training_order(distortions):
        distortion = distortions[training]
        if distortion is None or len(distortion.kinds) > 1:
            continue
        for test in tests:
            row = by_place.get((training, test))
            if row is not None and test not in distortion.kinds:
                yield (
                    Entry(training),
                    Entry(test),
                    _share(row, "score", "low", "high"),
                    _share(row, "control_score", "control_low", "control_high"),
                )


def _table(panel: str, rows: tuple[tuple[Entry, ...], ...], control: str | None) -> Table:
    named = "contrast alone" if control is None else control
    return Table(
        caption=f"{panel}, dense networks: share of the possible gain",
        groups=(("", 2), ("share gained", 2)),
        heads=("trained on", "tested on", "by this training", f"by {named}"),
        rows=rows,
        words=2,
    )


def _share(row: dict[Any, Any], value: str, low: str, high: str) -> Entry:
    if pd.isna(row[value]):
        return Entry(NO_VALUE)
    bounds = [row[low], row[high]]
    known = not any(map(pd.isna, bounds))
    return Entry(_two(row[value]), f"[{_two(bounds[0])}, {_two(bounds[1])}]" if known else "")


def _two(share: float) -> str:
    return f"{share + 0.0:.2f}".replace("-", "−")
