"""Holding every rule against a method."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import robench
from robench.conformance.aspects import Process
from robench.conformance.lines import line_in
from robench.conformance.observer import source_files
from robench.conformance.report import Outcome, Report, RuleResult
from robench.conformance.rule import BrokenError, Rule, SkippedError
from robench.conformance.rules import inputs, interface, outcome, training
from robench.conformance.subject import Subject
from robench.conformance.targets import subjects_of
from robench.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from robench.methods.base import Method

__all__ = ["RULES", "check", "check_rule", "chosen_rules", "report_on"]

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (*interface.RULES, *training.RULES, *outcome.RULES, *inputs.RULES)
}
"""Every rule by name, in the order in which they are checked."""


def check(
    target: str | Path | type[Method],
    *,
    rules: Sequence[str] = (),
    note: Callable[[str], None] = lambda _: None,
) -> list[Report]:
    """Hold the rules against every method that the target stands for.

    A method takes some seconds of one core. Global state is left as it was found.

    Args:
        target: a plug-in file, a name as in ``robench list methods``, ``all`` for every built-in
            method, or a class.
        rules: names of the rules; none means all.
        note: is told what is being done, in a few words.

    Raises:
        UnknownNameError: there is no such method or rule.
        PluginError: the file cannot be used, or defines no method.
    """
    chosen = chosen_rules(rules)
    return [report_on(subject, chosen) for subject in subjects_of(target, note)]


def chosen_rules(names: Sequence[str]) -> list[Rule]:
    """The rules of these names; all rules where there are none.

    Raises:
        UnknownNameError: there is no such rule.
    """
    for name in names:
        if name not in RULES:
            raise UnknownNameError("rule", name, RULES)
    return [RULES[name] for name in names or RULES]


def report_on(
    subject: Subject, rules: Sequence[Rule], told: Callable[[RuleResult], None] = lambda _: None
) -> Report:
    """Hold rules against one method.

    Args:
        subject: the method.
        rules: which ones.
        told: is given each result as soon as it is there.
    """
    clock = time.perf_counter()
    results = []
    for rule in rules:
        results.append(check_rule(rule, subject))
        told(results[-1])
    version = getattr(subject.kind, "version", None)
    return Report(
        method=subject.name,
        version=version if isinstance(version, int) else None,
        source=subject.line_of() or str(subject.file),
        source_sha256=subject.source_sha256,
        robench=robench.__version__,
        results=tuple(results),
        seconds=round(time.perf_counter() - clock, 3),
    )


def check_rule(rule: Rule, subject: Subject) -> RuleResult:
    """Hold one rule against one method; whatever the method raises is a broken rule."""
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
        where = line_in(source_files(subject.kind), error.__traceback__)
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
