"""Which features of a table the networks and the trees rely on: a heat map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.coverage import is_graded
from robench.board.views.base import (
    Control,
    View,
    finished,
    inline,
    level_control,
    panel_control,
    panel_name,
    panel_plots,
    tooltip,
    without_hidden,
)

if TYPE_CHECKING:
    from robench.board.leaderboard import Leaderboard

__all__ = ["features_view"]

_CELL = 64
_SHOWN = 12
"""Features of each data set: those that matter most to all of its models taken together."""
TREES = "trees"

_Shares = dict[tuple[str, float], dict[str, float]]
"""Model and level → feature → mean share over seeds."""


def features_view(board: Leaderboard) -> View:
    """Share of the importance that each feature has, by method, with the trees beside them."""
    view = View(
        key="features",
        title="Which features do they rely on?",
        lead="Share of the importance in percent that the top features have in each network, and "
        "in gradient-boosted trees.",
        reading="The importance of a feature is its total effect (Jansen 1999): how far the "
        "answers move when its values are exchanged between test rows; shares add up to 100 over "
        "all features, of which the twelve that matter most are here. Features that go together "
        "share what they say: two models may rely on different ones and answer alike.",
    )
    found = _shares(board)
    panels = [panel for panel in board.panels if panel in found]
    if not panels:
        missing = "No network stands beside trees here; add `trees` to the suite's `evaluate`."
        return replace(view, missing=missing)
    levels = sorted({asked for shares in found.values() for _, asked in shares if asked >= 0})
    controls = (panel_control(board, panels), level_control(levels))
    spec = _chart(board, found, controls)
    return replace(
        view,
        spec=spec,
        controls=controls,
        plots=panel_plots(
            board,
            panels,
            spec,
            "features",
            "Importance of features in percent",
            asked=controls[1].default,
        ),
    )


def _shares(board: Leaderboard) -> dict[str, _Shares]:
    """By panel; what no method asks a level for, the dense network and the trees, has level −1."""
    cells = board.frame[(board.frame["stage"] == "trees") & (board.frame["status"] == "ok")]
    places = {cell["id"]: cell for cell in cells.drop_duplicates("id").to_dict("records")}
    of_seed: dict[tuple[str, str, float], dict[int, Mapping[str, float]]] = defaultdict(dict)
    for record in board.records:
        if (cell := places.get(record.id)) is not None:
            importance: Any = record.details.get("importance")
            own = cell["level"] if is_graded(cell["method"]) else -1.0
            for model, whose, asked in (
                (cell["method"], "network", own),
                (TREES, TREES, -1.0),
            ):
                of_seed[cell["panel"], model, asked][cell["seed"]] = dict(importance[whose])
    found: dict[str, _Shares] = defaultdict(dict)
    for (panel, model, asked), seeds in of_seed.items():
        found[panel][model, asked] = _mean(list(seeds.values()))
    return dict(found)


def _mean(of_seeds: list[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for shares in of_seeds:
        for feature, share in shares.items():
            total[feature] += share / len(of_seeds)
    return dict(total)


def _cells(board: Leaderboard, found: Mapping[str, _Shares]) -> Iterator[tuple[object, ...]]:
    for panel, models in found.items():
        together = _mean(list(models.values()))
        top = sorted(together, key=lambda feature: (-together[feature], feature))[:_SHOWN]
        for (model, asked), shares in models.items():
            for rank, feature in enumerate(top):
                share = shares.get(feature, 0.0)
                yield (board.panels.index(panel), model, asked, feature, rank, share)


def _chart(
    board: Leaderboard, found: Mapping[str, _Shares], controls: tuple[Control, ...]
) -> dict[str, Any]:
    columns = ["panel", "method", "level", "feature", "rank", "share"]
    data = inline(_cells(board, found), columns, ["panel", "level", "rank", "share"])
    models = [TREES, *board.methods]
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
    ink = alt.condition("datum.share > 0.31", alt.value("#10151c"), alt.value("#ffffff"))
    shade = alt.Color(
        "share:Q",
        scale=alt.Scale(scheme="viridis", domain=[0, 0.5], clamp=True),
        legend=alt.Legend(format="%", title="importance"),
    )
    hints = tooltip(model="method:N", feature="feature:N", share_of_the_importance="share:Q|.2%")
    chart = (
        alt.layer(
            base.mark_rect(cornerRadius=2).encode(x=x, y=y, color=shade, tooltip=hints),
            base.mark_text(fontSize=11).encode(
                x=x, y=y, text=alt.Text("percent:Q", format=".0f"), color=ink
            ),
            data=data,
        )
        .properties(width=_CELL * len(shown), height=alt.Step(26))
        .facet(facet=alt.Facet("name:N", header=alt.Header(title=None, labelLimit=400)), columns=1)
        .transform_filter("datum.panel === chosen_panel")
        .transform_filter("datum.level === chosen_level || datum.level < 0")
        .transform_calculate(percent="100 * datum.share", name=panel_name(board, "panel"))
        .transform_filter(without_hidden())
    )
    return finished(
        chart, panel_width=_CELL * len(shown) + 190, panels=1, controls=controls, beside=0
    )
