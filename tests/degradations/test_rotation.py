from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robench.degradations import degrade
from robench.errors import InputError


def test_quarter_turns_are_counter_clockwise() -> None:
    image = torch.tensor([[0.1, 0.2], [0.3, 0.4]]).view(1, 1, 2, 2)
    expected = {
        0: [[0.1, 0.2], [0.3, 0.4]],
        90: [[0.2, 0.4], [0.1, 0.3]],
        180: [[0.4, 0.3], [0.2, 0.1]],
        270: [[0.3, 0.1], [0.4, 0.2]],
    }
    for angle, pixels in expected.items():
        assert torch.equal(degrade(image, "rotation", angle)[0, 0], torch.tensor(pixels))


def test_four_quarter_turns_are_none(images: Tensor) -> None:
    turned = images
    for _ in range(4):
        turned = degrade(turned, "rotation", 90)[:, :1]
    assert torch.equal(turned, degrade(images, "greyscale", 1)[:, :1])


def test_only_half_turns_keep_the_shape_of_oblong_images() -> None:
    oblong = torch.rand(2, 1, 4, 6)
    assert torch.equal(degrade(oblong, "rotation", 180), oblong.flip(-2, -1))
    for angle in (90, 270):
        with pytest.raises(InputError, match=f"4 x 6 pixels cannot be turned by {angle} degrees"):
            degrade(oblong, "rotation", angle)
