"""robench: what does making a network sparse do to its speed and its robustness?

    import robench

    suite = robench.load_suite("quick")
    results = robench.run(suite, results="results", jobs=2)
    frame = results.table()
    robench.build_board("results", "leaderboard/site")

Everything below is imported when it is first used, so that ``import robench`` stays quick and
imports neither torch nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

__version__ = "0.2.0"

if TYPE_CHECKING:
    from robench.analysis import error_consistency
    from robench.api import Results, build_board, check_attack, contact_sheet, evaluate, run
    from robench.attacks import minimal_l2
    from robench.attacks.core.base import Attack
    from robench.compaction import compact
    from robench.degradations import DEGRADATIONS, degrade
    from robench.errors import RobenchError
    from robench.measure import measure_speed
    from robench.methods.base import Method
    from robench.spec import Suite, load_suite

_HOMES = {
    "Attack": "robench.attacks.core.base",
    "DEGRADATIONS": "robench.degradations",
    "Method": "robench.methods.base",
    "Results": "robench.api",
    "RobenchError": "robench.errors",
    "Suite": "robench.spec",
    "build_board": "robench.api",
    "check_attack": "robench.api",
    "compact": "robench.compaction",
    "contact_sheet": "robench.api",
    "degrade": "robench.degradations",
    "error_consistency": "robench.analysis",
    "evaluate": "robench.api",
    "load_suite": "robench.spec",
    "measure_speed": "robench.measure",
    "minimal_l2": "robench.attacks",
    "run": "robench.api",
}

__all__ = [
    "DEGRADATIONS",
    "Attack",
    "Method",
    "Results",
    "RobenchError",
    "Suite",
    "__version__",
    "build_board",
    "check_attack",
    "compact",
    "contact_sheet",
    "degrade",
    "error_consistency",
    "evaluate",
    "load_suite",
    "measure_speed",
    "minimal_l2",
    "run",
]


__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
