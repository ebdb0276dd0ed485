"""Data of each kind, and what is known when a cell is planned."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.data import load
from robench.stages.base import Premises


@pytest.fixture
def premises() -> Callable[[str], Premises]:
    """``premises("digits")``: that data set, on the CPU."""
    return lambda name: Premises(load(name), "cpu")
