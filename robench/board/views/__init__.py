"""The views of the board: each a question, a chart, and how to read it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from robench.board.views.attack_board import attack_board_view
from robench.board.views.attack_curves import attack_curves_view
from robench.board.views.attack_ratio import attack_ratio_view
from robench.board.views.base import View
from robench.board.views.calibration import calibration_views
from robench.board.views.degradation import corruption_views, degradation_view, response_views
from robench.board.views.features import features_view
from robench.board.views.layers import layers_view
from robench.board.views.sparse_transfer import sparse_transfer_views
from robench.board.views.sparsity import accuracy_view, distance_view
from robench.board.views.speed import speed_view
from robench.board.views.tabular import tabular_panels, tabular_view
from robench.board.views.transfer import transfer_view

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["views_of"]

_log = logging.getLogger(__name__)

_Make = Callable[["Leaderboard"], "View | Iterable[View]"]


def views_of(board: Leaderboard) -> tuple[View, ...]:
    """All views, in the order of the page; those without data say so.

    The views of tables are only there where there are tables, those of corruptions and calibration
    where these were measured, that of answers where they were counted, that of single layers where
    such were timed; where nothing else was done, it is alone.

    A view that fails says so in its place, and in the log with its traceback: no fault of one
    costs the others.
    """
    if board.layers and not board.rows:
        return _made("layers", layers_view, board)
    return tuple(view for key, make in _VIEWS.items() for view in _made(key, make, board))


def _attacks(make: _Make) -> _Make:
    """More about attacks, where there were any."""
    return lambda board: make(board) if board.attacks else ()


def _tables(make: _Make) -> _Make:
    """Where there are tables."""
    return lambda board: make(board) if tabular_panels(board) else ()


def _layers(board: Leaderboard) -> Iterable[View]:
    return (layers_view(board),) if board.layers else ()


_VIEWS: dict[str, _Make] = {
    "accuracy": accuracy_view,
    "distance": distance_view,
    "curves": _attacks(attack_curves_view),
    "parents": _attacks(attack_ratio_view),
    "attacks": _attacks(attack_board_view),
    "degradations": degradation_view,
    "responses": response_views,
    "corruptions": corruption_views,
    "calibration": calibration_views,
    "transfer": transfer_view,
    "sparse-transfer": sparse_transfer_views,
    "speed": speed_view,
    "tabular": _tables(tabular_view),
    "features": _tables(features_view),
    "layers": _layers,
}
"""What makes the views, by the anchor that a failure is shown under."""


def _made(key: str, make: _Make, board: Leaderboard) -> tuple[View, ...]:
    try:
        made = make(board)
        return (made,) if isinstance(made, View) else tuple(made)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page must not be lost
        _log.exception("the view %r cannot be drawn; the rest of the board can", key)
        return (_failed(key, error),)


def _failed(key: str, error: Exception) -> View:
    # What stands in backticks is shown as code; those of a stranger are not ours.
    told = f"{type(error).__name__}: {error}".replace("`", "'")
    return View(
        key=key,
        title=key.replace("-", " ").capitalize(),
        lead="This view cannot be shown: drawing it failed, which is a fault of robench.",
        reading="",
        missing=f"{told}. `robench board` wrote the whole traceback to standard error; please "
        "report it.",
    )
