"""Layers at published sparsities: measured here, and as their authors had them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.board.charts.drawing import Drawing
from robench.board.model.layers import layer_tables
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Layers"]


class Layers(View):
    """Each layer of a published table: its speed-up here, and the published one beside it."""

    name = "layers"
    title = "How large is the speed-up of single layers?"
    lead = (
        "AlexNet's five convolutions at the sparsities that Wen et al. 2016 reached, each "
        "timed against the same convolution without zeros."
    )
    place = 160
    is_of_networks = False

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Tables, measured and published figures side by side."""
        if not board.layers:
            return None
        return self.drawing(
            reading="SSL takes out whole rows (filters) and columns (one position of the kernel in "
            "one channel, over all filters); what is left is a smaller dense product. ℓ1 leaves "
            "scattered zeros, which need a sparse product. The authors counted the matrix product "
            "alone, which leaves out the gathering of its operand; whole layer is what a user "
            "waits for, and beside it stands how it was computed: as the library computes a dense "
            "one, cropped to a smaller kernel, gathered into a matrix, csr, or by a kernel "
            "compiled for it (direct; scattered where single weights are zero). Rows, columns and "
            "weights are drawn at random in the published numbers. Published figures come from "
            "other machines and another library, so that they are no more than neighbours of the "
            "measured ones. In brackets 95% intervals of the median over repeats; the mean is that "
            "of the five layers. The published row 3 has no times.",
            tables=layer_tables(board.records),
        )
