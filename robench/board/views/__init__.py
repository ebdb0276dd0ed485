"""The views of the board: each a question to the results and the chart that answers it.

A view is one class in one file, see `robench.board.views.base.View`, and one line in the table
below. Nothing here imports the drawing library until a board is drawn.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Registry

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.views.base import View

__all__ = ["VIEWS", "Drawing", "View", "views_of"]

_log = logging.getLogger(__name__)

VIEWS: Registry[type[View]] = Registry(
    "view",
    group="robench.views",
    builtins={
        "accuracy": "robench.board.views.accuracy:Accuracy",
        "distance": "robench.board.views.distance:Distance",
        "curves": "robench.board.views.attack_curves:AttackCurves",
        "parents": "robench.board.views.attack_ratio:AttackRatio",
        "attacks": "robench.board.views.attack_board:AttackBoard",
        "degradations": "robench.board.views.degradations:Degradations",
        "responses": "robench.board.views.responses:Responses",
        "corruptions": "robench.board.views.corruptions:Corruptions",
        "calibration": "robench.board.views.calibration:Calibration",
        "transfer": "robench.board.views.transfer:Transfer",
        "sparse-transfer": "robench.board.views.sparse_transfer:SparseTransfer",
        "gap": "robench.board.views.gap:Gap",
        "speed": "robench.board.views.speed:Speed",
        "tabular": "robench.board.views.tabular:Tabular",
        "features": "robench.board.views.features:Features",
        "layers": "robench.board.views.layers:Layers",
    },
    accept="robench.board.views.base:check_plugin",
)
"""Every view by name."""


def views_of(board: Leaderboard) -> tuple[Drawing, ...]:
    """All views that have a place on this board, in the order of the page.

    Where single layers alone were timed, only views that do not need whole networks are drawn.

    A view that fails says so in its place, and in the log with its traceback: no fault of one
    costs the others.
    """
    has_networks = bool(board.rows) or not board.layers
    found = [_loaded(name) for name in VIEWS.names()]
    chosen = [view for view in found if has_networks or not view.is_of_networks]
    ordered = sorted(chosen, key=lambda view: (view.place, view.name))
    drawings = [_drawn(view, board) for view in ordered]
    return tuple(drawing for drawing in drawings if drawing is not None)


def _loaded(name: str) -> View:
    return VIEWS.get(name)()


def _drawn(view: View, board: Leaderboard) -> Drawing | None:
    from robench.board.charts.drawing import Drawing

    try:
        made: object = view.draw(board)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page must not be lost
        _log.exception("the view %r cannot be drawn; the rest of the board can", view.name)
        return _failed(view, f"{type(error).__name__}: {error}")
    if made is None or isinstance(made, Drawing):
        return made
    return _failed(view, f"draw returned {type(made).__name__}, not Drawing or None")


def _failed(view: View, why: str) -> Drawing:
    # Text in backticks is shown as code; backticks of an error message are not ours.
    told = why.replace("`", "'")
    is_own = type(view).__module__.startswith("robench.")
    whose = "robench" if is_own else "the plug-in that brings it"
    return view.drawing(
        title=view.name.replace("-", " ").capitalize(),
        lead=f"This view cannot be shown: drawing it failed, which is a fault of {whose}.",
        missing=f"{told}. `robench board` wrote the whole traceback to standard error; please "
        "report it.",
    )


__getattr__ = lazily(
    __name__,
    {"Drawing": "robench.board.charts.drawing", "View": "robench.board.views.base"},
)
