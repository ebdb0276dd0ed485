"""What all tests share: one torch thread, no results in the working directory, the data root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests run two at a time on two cores; more threads than cores make all of them slower.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where there is none."""
    root = os.environ.get("ROBENCH_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("ROBENCH_DATA does not name a folder of data sets")
    return Path(root)
