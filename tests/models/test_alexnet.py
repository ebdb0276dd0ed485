"""AlexNet against the paper's count and the shapes of its layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError, ParameterError
from robench.models import build


def alexnet(side_px: int = 67, classes: int = 10, **params: object) -> nn.Module:
    small = {"widths": [4, 4, 4, 4, 4], "hidden": 8, **params}
    return build(
        "alexnet",
        input_shape=(3, side_px, side_px),
        classes=classes,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        params=small,
    )


def test_groups_share_out_the_maps() -> None:
    grouped, whole = (dict(alexnet(groups=g).named_modules()) for g in (2, 1))
    for name in ("conv2", "conv4", "conv5"):
        assert grouped[f"body.{name}"].groups == 2
        assert whole[f"body.{name}"].weight.numel() == 2 * grouped[f"body.{name}"].weight.numel()
    for name in ("conv1", "conv3"):
        assert grouped[f"body.{name}"].groups == 1


@pytest.mark.parametrize("side_px", [63, 80, 131])
def test_the_first_linear_layer_fits_itself_to_the_image(side_px: int) -> None:
    network = alexnet(side_px).eval()
    assert network(torch.rand(2, 3, side_px, side_px)).shape == (2, 10)


def test_what_it_refuses() -> None:
    with pytest.raises(NotApplicableError, match="63"):
        alexnet(62)
    with pytest.raises(ParameterError, match="groups 2 must divide"):
        alexnet(widths=[4, 5, 4, 4, 4])


def test_dropout_is_in_training_alone() -> None:
    torch.manual_seed(0)
    network = alexnet(dropout=0.5, hidden=64, widths=[16] * 5)
    images = torch.rand(2, 3, 67, 67)
    assert not torch.equal(network.train()(images), network(images))
    assert torch.equal(network.eval()(images), network(images))
