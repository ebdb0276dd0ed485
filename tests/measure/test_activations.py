"""Peak activation memory against hand-computed cases."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.measure.activations import peak_activation_bytes

FLOAT = 4


def chain(*, inplace: bool) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=inplace), nn.Linear(8, 2)).eval()


@pytest.mark.parametrize("batch", [1, 7])
def test_a_chain_holds_its_input_and_two_neighbours(batch: int) -> None:
    """In the ReLU: 4 inputs, 8 before it and 8 behind it."""
    peak = peak_activation_bytes(chain(inplace=False), torch.rand(batch, 4))
    assert peak == batch * (4 + 8 + 8) * FLOAT


def test_a_step_in_place_takes_nothing() -> None:
    """In the last layer: 4 inputs, 8 hidden units and 2 logits."""
    peak = peak_activation_bytes(chain(inplace=True), torch.rand(1, 4))
    assert peak == (4 + 8 + 2) * FLOAT


class Residual(nn.Module):
    """Widens to 16 and back to 8, beside a shortcut of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.first(rows)
        hidden = torch.relu(hidden)
        hidden = self.second(hidden)
        return rows + hidden


def test_a_shortcut_lives_as_long_as_its_branch() -> None:
    """In the first block's ReLU: the shortcut, which is the input, and 16 before and behind it.

    In the second block the shortcut is the first block's sum, beside the input that the caller
    holds.
    """
    assert peak_activation_bytes(Residual().eval(), torch.rand(1, 8)) == (8 + 16 + 16) * FLOAT
    two = nn.Sequential(Residual(), Residual()).eval()
    assert peak_activation_bytes(two, torch.rand(1, 8)) == (8 + 8 + 16 + 16) * FLOAT


def test_views_count_once_and_parameters_not_at_all() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1000))

        def forward(self, maps: Tensor) -> Tensor:
            rows = maps.flatten(1).view(-1, 6)
            return rows.t()[:4] if self.scale.view(10, 100).ndim == 2 else rows

    assert peak_activation_bytes(Views().eval(), torch.rand(2, 3, 2)) == 12 * FLOAT


def test_convolutions_and_norms() -> None:
    """In the BatchNorm: 100 pixels, and two channels of 8 × 8 before and behind it."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1)).eval()
    peak = peak_activation_bytes(model, torch.rand(1, 1, 10, 10))
    assert peak == (100 + 2 * 2 * 64) * FLOAT


def test_the_input_stays_as_it_is() -> None:
    images = torch.rand(2, 4) - 0.5
    before = images.clone()
    peak_activation_bytes(nn.Sequential(nn.ReLU(inplace=True)).eval(), images)
    assert torch.equal(images, before)


@pytest.mark.gpu
def test_a_gpu_needs_at_least_what_python_sees() -> None:
    model, images = chain(inplace=False), torch.rand(4096, 4)
    expected = 4096 * (4 + 8 + 8) * FLOAT
    found = peak_activation_bytes(model.cuda(), images.cuda())
    assert expected <= found <= 2 * expected
