"""What holds for the networks of any library."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.errors import NotApplicableError
from robench.models.base import check_plugin
from robench.models.library import LibraryNetwork, member, with_channels


class Tail(nn.Module):
    """A network of some library: images of at least 8x8 pixels, as the last layer has it."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 8)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))


class Library(LibraryNetwork):
    """Some library."""

    extra_outputs = 0
    fault: Exception | None = None

    def make(self, channels: int, height: int, width: int) -> nn.Module:
        if self.fault is not None:
            raise self.fault
        return Tail(channels, self.classes + self.extra_outputs)


Small = member(Library, "library", "small")


def network(kind: type[Library] = Small, shape: tuple[int, ...] = (3, 9, 9)) -> Any:
    mean, std = (0.5,) * shape[0], (0.2,) * shape[0]
    return kind(input_shape=shape, classes=5, mean=mean, std=std)


def test_a_member_is_a_model_of_its_own_name() -> None:
    assert check_plugin(Small) is None
    assert (Small.name, Small.architecture) == ("library:small", "small")
    assert Small.__doc__ == "small as library builds it, with random initial weights."


def test_it_takes_inputs_from_0_to_1_and_is_prunable_by_its_own_names() -> None:
    model = network().eval()
    x = torch.rand(2, 3, 9, 9)
    assert torch.equal(model(x), model.body.small((x - 0.5) / 0.2))
    assert list(model.prunable()) == ["body.small.conv.weight", "body.small.fc.weight"]
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_the_librarys_own_initial_weights_stay() -> None:
    torch.manual_seed(3)
    model = network()
    torch.manual_seed(3)
    expected = Tail(3, 5)
    for weight, other in zip(model.body.small.parameters(), expected.parameters(), strict=True):
        assert torch.equal(weight, other)
    assert model.body.small.training
    assert model.body.small.norm.num_batches_tracked == 0


@pytest.mark.parametrize("shape", [(3, 7, 7), (1, 20, 7)])
def test_too_small_images_are_refused_with_the_smallest_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotApplicableError, match="library:small cannot take images of") as caught:
        network(shape=shape)
    assert caught.value.allowed == "at least 8x8 pixels"


def test_rows_of_features_are_refused() -> None:
    with pytest.raises(NotApplicableError, match="needs images"):
        network(shape=(30,))


def test_what_the_library_says_itself_is_handed_on() -> None:
    class Choosy(Small):
        fault = AssertionError("images must be round")

    with pytest.raises(NotApplicableError, match="9x9 pixels: images must be round"):
        network(Choosy)


def test_a_network_that_returns_no_logits_is_refused() -> None:
    class Wide(Small):
        extra_outputs = 1

    with pytest.raises(NotApplicableError, match=r"does not return logits of shape \(1, 5\)"):
        network(Wide)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_another_number_of_channels_leaves_the_outputs_as_large(channels: int) -> None:
    torch.manual_seed(0)
    old = nn.Sequential(nn.Sequential(nn.Conv2d(3, 600, 5, stride=2)), nn.ReLU())
    bias, deviation = old[0][0].bias, old[0][0].weight.std().item()
    conv = with_channels(old, channels)[0][0]
    assert conv.weight.shape == (600, channels, 5, 5)
    assert (conv.in_channels, conv.stride) == (channels, (2, 2))
    assert torch.equal(conv.bias, bias)
    assert conv.weight.requires_grad
    expected = deviation * math.sqrt(3 / channels)
    assert conv.weight.std().item() == pytest.approx(expected, rel=0.03)
