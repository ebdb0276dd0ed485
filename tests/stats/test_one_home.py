"""Intervals and tests of significance are computed in `robench/stats/`, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import robench

PACKAGE = Path(robench.__file__).parent
DISTRIBUTIONS = {"norm", "t", "beta", "binom", "binomtest", "chi2", "bootstrap", "sem"}
Z = (1.959963984540054, 1.96, 1.645, 2.576)


def strays(path: Path) -> list[str]:
    """Lines that import a distribution of scipy, or write down one of its quantiles."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "scipy.stats":
            found += [a.name for a in node.names if a.name in DISTRIBUTIONS]
        elif isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value in Z:
            found.append(str(node.value))
        elif isinstance(node, ast.Attribute) and node.attr in ("ppf", "proportion_ci"):
            found.append(node.attr)
    return [f"{path.relative_to(PACKAGE)}: {what}" for what in found]


def test_nobody_else_computes_intervals() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "stats"]
    assert [line for path in files for line in strays(path)] == []


def test_the_walk_would_notice() -> None:
    assert strays(PACKAGE / "stats" / "proportion.py")
    assert strays(PACKAGE / "stats" / "sign_test.py")
