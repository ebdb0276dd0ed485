"""The worst noise of a finished network: how far along noise until it errs, and who learns what."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from robench.data.base import Split
from robench.errors import NotApplicableError
from robench.training.adversarial_noise import NoiseGenerator
from robench.training.worst_noise import distance_along, noise_for, trained_generator

SIDE = 6
PIXELS = SIDE * SIDE


class Brightness(nn.Module):
    """Answers 1 where the mean of an image is above a threshold."""

    def __init__(self, threshold: float = 0.6) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(threshold))

    def forward(self, images: Tensor) -> Tensor:
        above = 20 * (images.flatten(1).mean(dim=1) - self.threshold)
        return torch.stack([torch.zeros_like(above), above], dim=1)


class Skewed(Brightness):
    """Answers 1 where the values of an image are skewed to the bright side."""

    def forward(self, images: Tensor) -> Tensor:
        skew = (images.flatten(1) - 0.5).pow(3).mean(dim=1)
        above = 100 * (skew - self.threshold)
        return torch.stack([torch.zeros_like(above), above], dim=1)


def plain(*values: float) -> Tensor:
    """Images of one grey each."""
    return torch.tensor(values).view(-1, 1, 1, 1).repeat(1, 1, SIDE, SIDE)


def test_the_distance_has_a_closed_form_where_the_answer_is_a_threshold() -> None:
    images = plain(0.5, 0.3, 0.1)
    labels = torch.zeros(3, dtype=torch.int64)
    # Noise of any length: it is a direction.
    noise = torch.tensor([1.0, 0.01, 300.0]).view(-1, 1, 1, 1).expand_as(images)
    found = distance_along(Brightness(0.6), images, labels, noise)
    expected = torch.tensor([0.1, 0.3, 0.5], dtype=torch.float64) * math.sqrt(PIXELS)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_values_at_their_bound_go_no_further() -> None:
    images = plain(0.5)
    images[:, :, : SIDE // 2] = 0.9
    # The mean of 0.7 rises to 0.85: one half by 0.1, to its bound, the other by 0.2.
    found = distance_along(
        Brightness(0.85), images, torch.zeros(1, dtype=torch.int64), torch.ones_like(images)
    )
    assert float(found) == pytest.approx(math.sqrt(PIXELS / 2 * (0.1**2 + 0.2**2)), rel=1e-5)


def test_wrong_answers_are_at_no_distance_and_firm_ones_at_an_infinite_one() -> None:
    images, labels = plain(0.5, 0.8, 0.5), torch.tensor([0, 0, 0])
    noise = torch.ones_like(images)
    noise[2] = -1.0
    found = distance_along(Brightness(0.6), images, labels, noise)
    assert found[1:].tolist() == [0.0, math.inf]
    assert 0 < float(found[0]) < math.inf


def test_no_noise_leads_nowhere() -> None:
    images = plain(0.5)
    found = distance_along(Brightness(), images, torch.tensor([0]), torch.zeros_like(images))
    assert found.tolist() == [math.inf]


def test_the_noise_of_an_image_is_its_own() -> None:
    images, index = torch.rand(5, 3, SIDE, SIDE), torch.tensor([3, 1, 4, 15, 9])
    generator = NoiseGenerator(3, 3, seed=1)
    for source in (None, generator):
        together = noise_for(images, index, 7, source)
        assert together.shape == images.shape
        alone = noise_for(images[3:4], index[3:4], 7, source)
        torch.testing.assert_close(together[3:4], alone)
        assert not torch.equal(together, noise_for(images, index, 8, source))
        assert together.mean((2, 3)).abs().max() < 1e-6


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_generator_learns_what_misleads(kernel: int) -> None:
    """White noise is even on both sides; a generator that was trained skews it, at the mean 0."""
    pixels = torch.randint(90, 150, (60, 1, SIDE, SIDE), dtype=torch.uint8)
    split = Split(pixels, torch.zeros(60, dtype=torch.int64), torch.arange(60))
    model = Skewed(0.005)
    generator = trained_generator(model, split, kernel=kernel, rms=0.2, steps=60, seed=3)
    images = pixels[:20] / 255
    distances = [
        distance_along(
            model, images, split.labels[:20], noise_for(images, split.index[:20], 5, source)
        )
        for source in (generator, None)
    ]
    assert distances[0].isfinite().sum() > 2 * distances[1].isfinite().sum()
    assert distances[0].isfinite().double().mean() > 0.7
    assert distances[0].median() < 0.75 * distances[1].median()
    assert model.threshold.item() == pytest.approx(0.005)
    assert model.threshold.grad is None


def test_the_same_seed_trains_the_same_generator() -> None:
    pixels = torch.randint(0, 255, (30, 1, SIDE, SIDE), dtype=torch.uint8)
    split = Split(pixels, torch.zeros(30, dtype=torch.int64), torch.arange(30))
    weights = [
        nn.utils.parameters_to_vector(
            trained_generator(Brightness(), split, kernel=1, rms=0.2, steps=3, seed=seed)
            .requires_grad_(True)
            .parameters()
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_network_without_gradients_is_refused() -> None:
    class Jump(Brightness):
        def forward(self, images: Tensor) -> Tensor:
            return (super().forward(images) > 0).float()

    pixels = torch.randint(0, 255, (30, 1, SIDE, SIDE), dtype=torch.uint8)
    split = Split(pixels, torch.zeros(30, dtype=torch.int64), torch.arange(30))
    with pytest.raises(NotApplicableError, match="no gradient"):
        trained_generator(Jump(), split, kernel=1, rms=0.2, steps=3, seed=1)
