"""The interface of a view of the board.

A view is one class in one file:

    class SeedCount(View):
        \"\"\"How many seeds each row rests on.\"\"\"    # what `robench list views` shows

        name = "seed-count"
        title = "How many seeds are there?"
        lead = "Number of seeds of each row."

        def draw(self, board: Leaderboard) -> Drawing:
            rows = tuple((Entry(row.method), Entry(str(len(row.seeds)))) for row in board.rows)
            return self.drawing(reading="…", tables=(Table(…),))

The page, the README of the board and the files under ``plots/`` follow from what `draw` returns.
Nothing at the top of a view's file needs to import Altair if the view draws tables only.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from robench.board.charts.drawing import Drawing

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["View", "check_plugin"]

_LAST = 1000
"""Place of views that name none: behind robench's own, in the order of their names."""


class View(ABC):
    """One question to the results, and the chart or table that answers it.

    Attributes:
        name: anchor on the page, and what `robench list views` shows.
        title: the question.
        lead: what is shown, in a sentence.
        place: order on the page, lowest first; the built-in views have 10 to 160.
        is_of_networks: whether it shows whole networks; a board of single layers alone has only
            views that do not.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    lead: ClassVar[str]
    place: ClassVar[int] = _LAST
    is_of_networks: ClassVar[bool] = True

    @abstractmethod
    def draw(self, board: Leaderboard) -> Drawing | None:
        """The chart, tables or picture, from `drawing`.

        Where the results have nothing for it, either `None`, and the page leaves the view out, or a
        drawing whose `Drawing.missing` says why and what to add to the suite.
        """

    def drawing(self, **parts: Any) -> Drawing:
        """A `Drawing` with the texts of this view.

        Args:
            parts: fields of `Drawing`; `title` and `lead` replace those of the class.
        """
        return Drawing(key=self.name, **{"title": self.title, "lead": self.lead, **parts})


def check_plugin(value: object) -> str | None:
    """Why `value` is not a view, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, View) or value is View:
        return "it is not a subclass of robench.board.views.View"
    name: object = getattr(value, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        return f"its `name` is {name!r}, not lower-case letters, digits and hyphens"
    for text in ("title", "lead"):
        told: object = getattr(value, text, None)
        if not isinstance(told, str) or not told.strip():
            return f"its `{text}` is {told!r}, not a sentence"
    place: object = value.place
    if not isinstance(place, int) or isinstance(place, bool):
        return f"its `place` is {place!r}, not a whole number"
    if inspect.isabstract(value):
        return "it has no `draw`"
    try:
        inspect.signature(value.draw).bind(None, None)
    except TypeError:
        return "its `draw` does not take (self, board)"
    return None
