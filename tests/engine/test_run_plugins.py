"""Plug-ins of a run's own files join the suite's evaluations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robench.engine.run_plugins import with_guests
from robench.spec import load_suite


def test_attacks_metrics_and_stages_join_where_there_is_a_part_for_them(
    tiny: Callable[..., Path],
) -> None:
    suite = load_suite(tiny(evaluate="{attack: {suite: l2-smoke}, calibration: {kinds: none}}"))
    found = [("attack", "mine"), ("metric", "size"), ("stage", "speed"), ("method", "other")]
    (grid,) = with_guests(suite, found).grids
    assert [choice.name for choice in grid.evaluate.get("attack").extra] == ["mine"]
    assert grid.evaluate.get("calibration").metrics[-1] == "size"
    assert grid.evaluate.get("speed") is not None
    assert list(grid.evaluate.options) == ["attack", "calibration", "speed"]


def test_what_the_suite_asks_for_itself_stays(tiny: Callable[..., Path]) -> None:
    suite = load_suite(tiny(evaluate="{speed: {repeats: 40}}"))
    (grid,) = with_guests(suite, [("stage", "speed"), ("stage", "train")]).grids
    assert grid.evaluate.get("speed").repeats == 40
    assert list(grid.evaluate.options) == ["speed"]
