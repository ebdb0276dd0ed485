"""Naming the layer that cannot take an image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.core.mismatch import mismatch_of


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
            (2, 1, 3, 3),
            ("0 (Conv2d)", "3 channels, not 1"),
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
            (2, 3, 4, 4),
            ("2 (Linear)", "4 features, not 16"),
        ),
        (
            nn.Sequential(nn.Identity(), nn.BatchNorm1d(5).eval()),
            (2, 6),
            ("1 (BatchNorm1d)", "5 channels, not 6"),
        ),
    ],
)
def test_the_first_layer_that_does_not_fit_is_named(
    model: nn.Module, shape: tuple[int, ...], expected: tuple[str, str]
) -> None:
    assert mismatch_of(model, torch.zeros(shape)) == expected


def test_a_failure_of_no_layer_is_blamed_on_none_and_hooks_are_removed() -> None:
    class Raises(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            raise ZeroDivisionError(str(self.layer(images).shape))

    model = Raises()
    assert mismatch_of(model, torch.zeros(2, 3)) == (None, None)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_images_are_left_alone() -> None:
    images = torch.zeros(2, 3)
    mismatch_of(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)), images.sub_(1.0))
    assert (images == -1).all()
