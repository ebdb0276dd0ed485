"""What a cell changed of the shared state is set back, and told."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from robench.engine.state import SharedState, seed_global_generators


def test_without_a_change_there_is_nothing_to_tell() -> None:
    changes = SharedState().restore()
    assert changes.names == ()
    assert changes.is_undone


def _chdir() -> None:
    os.chdir("/")


def _environment() -> None:
    os.environ["ROBENCH_TEST"] = "1"


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "grad mode": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "working directory": (_chdir, os.getcwd),
    "environment": (_environment, lambda: os.environ.get("ROBENCH_TEST")),
    "warning filters": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_is_set_back_and_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    change, read = CHANGES[name]
    before = read()
    state = SharedState()
    change()
    assert read() != before
    changes = state.restore()
    assert read() == before
    assert len(changes.names) == 1
    assert name in changes.names[0]
    assert changes.is_undone


def test_a_function_of_torch_that_was_replaced_is_put_back() -> None:
    state = SharedState()
    original = functional.relu
    functional.relu = lambda x: x  # type: ignore[assignment]
    changes = state.restore()
    assert functional.relu is original
    assert "torch.nn.functional.relu" in changes.names
    assert not changes.is_undone  # others may hold on to what was there


def test_drawing_is_no_fault_and_generators_begin_by_the_cell() -> None:
    state = SharedState()
    before = torch.get_rng_state()
    torch.rand(3), np.random.rand(), random.random()  # noqa: NPY002
    assert state.restore().names == ()
    assert torch.equal(torch.get_rng_state(), before)
    seed_global_generators("a")
    one = (torch.rand(2).tolist(), np.random.rand(), random.random())  # noqa: NPY002
    seed_global_generators("a")
    assert one == (torch.rand(2).tolist(), np.random.rand(), random.random())  # noqa: NPY002
    seed_global_generators("b")
    assert one[0] != torch.rand(2).tolist()
    state.restore()
