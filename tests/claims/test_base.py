"""A verdict is that of the interval over seeds."""

from __future__ import annotations

import math

import pytest

from robench.claims.base import Statement


@pytest.mark.parametrize(
    ("values", "least", "most", "verdict"),
    [
        ([0.1, 0.1, 0.1], -math.inf, 0.2, "holds"),
        ([0.3, 0.3, 0.3], -math.inf, 0.2, "does not hold"),
        ([0.0, 0.2, 0.4], -math.inf, 0.2, "open"),
        ([0.1, math.nan, 0.1], -math.inf, 0.2, "not defined"),
        ([0.1, 0.1, 0.1], 0.0, math.inf, "holds"),
        ([0.1, 0.1], 0.0, math.inf, "open: fewer than 3 seeds"),
        ([0.1, 0.2, 0.4], -math.inf, math.inf, "reported"),
        ([], 0.0, math.inf, "not defined"),
    ],
)
def test_a_verdict(values: list[float], least: float, most: float, verdict: str) -> None:
    statement = Statement("figure", values, least=least, most=most, remark="by hand")
    assert statement.verdict == verdict
    assert verdict in statement.line
