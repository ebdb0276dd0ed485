"""Images and golden data that the tests of degradations share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor


@pytest.fixture
def images() -> Tensor:
    """Seven square colour images, the same in every test."""
    return torch.rand(7, 3, 20, 20, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def golden(data_root: Path) -> Mapping[str, npt.NDArray[np.float64]]:
    """Outputs of the code that made the stimuli of the paper."""
    file = data_root.parent / "reference" / "geirhos_golden.npz"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    return np.load(file)


@pytest.fixture(scope="session")
def golden_image(golden: Mapping[str, npt.NDArray[np.float64]]) -> Tensor:
    """The input of the golden outputs, float64 [1, 3, 64, 64]."""
    return torch.from_numpy(golden["input_rgb_uint8"] / 255).permute(2, 0, 1)[None]
