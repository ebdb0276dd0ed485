"""Holding every rule against a plug-in."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from robench.conformance.apart import SILENCE_LIMIT_S, Apart
from robench.conformance.aspects import Process
from robench.conformance.lines import line_in
from robench.conformance.report import Outcome, Report, RuleResult, report_on
from robench.conformance.rule import BrokenError, Rule, SkippedError
from robench.conformance.rules import (
    attacks,
    common,
    datasets,
    degradations,
    inputs,
    interface,
    metrics,
    models,
    outcome,
    stages,
    training,
)
from robench.conformance.targets import subjects_of
from robench.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from robench.conformance.subject import PluginSubject
    from robench.methods.base import Method

__all__ = [
    "RULES",
    "RULES_OF",
    "check",
    "check_rule",
    "chosen_rules",
    "rules_for",
]

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (*interface.RULES, *training.RULES, *outcome.RULES, *inputs.RULES)
}
"""Every rule of methods by name, in the order in which they are checked."""
RULES_OF: dict[str, dict[str, Rule]] = {
    "method": RULES,
    **{
        word: {rule.name: rule for rule in rules}
        for word, rules in (
            ("attack", attacks.RULES),
            ("degradation", degradations.RULES),
            ("model", models.RULES),
            ("data set", datasets.RULES),
            ("stage", stages.RULES),
            ("metric", metrics.RULES),
            ("view", common.RULES),
        )
    },
}
"""The rules of each kind of plug-in, by the word for it."""


def check(
    target: str | Path | type[Method],
    *,
    rules: Sequence[str] = (),
    note: Callable[[str], None] = lambda _: None,
    limit_s: float = SILENCE_LIMIT_S,
) -> list[Report]:
    """Hold the rules against every plug-in that the target stands for.

    A plug-in takes some seconds of one core, in a process of its own, which it may end or hang
    without harm. A class is checked in this process, whose global state is left as it was found.

    Args:
        target: a plug-in file, a name as in ``robench list``, ``all`` for every built-in method, or
            a class of methods.
        rules: names of the rules; none means all.
        note: is told what is being done, in a few words.
        limit_s: seconds that a plug-in may go on without a sign of life.

    Raises:
        UnknownNameError: there is no such plug-in or rule.
        PluginError: the file cannot be used, or defines no plug-in.
    """
    if isinstance(target, type):
        chosen_rules(rules)
        return [
            report_on(subject.info, rules_for(subject.word, rules), partial(_held, subject=subject))
            for subject in subjects_of(target, note)
        ]
    with Apart(target, note, rules=rules, limit_s=limit_s) as apart:
        return [
            report_on(info, apart.rules[info.kind], partial(apart.hold, subject=info))
            for info in apart.subjects
        ]


def chosen_rules(names: Sequence[str]) -> None:
    """Refuse names that no rule has.

    Raises:
        UnknownNameError: there is no such rule.
    """
    known = {name for rules in RULES_OF.values() for name in rules}
    for name in names:
        if name not in known:
            raise UnknownNameError("rule", name, known)


def rules_for(word: str, names: Sequence[str] = ()) -> list[Rule]:
    """The rules of one kind of plug-in that have these names; all of them where there are none."""
    return [rule for name, rule in RULES_OF[word].items() if name in names or not names]


def _held(rule: Rule, *, subject: PluginSubject) -> RuleResult:
    return check_rule(rule, subject)


def check_rule(rule: Rule, subject: PluginSubject) -> RuleResult:
    """Hold one rule against one plug-in, in this process; whatever it raises is a broken rule."""
    clock = time.perf_counter()
    where: str | None = None
    outcome: Outcome = "fail"
    try:
        with _one_thread():
            subject.note(rule.name)
            why, outcome = rule.check(subject), "pass"
    except SkippedError as error:
        why, outcome = str(error), "skip"
    except BrokenError as error:
        why, where = error.why, error.where
    except (Exception, SystemExit) as error:  # noqa: BLE001 - nothing ends the kit
        why = f"{type(error).__name__}: {error}"
        where = line_in(subject.files, error.__traceback__)
    return RuleResult(
        rule=rule.name,
        meaning=rule.meaning,
        remedy=rule.remedy,
        outcome=outcome,
        why=" ".join(why.split()),
        where=where,
        seconds=round(time.perf_counter() - clock, 3),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread, as a worker has; global state back afterwards."""
    import torch

    process = Process()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        process.restore()
