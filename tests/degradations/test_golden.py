"""Every kind against what the code of the paper made of one image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS, degrade
from robench.degradations.base import Degradation, to_grey
from robench.degradations.noise import salt_and_pepper, uniform_noise
from robench.degradations.power import equalise
from robench.degradations.random import Noise
from tests.degradations.eidolon_released import as_released

pytestmark = pytest.mark.data

Golden = Mapping[str, npt.NDArray[np.float64]]

KINDS = {
    "contrast": ("contrast", None),
    "low_pass": ("low-pass", "pixels"),
    "high_pass": ("high-pass", "pixels"),
    "phase_scrambling_released": ("phase-noise", "geirhos2018"),
    "rotation": ("rotation", None),
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
    name, variant = KINDS[kind]
    assert len(outputs) >= 3
    for level, expected in outputs.items():
        assert level in DEGRADATIONS[name]
        got = degrade(golden_image.to(dtype), name, level, seed=42, variant=variant)
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


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str
)
def test_power_equalisation(
    golden: Golden, golden_image: Tensor, dtype: torch.dtype, tolerance: float
) -> None:
    amplitude = np.fft.ifftshift(golden["mean_amplitude_64"])[:, :33]
    grey = to_grey(golden_image).to(dtype)
    got = equalise(grey, torch.from_numpy(amplitude).to(dtype))
    np.testing.assert_allclose(got[0], golden["power_equalisation"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opponent_colour_to_the_last_of_its_256_values(
    golden: Golden, golden_image: Tensor, dtype: torch.dtype
) -> None:
    got = degrade(golden_image.to(dtype), "opponent-colour", 1.0)[0].permute(1, 2, 0)
    expected = torch.from_numpy(golden["false_colour"])
    assert torch.equal(got, expected.to(dtype))


@pytest.mark.parametrize(
    ("coherence", "reach"),
    [
        ("1", 2),
        ("0.3", 2),
        ("0", 2),
        ("0", 8),
        *(pytest.param("1", reach, marks=pytest.mark.slow) for reach in (8, 32)),
        pytest.param("0.3", 32, marks=pytest.mark.slow),
    ],
)
def test_the_reference_eidolons_are_the_released_ones_to_the_last_bit(
    golden: Golden, coherence: str, reach: int
) -> None:
    image = torch.from_numpy(golden["eidolon_input_rgb_uint8"] / 255).permute(2, 0, 1)[None]
    noise = Noise(0, torch.zeros(1, dtype=torch.int64), seed=42)
    got = as_released(image.float(), reach, float(coherence), noise)
    expected = torch.from_numpy(golden[f"eidolon/reach{reach}_coh{coherence}_grain10"])
    assert torch.equal(got[0, 0], (expected.double() / 255).float())


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
