"""Every kind against what the code of the paper made of one image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS, degrade
from robench.degradations.base import Degradation
from robench.degradations.noise import salt_and_pepper, uniform_noise

pytestmark = pytest.mark.data

Golden = Mapping[str, npt.NDArray[np.float64]]

KINDS = {
    "contrast": "contrast",
    "low_pass": "low-pass",
    "high_pass": "high-pass",
    "rotation": "rotation",
}


def expected_outputs(golden: Golden, kind: str) -> dict[float, npt.NDArray[np.float64]]:
    prefix = kind + "/"
    return {float(key[len(prefix) :]): golden[key] for key in golden if key.startswith(prefix)}


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_golden_level(
    golden: Golden, golden_image: Tensor, kind: str, dtype: torch.dtype, tolerance: float
) -> None:
    outputs = expected_outputs(golden, kind)
    assert len(outputs) >= 3
    for level, expected in outputs.items():
        assert level in DEGRADATIONS[KINDS[kind]]
        variant = "pixels" if kind.endswith("pass") else None
        got = degrade(golden_image.to(dtype), KINDS[kind], level, variant=variant)
        assert got.dtype == dtype
        for channel in got[0]:
            np.testing.assert_allclose(channel, expected, rtol=0, atol=tolerance)


def test_grey(golden: Golden, golden_image: Tensor) -> None:
    got = degrade(golden_image, "greyscale", 1.0)[0]
    np.testing.assert_allclose(got, np.stack([golden["grey"]] * 3), rtol=0, atol=1e-15)


def test_rotation_moves_pixels_and_changes_none(golden_image: Tensor) -> None:
    grey = degrade(golden_image, "greyscale", 1.0)[0, 0].numpy()
    for turns in range(4):
        got = degrade(golden_image, "rotation", 90 * turns)[0, 0].numpy()
        assert (got == np.rot90(grey, turns)).all()


class LegacyNoise:
    """The numbers that the code of the paper drew for the golden outputs."""

    def uniform(self, *shape: int) -> Tensor:
        return torch.from_numpy(np.random.RandomState(42).uniform(size=shape))[None]


@pytest.mark.parametrize(
    ("key", "degradation"),
    [("uniform_noise", uniform_noise), ("salt_and_pepper", salt_and_pepper)],
)
def test_noise_formulas_with_the_numbers_of_the_paper(
    golden: Golden, key: str, degradation: Degradation
) -> None:
    outputs = expected_outputs(golden, key)
    assert len(outputs) >= 7
    for level, expected in outputs.items():
        grey = torch.from_numpy(golden["grey"])[None]
        got = degradation.function(grey, level, noise=LegacyNoise())
        np.testing.assert_allclose(got[0], expected, rtol=0, atol=1e-12)
