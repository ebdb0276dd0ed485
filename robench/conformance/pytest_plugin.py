"""The kit as tests of a method's own repository: one test a rule.

Where robench is installed, pytest knows the fixture ``robench_rule``; a test that asks for it runs
once for each rule:

    def test_conformance(robench_rule):
        robench_rule("my_method.py")        # a file beside the test, or the name of a method

A rule that is broken fails with what was seen, the line of the method at fault and what to do next;
a rule that has nothing to say is skipped. Runs that several rules look at are made once. Without
such a test this module costs nothing: torch is imported when the first rule runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from robench.conformance import RuleResult
    from robench.methods import Method

__all__ = ["pytest_generate_tests", "robench_rule"]

_SUBJECTS = pytest.StashKey[dict[object, Any]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each rule."""
    if "robench_rule" in metafunc.fixturenames:
        from robench.conformance import RULES

        metafunc.parametrize("robench_rule", list(RULES), indirect=True)


@pytest.fixture
def robench_rule(
    request: pytest.FixtureRequest,
) -> Callable[[str | Path | type[Method]], None]:
    """Holds one rule against a method: a plug-in file, a method's name, or a class.

    A relative path is looked for beside the test. Of a file all methods are checked, in a process
    of their own. For plug-ins of other kinds `robench.conformance.check` gives a report.
    """
    from robench.conformance import RULES, check_rule, subjects_of
    from robench.conformance.apart import Apart

    def results_of(target: str | Path | type[Method]) -> list[RuleResult]:
        made = request.config.stash.setdefault(_SUBJECTS, {})
        if isinstance(target, type):
            if target not in made:
                made[target] = subjects_of(target)
            return [check_rule(RULES[request.param], subject) for subject in made[target]]
        if target not in made:
            made[target] = Apart(target)
            request.config.add_cleanup(made[target].close)
        apart = made[target]
        (rule,) = [rule for rule in apart.rules["method"] if rule.name == request.param]
        return [apart.hold(rule, info) for info in apart.subjects if info.kind == "method"]

    def hold(target: str | Path | type[Method]) -> None:
        if not isinstance(target, type) and str(target).endswith(".py"):
            target = request.path.parent / target
        results = results_of(target)
        if broken := [result.complaint for result in results if result.outcome == "fail"]:
            pytest.fail("\n".join(broken), pytrace=False)
        if all(result.outcome == "skip" for result in results):
            pytest.skip(results[0].why)

    return hold
