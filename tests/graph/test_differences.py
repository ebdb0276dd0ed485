"""Differences between two networks: plain data, in a report and back."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict

import pytest

from robench.graph.differences import Differences
from robench.graph.proof import worst


def test_it_is_written_and_read() -> None:
    found = Differences(1e-12, 1e-6, 1e-13, 1e-5)
    assert Differences(**asdict(found)) == found
    with pytest.raises(FrozenInstanceError):
        found.logits_float32 = 0.0  # type: ignore[misc]


def test_the_worst_of_several_is_taken_for_each() -> None:
    one, other = Differences(1.0, 0.0, 3.0, 0.0), Differences(0.0, 2.0, 4.0, 0.0)
    assert worst([one, other]) == Differences(1.0, 2.0, 4.0, 0.0)
