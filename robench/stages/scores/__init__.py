"""Metrics of a network's answers: one class a file, one line in the table below.

The stage ``calibration`` measures each of them on clean inputs and under each degradation. See
`robench.stages.scores.base.Score`. Nothing here imports numpy until a metric is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Registry

if TYPE_CHECKING:
    from robench.stages.base import MetricInfo
    from robench.stages.scores.base import Answers, Score

__all__ = ["SCORES", "Answers", "Score", "other_scores", "own_scores"]

_OWN = {
    "ece": "robench.stages.scores.ece:ExpectedCalibrationError",
    "adaptive_ece": "robench.stages.scores.adaptive_ece:AdaptiveCalibrationError",
    "overconfidence": "robench.stages.scores.overconfidence:Overconfidence",
    "brier": "robench.stages.scores.brier:Brier",
    "nll": "robench.stages.scores.nll:NegativeLogLikelihood",
}
"""In the order in which they are recorded."""

SCORES: Registry[type[Score]] = Registry(
    "metric",
    group="robench.metrics",
    builtins=_OWN,
    accept="robench.stages.scores.base:check_plugin",
)
"""Every metric of answers by name."""


def own_scores() -> tuple[str, ...]:
    """Names of robench's own, in their order."""
    return tuple(_OWN)


def other_scores() -> tuple[MetricInfo, ...]:
    """What the metrics of plug-in files and of installed packages say about themselves."""
    return tuple(SCORES.get(name).info() for name in SCORES.names() if name not in _OWN)


__getattr__ = lazily(__name__, dict.fromkeys(("Answers", "Score"), "robench.stages.scores.base"))
