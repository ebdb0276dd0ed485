"""The matrix of training and test distortions on the board: its rows, its order, its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.analysis.frame import CLEAN_TRAINING
from robench.analysis.transfer import transfer_matrix
from robench.board.charts.base import (
    calculated,
    filters,
    method_name,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.controls import training_name
from robench.board.charts.incomplete import DAGGER, IS_INCOMPLETE, counted
from robench.board.model.comparable import ROW
from robench.reference.published_transfer import PUBLISHED_LEVELS
from robench.spec.distortion import CLEAN, EVERYTHING

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.leaderboard import Leaderboard
    from robench.spec import Distortion

__all__ = [
    "AT",
    "CELL",
    "NETWORK",
    "axes",
    "board_matrix",
    "by_method",
    "cells",
    "graded_rows",
    "in_test_order",
    "in_training_order",
    "label_width",
    "sparse_matrix",
]

CELL = 46
"""Width of a cell, in pixels."""
NETWORK = [*ROW, "is_dense", "seed"]
AT: tuple[tuple[str, Mapping[str, float] | None], ...] = (
    ("the mean over all levels", None),
    ("the level of the published matrix", PUBLISHED_LEVELS),
)
"""At which levels networks are tested: the reader's choices."""
_LETTER = 6.1
_LONGEST_LABEL = 270


def board_matrix(board: Leaderboard, at: Mapping[str, float] | None) -> pd.DataFrame:
    """The matrix of those panels in which networks were trained on more than one thing."""
    matrix = transfer_matrix(board.frame, network=NETWORK, at=at)
    several = matrix.groupby("panel")["training"].nunique()
    return matrix[matrix["panel"].isin(several.index[several > 1])]


def graded_rows(board: Leaderboard, matrix: pd.DataFrame) -> pd.DataFrame:
    """The rows of methods that are asked for levels."""
    graded = [label for label, kind in board.kinds.items() if kind.is_graded]
    return matrix[matrix["method"].isin(graded)]


def sparse_matrix(board: Leaderboard) -> pd.DataFrame:
    """The matrix of those panels in which sparse networks were trained on noise; else empty."""
    matrix = board_matrix(board, AT[0][1])
    graded = graded_rows(board, matrix)
    noisy = graded[graded["training"] != CLEAN_TRAINING]
    return matrix[matrix["panel"].isin(noisy["panel"])]


def in_training_order(trainings: Mapping[str, Distortion | None]) -> list[str]:
    """Clean images, then one kind alone, several, and all but one; each in the paper's order."""

    def place(training: str) -> tuple[object, ...]:
        distortion = trainings[training]
        kinds = distortion.kinds if distortion is not None else (CLEAN,)
        group = 0 if len(kinds) == 1 else 2 if len(kinds) >= len(EVERYTHING) - 1 else 1
        return group, [_rank(kind) for kind in reversed(kinds)], training

    return sorted(trainings, key=place)


def in_test_order(tests: Iterable[str]) -> list[str]:
    """Clean images, the kinds of the published matrix in its order, then others by name."""
    return sorted(set(tests), key=lambda test: (_rank(test), test))


def _rank(kind: str) -> int:
    order = [CLEAN, *PUBLISHED_LEVELS]
    return order.index(kind) if kind in order else len(order)


def axes(tests: Sequence[str], trainings: Sequence[str]) -> dict[str, Any]:
    """Tests from left to right, trainings from top to bottom."""
    x = alt.X(
        "test:N",
        sort=list(tests),
        axis=alt.Axis(title="tested on", labelAngle=-40, grid=False, labelLimit=150),
    )
    y = alt.Y(
        "training:N",
        sort=list(map(training_name, trainings)),
        axis=alt.Axis(title="trained on", grid=False, labelLimit=_LONGEST_LABEL),
    )
    return {"x": x, "y": y}


def cells(
    place: Mapping[str, Any],
    shade: alt.Color,
    *,
    number: str,
    ink: Any,
    outlined: str,
    outline: str,
    values: Mapping[str, str],
) -> list[alt.Chart]:
    """Cells in colour, each with its number, some of them with a frame.

    Args:
        place: from `axes`.
        shade: the colour.
        number: an expression of what is written; a dagger follows where seeds are missing.
        ink: its colour, to be read on the shade.
        outlined: expression, true of the cells that have a frame.
        outline: colour of the frame.
        values: what a tooltip tells besides the place and the seeds, as for `tooltip`.
    """
    base = (
        alt.Chart()
        .transform_filter("isValid(datum.value)")
        .transform_calculate(
            counted=counted(), number=f"{number} + ({IS_INCOMPLETE} ? '{DAGGER}' : '')"
        )
    )
    hints = tooltip(
        method="method:N",
        trained_on="training:N",
        tested_on="test:N",
        **values,
        seeds="counted:N",
    )
    return [
        base.mark_rect(cornerRadius=2).encode(**place, color=shade, tooltip=hints),
        base.transform_filter(outlined)
        .mark_rect(filled=False, stroke=outline, strokeWidth=2, cornerRadius=2)
        .encode(**place),
        base.mark_text(fontSize=11).encode(**place, text="number:N", color=ink),
    ]


def by_method(
    board: Leaderboard,
    layers: Sequence[alt.Chart],
    data: alt.InlineData,
    tests: Sequence[str],
    transform: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """A heat map for each method, of the panel that the reader chose.

    Args:
        board: whose methods are the columns ``m`` of the data, and panels ``panel``.
        layers: of the heat map.
        data: of the layers.
        tests: from left to right.
        transform: what is done to the data besides.
    """
    header = alt.Header(title=None, labelLimit=400)
    return small_multiples(
        layers,
        data,
        by=alt.Facet("method:N", sort=list(board.methods), header=header),
        columns=2,
        size=(CELL * len(tests), {"step": 26}),
        transform=[
            *filters("datum.panel === chosen_panel"),
            *calculated(method=method_name(board, "m")),
            *filters(without_hidden()),
            *transform,
        ],
        independent={"axis": "xy"},
    )


def label_width(trainings: Iterable[str]) -> int:
    """About how many pixels the names of trainings take beside a heat map."""
    longest = max(len(training_name(training)) for training in trainings)
    return int(min(_LETTER * longest, _LONGEST_LABEL)) + 30
