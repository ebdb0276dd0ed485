from __future__ import annotations

import math

import pytest
import torch

from robench.analysis.similarity import degradation_similarity
from robench.degradations import degrade
from robench.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def similar(images: torch.Tensor, **levels: float) -> dict[tuple[str, str], float]:
    named = {kind.replace("_", "-"): level for kind, level in levels.items()}
    found = degradation_similarity(images, named)
    return {(row.a, row.b): row.similarity for row in found.itertuples()}


def test_it_is_the_cosine_of_the_changes(images: torch.Tensor) -> None:
    found = similar(images, contrast=0.3, low_pass=20.0)
    changes = [degrade(images, *what) - images for what in (("contrast", 0.3), ("low-pass", 20.0))]
    cosines = torch.nn.functional.cosine_similarity(changes[0].flatten(1), changes[1].flatten(1))
    assert found["contrast", "low-pass"] == pytest.approx(float(cosines.mean()), abs=1e-6)
    assert found["contrast", "contrast"] == pytest.approx(1, abs=1e-6)


def test_noise_is_like_itself_only_in_what_is_not_drawn(images: torch.Tensor) -> None:
    """Of uniform noise that is the loss of contrast: E|d|² of it over all of E|change|²."""
    found = similar(images, uniform_noise=0.2, gaussian_noise=0.1)
    lost = float((0.35 - 0.7 * images).square().mean())
    expected = lost / (lost + 0.2**2 / 3)
    assert found["uniform-noise", "uniform-noise"] == pytest.approx(expected, abs=0.05)
    assert abs(found["gaussian-noise", "gaussian-noise"]) < 0.1
    assert found["uniform-noise", "gaussian-noise"] == pytest.approx(
        found["gaussian-noise", "uniform-noise"], abs=0.1
    )


def test_what_changes_nothing_is_like_nothing(images: torch.Tensor) -> None:
    found = similar(images, greyscale=1.0, contrast=0.5)
    assert math.isnan(found["greyscale", "contrast"])


def test_names_and_levels_are_checked(images: torch.Tensor) -> None:
    with pytest.raises(UnknownNameError):
        similar(images, blur=1.0)
    with pytest.raises(InputError):
        similar(images, contrast=7.0)
