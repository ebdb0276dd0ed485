"""An attack report on one screen, and as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from robench.attacks.evaluation.metrics import Distances
from robench.attacks.evaluation.scales import scale_of_shape
from robench.stats.proportion import wilson_interval
from robench.stats.resampling import Figure

if TYPE_CHECKING:
    import pandas as pd

    from robench.attacks.evaluation.flags import Flag
    from robench.attacks.suite.report import AttackReport

__all__ = ["frame_of", "summary_of"]

_WIDTH, _HEIGHT = 80, 24
"""Of a terminal that shows all of it."""
_LABEL = 16
"""Columns of the names on the left."""


def summary_of(report: AttackReport) -> str:
    """At most 23 lines of at most 80 columns; the prompt takes the last one."""
    body = [*_figures(report), *_attacks(report), *_cost(report)]
    remarks = [*_flags(report), *(("note", text) for text in report.notes)]
    room = _HEIGHT - 1 - len(body)
    if len(remarks) > room:
        remarks = [*remarks[: room - 1], ("", f"and {len(remarks) - room + 1} more remarks")]
    return "\n".join(_line(label, text) for label, text in [*body, *remarks])


def frame_of(report: AttackReport) -> pd.DataFrame:
    """One row an image; see `AttackReport.to_frame`."""
    import pandas as pd

    columns: dict[str, object] = {
        "correct": report.correct.cpu().numpy(),
        "distance": report.distance.cpu().numpy(),
        "winner": list(report.winner),
        "margin": report.margin.cpu().numpy(),
        "norm": report.norm.cpu().numpy(),
        "passes": report.passes.cpu().numpy(),
        "check_passes": report.check_passes.cpu().numpy(),
    }
    for key, member in report.attacks.items():
        columns[f"distance[{key}]"] = member.distance_on_ray.cpu().numpy()
    return pd.DataFrame(columns, index=pd.RangeIndex(len(report.distance), name="image"))


def _figures(report: AttackReport) -> Iterator[tuple[str, str]]:
    n, correct = len(report.distance), int(report.correct.sum())
    box = "inside the box [0, 1]" if report.box else "without a box"
    yield "attack suite", f"{report.suite}, seed {report.seed}, {box}"
    missing = int(report.distance.isinf().sum())
    left = f"; {missing} without an adversarial" if missing else ""
    yield "images", f"{n:,}, of which {correct:,} correct{left}"
    scale = scale_of_shape(tuple(report.adversarial.shape))
    distances = Distances(
        distance=report.distance.cpu().numpy(),
        correct=report.correct.cpu().numpy(),
        norm=report.norm.cpu().numpy(),
    )
    figures = distances.figures(scale.area_limit, report.seed)
    yield "median l2", f"{_told(figures['median_l2'])} of the correct images"
    yield "area", f"{_told(figures['l2_area'])} under accuracy, up to l2 {scale.area_limit:g}"
    for radius in (0.0, *scale.radii):
        robust = round(report.robust_accuracy(radius) * n)
        low, high = wilson_interval(robust, n)
        yield (
            "accuracy" if radius else "clean accuracy",
            f"{robust / n:7.1%} [{low:.1%}, {high:.1%}]" + (f" at l2 {radius:g}" if radius else ""),
        )


def _told(figure: Figure) -> str:
    return f"{figure.value:8.4g} [{figure.low:.4g}, {figure.high:.4g}]"


def _attacks(report: AttackReport) -> Iterator[tuple[str, str]]:
    wins = {key: member.wins or 0.0 for key, member in report.attacks.items()}
    ordered = sorted((key for key in wins if wins[key] > 0), key=lambda key: -wins[key])
    yield "closest by", ", ".join(f"{key} {wins[key]:.0%}" for key in ordered) or "no attack"


def _cost(report: AttackReport) -> Iterator[tuple[str, str]]:
    attacked = report.passes[report.correct].double()
    mean = attacked.mean().item() if len(attacked) else 0.0
    allowed = "no limit" if report.allowed is None else f"{report.allowed:,} allowed"
    yield "passes", f"{mean:,.0f} an image, forward and backward ({allowed})"
    if report.checks is not None:
        share = report.checks.passes / max(1, report.checks.images)
        yield "of the checks", f"{share:,.0f} an image, on {report.checks.images} images"


def _flags(report: AttackReport) -> Iterator[tuple[str, str]]:
    raised = [report.flags[name] for name in report.raised]
    if not raised:
        yield "flags", "none raised"
    for flag in sorted(raised, key=lambda flag: flag.kind == "note"):
        yield flag.kind, f"{flag.name} = {_value(flag)}: {flag.meaning}"


def _value(flag: Flag) -> str:
    return "unknown" if flag.value is None else f"{flag.value:.3g}"


def _line(label: str, text: str) -> str:
    short = textwrap.shorten(text, _WIDTH - _LABEL, placeholder=" …") if "\n" in text else text
    if len(short) > _WIDTH - _LABEL:
        short = short[: _WIDTH - _LABEL - 1].rstrip() + "…"
    return f"{label:<{_LABEL}}{short}"
