"""The table of views: their order, views of others, and views that return the wrong thing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from robench.board.model.leaderboard import leaderboard
from robench.board.render.build import build_board
from robench.board.views import VIEWS, views_of
from robench.plugin_files import load_plugin

if TYPE_CHECKING:
    from robench.spec import Record

PLUGIN = '''
"""Views of somebody else's."""

from robench.board.views import View


class First(View):
    """How many rows there are."""

    name = "row-count"
    title = "How many rows are there?"
    lead = "Their number."
    place = 1

    def draw(self, board):
        """A sentence."""
        return self.drawing(missing=f"there are {len(board.rows)} rows")


class Wrong(First):
    """Gives a number."""

    name = "wrong"
    place = 2

    def draw(self, board):
        """No drawing."""
        return len(board.rows)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    before = dict(VIEWS._entries)
    file = tmp_path / "views_of_others.py"
    file.write_text(PLUGIN, encoding="utf-8")
    assert load_plugin(file) == [("view", "row-count"), ("view", "wrong")]
    yield file
    VIEWS._entries = before


def test_names_and_places_agree_with_the_table() -> None:
    for name in VIEWS.names():
        view = VIEWS.get(name)
        assert view.name == name
    places = [VIEWS.get(name).place for name in VIEWS.names()]
    assert len(set(places)) == len(places)


def test_listing_views_imports_no_drawing_library() -> None:
    code = "import sys, robench.board.views as v; v.VIEWS.names(); print('altair' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.usefixtures("plugin")
def test_views_of_others_stand_at_their_place_and_faults_are_theirs(
    records: list[Record], tmp_path: Path
) -> None:
    board = leaderboard(records)
    found = views_of(board)
    assert [view.key for view in found[:3]] == ["row-count", "wrong", "accuracy"]
    assert found[0].missing == f"there are {len(board.rows)} rows"
    assert "a fault of the plug-in" in found[1].lead
    assert "draw returned int" in (found[1].missing or "")
    html = build_board(records, tmp_path / "board").read_text(encoding="utf-8")
    assert f"there are {len(board.rows)} rows" in html
