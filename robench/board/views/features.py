"""Which features of a table the networks and the trees rely on: a heat map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.analysis.frame import CLEAN_TRAINING
from robench.board.charts.base import (
    calculated,
    filters,
    finished,
    ink,
    inline,
    panel_name,
    panel_plots,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.controls import LEVEL, PANEL, Choices, choices_of
from robench.board.charts.drawing import Drawing
from robench.board.charts.incomplete import DAGGER, IS_INCOMPLETE, READING, SEEDS, counted
from robench.board.model.measured import key_of
from robench.board.views.base import View
from robench.board.views.tabular import tabular_panels

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Features"]

_CELL = 64
_SHOWN = 12
"""Features of each data set: those that matter most to all of its models taken together."""
_TREES = "boosted trees"


@dataclass(frozen=True)
class _Mean:
    """Feature → mean share over seeds, over how many, and over how many it should be."""

    shares: Mapping[str, float]
    seeds: int
    of: int


_Shares = dict[tuple[str, float], _Mean]
"""Of each model and level."""


class Features(View):
    """Share of the importance that each feature has, by method, with the trees beside them."""

    name = "features"
    title = "Which features do they rely on?"
    lead = (
        "Share of the importance in percent that the top features have in each network, and "
        "in gradient-boosted trees."
    )
    place = 150

    def draw(self, board: Leaderboard) -> Drawing | None:
        """A heat map of features and models."""
        if not tabular_panels(board):
            return None
        view = self.drawing(
            reading="The importance of a feature is its total effect (Jansen 1999): how far the "
            "answers move when its values are exchanged between test rows; shares add up to 100 "
            "over all features, of which the twelve that matter most are here. Features that go "
            "together share what they say: two models may rely on different ones and answer alike. "
            + READING,
        )
        found = _shares(board)
        panels = [panel for panel in board.panels if panel in found]
        if not panels:
            missing = "No network stands beside trees here; add `trees` to the suite's `evaluate`."
            return replace(view, missing=missing)
        choices = choices_of(board, _trees_cells(board), (PANEL, LEVEL))
        spec = _chart(board, found, choices)
        return replace(
            view,
            spec=spec,
            controls=choices.controls,
            plots=panel_plots(
                board, choices, spec, "features", "Importance of features in percent"
            ),
        )


def _trees_cells(board: Leaderboard) -> pd.DataFrame:
    """The cells in which networks stand beside trees: networks on clean inputs."""
    frame = board.frame
    is_there = (frame["stage"] == "trees") & (frame["status"] == "ok")
    return frame[is_there & (frame["training"] == CLEAN_TRAINING)].drop_duplicates("id")


def _shares(board: Leaderboard) -> dict[str, _Shares]:
    """By panel; what no method asks a level for, the dense network and the trees, has level −1."""
    places = {cell["id"]: cell for cell in _trees_cells(board).to_dict("records")}
    of_seed: dict[tuple[str, str, float], dict[int, Mapping[str, float]]] = defaultdict(dict)
    wanted: dict[tuple[str, str, float], int] = defaultdict(int)
    for record in board.records:
        importance: Any = record.details.get("importance")
        cell = places.get(record.id)
        if cell is None or not isinstance(importance, dict):
            continue
        own = cell["level"] if cell["is_graded"] else -1.0
        for model, whose, asked in ((cell["method"], "network", own), (_TREES, "trees", -1.0)):
            key = (cell["panel"], model, asked)
            of_seed[key][cell["seed"]] = dict(importance[whose])
            wanted[key] = max(wanted[key], board.standings[key_of(cell)].seeds)
    found: dict[str, _Shares] = defaultdict(dict)
    for key, seeds in of_seed.items():
        panel, model, asked = key
        found[panel][model, asked] = _Mean(_mean(list(seeds.values())), len(seeds), wanted[key])
    return dict(found)


def _mean(of_seeds: list[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for shares in of_seeds:
        for feature, share in shares.items():
            total[feature] += share / len(of_seeds)
    return dict(total)


def _cells(board: Leaderboard, found: Mapping[str, _Shares]) -> Iterator[tuple[object, ...]]:
    for panel, models in found.items():
        together = _mean([mean.shares for mean in models.values()])
        top = sorted(together, key=lambda feature: (-together[feature], feature))[:_SHOWN]
        for (model, asked), mean in models.items():
            for rank, feature in enumerate(top):
                share = mean.shares.get(feature, 0.0)
                place = (board.panels.index(panel), model, asked, feature, rank, share)
                yield (*place, mean.seeds, mean.of)


def _chart(board: Leaderboard, found: Mapping[str, _Shares], choices: Choices) -> dict[str, Any]:
    columns = ["panel", "method", "level", "feature", "rank", "share", *SEEDS]
    numbers = [name for name in columns if name not in ("method", "feature")]
    data = inline(_cells(board, found), columns, numbers)
    models = [_TREES, *board.methods]
    shown = {model for shares in found.values() for model, _ in shares}
    x = alt.X(
        "method:N",
        sort=[model for model in models if model in shown],
        axis=alt.Axis(title=None, labelAngle=-40, grid=False, labelLimit=130),
    )
    y = alt.Y(
        "feature:N",
        sort=alt.EncodingSortField("rank", op="min"),
        axis=alt.Axis(title=None, grid=False, labelLimit=180),
    )
    base = alt.Chart()
    readable = ink("datum.share > 0.31", "#10151c", "#ffffff")
    shade = alt.Color(
        "share:Q",
        scale=alt.Scale(scheme="viridis", domain=[0, 0.5], clamp=True),
        legend=alt.Legend(format="%", title="importance"),
    )
    hints = tooltip(
        model="method:N",
        feature="feature:N",
        share_of_the_importance="share:Q|.2%",
        seeds="counted:N",
    )
    chart = small_multiples(
        [
            base.mark_rect(cornerRadius=2).encode(x=x, y=y, color=shade, tooltip=hints),
            base.mark_text(fontSize=11).encode(x=x, y=y, text="number:N", color=readable),
        ],
        data,
        by=alt.Facet("name:N", header=alt.Header(title=None, labelLimit=400)),
        columns=1,
        size=(_CELL * len(shown), {"step": 26}),
        transform=[
            *filters(
                "datum.panel === chosen_panel", "datum.level === chosen_level || datum.level < 0"
            ),
            *calculated(
                number=f"format(100 * datum.share, '.0f') + ({IS_INCOMPLETE} ? '{DAGGER}' : '')",
                counted=counted(),
                name=panel_name(board, "panel"),
            ),
            *filters(without_hidden()),
        ],
    )
    return finished(
        chart, panel_width=_CELL * len(shown) + 190, panels=1, choices=choices, beside=0
    )
