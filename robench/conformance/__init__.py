"""The conformance kit: what a method must keep to, rule by rule.

    from robench.conformance import check

    (report,) = check("my_method.py")
    for result in report.failed:
        print(result.rule, result.why, result.where)

``robench check my_method.py`` is the same on the command line, and the fixture ``robench_rule`` of
`robench.conformance.pytest_plugin` in the tests of a method's own repository. Nothing here imports
torch until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.conformance.kit import RULES, check, check_rule
    from robench.conformance.report import Report, RuleResult
    from robench.conformance.subject import Subject
    from robench.conformance.targets import subjects_of

__all__ = ["RULES", "Report", "RuleResult", "Subject", "check", "check_rule", "subjects_of"]

__getattr__ = lazily(
    __name__,
    {
        "RULES": "robench.conformance.kit",
        "Report": "robench.conformance.report",
        "RuleResult": "robench.conformance.report",
        "Subject": "robench.conformance.subject",
        "check": "robench.conformance.kit",
        "check_rule": "robench.conformance.kit",
        "subjects_of": "robench.conformance.targets",
    },
)
