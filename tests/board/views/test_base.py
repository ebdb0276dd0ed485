"""The interface of a view: what is accepted as one, and what it takes from its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from robench.board.charts.drawing import Drawing
from robench.board.views.base import View, check_plugin

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard


class Counted(View):
    """How many rows there are."""

    name = "counted"
    title = "How many rows are there?"
    lead = "The number of rows."

    def draw(self, board: Leaderboard) -> Drawing:
        return self.drawing(missing=f"{len(board.rows)} rows")


def test_a_drawing_has_the_texts_of_its_view_unless_others_are_given() -> None:
    assert Counted().drawing(reading="so") == Drawing(
        key="counted", title="How many rows are there?", lead="The number of rows.", reading="so"
    )
    assert Counted().drawing(lead="Other.").lead == "Other."


def test_a_view_without_a_place_comes_after_those_of_robench() -> None:
    from robench.board.views import VIEWS

    own = [VIEWS.get(name) for name in VIEWS.names()]
    assert all(view.place < Counted.place for view in own if view.__module__.startswith("robench"))


def without_draw() -> type:
    return type("Silent", (View,), {"name": "silent", "title": "What?", "lead": "Nothing."})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (View, "not a subclass"),
        (Counted(), "not a subclass"),
        (int, "not a subclass"),
        (without_draw(), "no `draw`"),
        (type("A", (Counted,), {"name": "With Space"}), "'With Space'"),
        (type("B", (Counted,), {"title": " "}), "`title`"),
        (type("C", (Counted,), {"lead": None}), "`lead`"),
        (type("D", (Counted,), {"place": "first"}), "`place`"),
        (type("E", (Counted,), {"draw": lambda self: None}), r"\(self, board\)"),
    ],
)
def test_what_is_no_view_is_refused_with_the_reason(value: object, words: str) -> None:
    found = check_plugin(value)
    assert found is not None
    assert words.replace("\\", "") in found


def test_a_view_is_accepted() -> None:
    assert check_plugin(Counted) is None
