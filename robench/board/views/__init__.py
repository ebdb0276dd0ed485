"""The views of the board: each a question, a chart, and how to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.board.views.attack_board import attack_board_view
from robench.board.views.attack_curves import attack_curves_view
from robench.board.views.attack_ratio import attack_ratio_view
from robench.board.views.degradation import corruption_views, degradation_view, response_views
from robench.board.views.features import features_view
from robench.board.views.layers import layers_view
from robench.board.views.sparse_transfer import sparse_transfer_views
from robench.board.views.sparsity import accuracy_view, distance_view
from robench.board.views.speed import speed_view
from robench.board.views.tabular import tabular_panels, tabular_view
from robench.board.views.transfer import transfer_view

if TYPE_CHECKING:
    from robench.board.leaderboard import Leaderboard
    from robench.board.views.base import View

__all__ = ["views_of"]


def views_of(board: Leaderboard) -> tuple[View, ...]:
    """All views, in the order of the page; those without data say so.

    The views of tables are only there where there are tables, that of corruptions where networks
    were shown any, that of answers where they were counted, that of single layers where such were
    timed; where nothing else was done, it is alone.
    """
    layers = (layers_view(board),) if board.layers else ()
    if layers and not board.rows:
        return layers
    tabular = (tabular_view(board), features_view(board)) if tabular_panels(board) else ()
    return (
        accuracy_view(board),
        distance_view(board),
        *_attack_views(board),
        degradation_view(board),
        *response_views(board),
        *corruption_views(board),
        transfer_view(board),
        *sparse_transfer_views(board),
        speed_view(board),
        *tabular,
        *layers,
    )


def _attack_views(board: Leaderboard) -> tuple[View, ...]:
    """More about attacks, where there were any."""
    if not board.attacks:
        return ()
    return (attack_curves_view(board), attack_ratio_view(board), attack_board_view(board))
