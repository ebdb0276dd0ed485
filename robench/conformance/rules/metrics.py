"""What a metric of answers keeps to, on random answers and on extreme ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from robench.conformance.rule import BrokenError, rule
from robench.conformance.rules.common import documented, globals_kept, imports_cleanly
from robench.stages.scores.base import Answers, Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robench.conformance.subject import PluginSubject

__all__ = ["RULES"]


def _cases() -> Mapping[str, Answers]:
    """Random answers; one input; all right and all wrong with great confidence; two classes."""
    draw = np.random.default_rng(3)
    logits = draw.normal(size=(60, 5)).astype(np.float32)
    labels = draw.integers(0, 5, 60)
    sure = (40 * np.eye(5, dtype=np.float32))[labels]
    return {
        "random answers": Answers(logits, labels),
        "one input": Answers(logits[:1], labels[:1]),
        "answers that are all right": Answers(sure, labels),
        "answers that are all wrong": Answers(np.roll(sure, 1, axis=1), labels),
        "two classes": Answers(logits[:, :2], labels % 2),
    }


@rule("let measure() give a Figure; its value may be `None` where the metric is not defined")
def measures(subject: PluginSubject) -> str:
    """It gives a figure of any answers, finite or none."""
    for name, answers in _cases().items():
        figure = _measured(subject, answers)
        if not isinstance(figure, Figure):
            raise BrokenError(f"on {name} it gives {type(figure).__name__}", _line(subject))
        if figure.value is not None and not np.isfinite(figure.value):
            raise BrokenError(f"on {name} it gives {figure.value}", _line(subject))
    return f"{len(_cases())} sets of answers"


@rule("declare `bounds` that no value leaves, and give an interval that holds the value")
def keeps_within_bounds(subject: PluginSubject) -> str:
    """Values lie within the declared bounds, and within their own intervals."""
    least, most = subject.value.bounds
    for name, answers in _cases().items():
        figure = _measured(subject, answers)
        if figure.value is None:
            continue
        if not least <= figure.value <= most:
            raise BrokenError(f"on {name} it is {figure.value:g}, beyond bounds", _line(subject))
        low = -np.inf if figure.low is None else figure.low
        high = np.inf if figure.high is None else figure.high
        if not low <= figure.value <= high:
            raise BrokenError(f"on {name} the interval leaves out the value", _line(subject))
    return f"[{least:g}, {most:g}]"


@rule("do not depend on the order of the inputs")
def order_does_not_matter(subject: PluginSubject) -> str:
    """Answers in another order give the same figure, to rounding."""
    answers = _cases()["random answers"]
    turned = replace(answers, logits=answers.logits[::-1].copy(), labels=answers.labels[::-1])
    one, other = (_measured(subject, each).value for each in (answers, turned))
    if one != other and (
        one is None or other is None or abs(one - other) > 1e-9 * max(1, abs(one))
    ):
        raise BrokenError(f"in another order it is {other} instead of {one}", _line(subject))
    return "60 answers in reverse"


@rule("draw no random numbers, and leave the answers and the process as they are")
def deterministic(subject: PluginSubject) -> str:
    """Measured twice it is the same, and nothing that it was given has changed."""
    answers = _cases()["random answers"]
    logits, labels = answers.logits.copy(), answers.labels.copy()
    with globals_kept(subject, "measure"):
        one, other = (_measured(subject, answers) for _ in range(2))
    if one != other:
        raise BrokenError(f"measured twice it is {one.value} and {other.value}", _line(subject))
    same = np.array_equal(logits, answers.logits) and np.array_equal(labels, answers.labels)
    if not same:
        raise BrokenError("measure() writes into the answers", _line(subject))
    return "twice the same"


RULES = (
    measures,
    imports_cleanly,
    documented,
    keeps_within_bounds,
    order_does_not_matter,
    deterministic,
)


def _measured(subject: PluginSubject, answers: Answers) -> Figure:
    found: Figure = subject.value().measure(answers)
    return found


def _line(subject: PluginSubject) -> str | None:
    return subject.line_of("measure")
