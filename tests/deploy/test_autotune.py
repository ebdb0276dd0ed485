"""A cost model that is measured: what is timed, and what follows from the times."""

from __future__ import annotations

import time

import pytest
import torch

from robench.deploy.autotune import fastest, timed


def test_each_form_is_timed_with_one_input_and_with_all() -> None:
    seen: dict[str, set[int]] = {"slow": set(), "quick": set()}

    def slow(maps: torch.Tensor) -> torch.Tensor:
        seen["slow"].add(len(maps))
        time.sleep(5e-3)
        return maps

    def quick(maps: torch.Tensor) -> torch.Tensor:
        seen["quick"].add(len(maps))
        assert torch.get_num_threads() == 1
        return maps

    threads = torch.get_num_threads()
    seconds = timed({"slow": slow, "quick": quick}, torch.rand(6, 2))
    assert seen == {"slow": {1, 6}, "quick": {1, 6}}
    assert torch.get_num_threads() == threads
    assert fastest(seconds) == "quick"
    assert all(5e-3 <= taken < 1 for taken in seconds["slow"])
    assert len(timed({"quick": quick}, torch.rand(1, 2))["quick"]) == 1


@pytest.mark.parametrize(
    ("other", "slack_s", "taken"),
    [
        ([1.0, 0.5], 0.0, "other"),
        ([1.0, 0.95], 0.0, "first"),
        ([1.1, 0.5], 0.0, "first"),
        ([1.1, 0.5], 0.2, "other"),
        ([0.5, 1.0], 0.0, "first"),
    ],
)
def test_the_first_stays_unless_another_clearly_wins(other, slack_s, taken) -> None:
    assert fastest({"first": [1.0, 1.0], "other": other}, slack_s) == taken


def test_the_best_of_several_is_taken() -> None:
    assert fastest({"a": [3.0], "b": [2.0], "c": [1.0], "d": [0.95]}) == "c"
