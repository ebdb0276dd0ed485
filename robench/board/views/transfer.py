"""Trained on one noise, tested on the others: a heat map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.board.comparable import ROW
from robench.board.coverage import is_graded
from robench.board.estimates import estimates
from robench.board.format import slug
from robench.board.measured import FRACTION, measured
from robench.board.views.base import (
    Plot,
    View,
    chosen,
    finished,
    inline,
    level_control,
    method_name,
    panel_control,
    tooltip,
    without_hidden,
)

if TYPE_CHECKING:
    from robench.board.leaderboard import Leaderboard
    from robench.board.views.base import Control

__all__ = ["transfer_view"]

_CELL = 46
CLEAN = "clean"


def transfer_view(board: Leaderboard) -> View:
    """Accuracy by training distortion and test degradation."""
    each = _accuracies(board)
    tested = each[each["kind"] != CLEAN]
    view = View(
        key="transfer",
        title="Does what it learnt on one noise carry over to another?",
        lead="Accuracy in percent of networks trained on one kind of image (rows) and tested on "
        "each kind (columns), the mean over all levels of the kind.",
        reading="Outlined cells are tested on what they were trained on. A bright outlined cell "
        "in a dark row means that the network learnt its own noise and nothing else. The first "
        "column is clean images. The mean over levels includes the mildest.",
    )
    several = tested.groupby("panel")["training"].nunique()
    panels = [panel for panel in board.panels if several.get(panel, 0) > 1]
    if not panels:
        missing = (
            "No data set and model in these results has networks that were trained on a noise and "
            "shown degraded images; add `distortions` and `degrade` to the suite."
        )
        return replace(view, missing=missing)
    shown = each[each["panel"].isin(panels)]
    graded = shown[(shown["training"] != "none") & (shown["method"] != "dense")]
    levels = sorted(float(level) for level in graded["level"].unique())
    controls = (panel_control(board, panels), level_control(levels))
    spec = _chart(board, shown, controls)
    return replace(
        view,
        spec=spec,
        controls=controls,
        plots=tuple(
            Plot(
                name=f"transfer-{number}-{slug(panel)}",
                caption=f"Accuracy in percent by training and test images: {panel}",
                spec=chosen(spec, chosen_panel=board.panels.index(panel)),
            )
            for number, panel in enumerate(panels, start=1)
        ),
    )


def _accuracies(board: Leaderboard) -> pd.DataFrame:
    """For each network and kind the mean accuracy over levels; clean images are a kind too."""
    columns = [*ROW, "seed", "kind", "value"]
    each = measured(board.frame, "degrade", "accuracy")
    if each.empty:
        return pd.DataFrame(columns=columns)
    kinds = each.groupby([*ROW, "seed", "kind"])["value"].mean().reset_index()
    clean = measured(board.frame, "train", "accuracy").assign(kind=CLEAN)
    return pd.concat([kinds[columns], clean[columns]], ignore_index=True)


def _data(board: Leaderboard, each: pd.DataFrame) -> alt.InlineData:
    # What stands for one network alone is left out: the means over levels have no such interval.
    bare = each.assign(low=float("nan"), high=float("nan"), n=1)
    found = estimates(bare, [*ROW, "kind"], bounds=FRACTION)
    rows = [
        (
            board.panels.index(row["panel"]),
            board.methods.index(row["method"]),
            row["level"] if is_graded(row["method"]) else -1,
            "clean images" if row["training"] == "none" else row["training"],
            row["kind"],
            *(None if row[name] != row[name] else row[name] for name in ("value", "low", "high")),
            row["seeds"],
            int(_is_own(row["training"], row["kind"])),
        )
        for row in found.to_dict("records")
    ]
    columns = ["panel", "m", "level", "training", "kind", "value", "low", "high", "seeds", "own"]
    return inline(rows, columns, [name for name in columns if name not in ("training", "kind")])


def _is_own(training: str, kind: str) -> bool:
    return training.partition(" ")[0] == kind or (training == "none" and kind == CLEAN)


def _chart(board: Leaderboard, each: pd.DataFrame, controls: tuple[Control, ...]) -> dict[str, Any]:
    trainings = [
        "clean images" if training == "none" else training
        for training in board.trainings
        if training in set(each["training"])
    ]
    kinds = [CLEAN, *sorted(set(each["kind"]) - {CLEAN})]
    x = alt.X("kind:N", sort=kinds, axis=alt.Axis(title="tested on", labelAngle=-40, grid=False))
    y = alt.Y("training:N", sort=trainings, axis=alt.Axis(title="trained on", grid=False))
    base = alt.Chart().transform_filter("isValid(datum.value)")
    # Viridis is dark below and bright above: ink that can be read on either half.
    ink = alt.condition("datum.value > 0.62", alt.value("#10151c"), alt.value("#ffffff"))
    shade = alt.Color(
        "value:Q",
        scale=alt.Scale(scheme="viridis", domain=[0, 1]),
        legend=alt.Legend(format="%", title="accuracy"),
    )
    hints = tooltip(
        method="method:N",
        trained_on="training:N",
        tested_on="kind:N",
        accuracy="value:Q|.1%",
        low="low:Q|.1%",
        high="high:Q|.1%",
        seeds="seeds:Q",
    )
    layers = [
        base.mark_rect(cornerRadius=2).encode(x=x, y=y, color=shade, tooltip=hints),
        base.transform_filter("datum.own")
        .mark_rect(filled=False, stroke="#ff5d5d", strokeWidth=2.5, cornerRadius=2)
        .encode(x=x, y=y),
        base.mark_text(fontSize=12).encode(
            x=x, y=y, text=alt.Text("percent:Q", format=".0f"), color=ink
        ),
    ]
    chart = (
        alt.layer(*layers, data=_data(board, each))
        .properties(width=_CELL * len(kinds), height=alt.Step(34))
        .facet(
            facet=alt.Facet(
                "method:N", sort=list(board.methods), header=alt.Header(title=None, labelLimit=400)
            ),
            columns=2,
        )
        .transform_filter("datum.panel === chosen_panel")
        .transform_filter("datum.level === chosen_level || datum.level < 0")
        .transform_calculate(method=method_name(board, "m"), percent="100 * datum.value")
        .transform_filter(without_hidden())
        .resolve_axis(x="independent", y="independent")
    )
    return finished(
        chart,
        panel_width=_CELL * len(kinds) + 110,
        panels=each["method"].nunique(),
        controls=controls,
    )
