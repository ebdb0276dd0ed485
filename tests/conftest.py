"""What all tests share: one torch thread, no results in the working directory, the data root."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from robench.spec import Cell, PluginRef, Recipe

if TYPE_CHECKING:
    from torch import nn

    from robench.data import Data

# How long an example takes depends on what else the machine does.
settings.register_profile("robench", deadline=None)
settings.load_profile("robench")

# Tests run two at a time on two cores; more threads than cores make all of them slower.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where there is none."""
    root = os.environ.get("ROBENCH_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("ROBENCH_DATA does not name a folder of data sets")
    return Path(root)


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    """``make_cell(stage="attack", seed=3)``: a cell that differs from a plain one in these."""

    def maker(**changes: Any) -> Cell:
        fields: dict[str, Any] = {
            "stage": "train",
            "suite": "trial",
            "suite_version": 1,
            "data": PluginRef(name="digits", version=1),
            "data_sha256": "0" * 64,
            "model": PluginRef(name="mlp", version=1),
            "method": PluginRef(name="halo", version=1),
            "level": 0.5,
            "seed": 0,
            "recipe": Recipe(),
        }
        return Cell(**{**fields, **changes})

    return maker


@pytest.fixture(scope="session")
def digits() -> Data:
    """Three hundred of the embedded digits to train on."""
    from robench.data import load

    return load("digits", {"subset": 300})


@pytest.fixture
def network(digits: Data) -> Callable[..., nn.Module]:
    """``network("mlp", widths=[32, 16])``, for the digits, always with the same weights."""
    from robench.models import build

    def maker(name: str, **params: Any) -> nn.Module:
        return build(
            name,
            input_shape=digits.input_shape,
            classes=10,
            mean=digits.mean,
            std=digits.std,
            params=params,
            seed=0,
        )

    return maker


TINY = """\
name: tiny
version: 1
description: for tests
data: digits
models: [{name: mlp, widths: [16]}]
methods: [dense]
levels: [0.5]
seeds: 1
recipe: {dense_steps: 5, sparse_steps: 5}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """``tiny(seeds="2")``: writes a tiny suite with these lines changed, and gives its path."""

    def writer(**changes: str) -> Path:
        lines = dict(line.split(": ", 1) for line in TINY.splitlines()) | changes
        path = tmp_path / "tiny.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return path

    return writer
