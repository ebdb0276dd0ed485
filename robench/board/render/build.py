"""Writing the board: a page, a table, a README and plots."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from robench.board.model.comparable import BOARD_COLUMNS
from robench.board.model.dense_parent import ArraysOf, no_arrays
from robench.board.model.leaderboard import leaderboard
from robench.board.render.markdown import readme
from robench.board.render.page import page
from robench.board.render.plots import MARK, drawn
from robench.board.render.spreadsheet import csv_of
from robench.board.views import views_of
from robench.errors import StoreError
from robench.files import write_atomically

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.spec import Record

__all__ = ["build_board"]


def build_board(
    records: Iterable[Record],
    out: Path,
    *,
    title: str = "Sparsity against robustness",
    arrays: ArraysOf = no_arrays,
) -> Path:
    """Write the leaderboard of some records; the same records give the same bytes.

    Args:
        records: of any suites and stages, in any order. None at all give a page that says so.
        out: folder of the board, made if it is missing. Plots of an earlier board are removed.
        title: heading of the page and the README.
        arrays: reads what lies beside a record; without it, nothing is compared image by image.

    Returns:
        The path of ``index.html``; beside it lie ``results.csv``, ``README.md`` and ``plots/``.

    Raises:
        StoreError: the folder cannot be written.
    """
    board = leaderboard(records, arrays)
    views = views_of(board)
    plots = drawn((plot for view in views for plot in view.plots), board)
    views = tuple(_with_plots(view, plots) for view in views)
    numbers = board.everything.drop(columns=BOARD_COLUMNS)
    files = {
        "README.md": readme(board, views, title=title),
        "results.csv": csv_of(numbers),
        **{f"plots/{name}": svg for name, svg in plots.items()},
        "index.html": page(board, views, title=title),
    }
    try:
        for name, text in files.items():
            write_atomically(out / name, text.encode())
        _remove_old_plots(out / "plots", keep=plots)
    except OSError as error:
        raise StoreError(
            f"the board cannot be written to {str(out)!r}: {error.strerror}",
            hint="choose another folder with --out DIR",
        ) from error
    return out / "index.html"


def _with_plots(view: Drawing, drawn: Collection[str]) -> Drawing:
    """The view with those of its plots that could be drawn."""
    plots = tuple(plot for plot in view.plots if f"{plot.name}.svg" in drawn)
    return replace(view, plots=plots)


def _remove_old_plots(folder: Path, keep: Iterable[str]) -> None:
    """Remove the plots of an earlier board, and nothing that robench did not draw."""
    for path in sorted(folder.glob("*.svg")):
        if path.name not in keep and path.read_text(encoding="utf-8").rstrip().endswith(MARK):
            path.unlink()
