"""Which steps between two layers let their channels be told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.compaction.links import Link, link_layers
from robench.models.chain import chain


class Between(nn.Module):
    """A convolution, some steps given as a function, and a second layer."""

    def __init__(self, steps: Callable[[Tensor], Tensor], second: nn.Module) -> None:
        super().__init__()
        self.first, self.steps, self.second = nn.Conv2d(1, 3, 3), steps, second

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.steps(self.first(images)))


def link(model: nn.Module) -> Link:
    (only,) = link_layers(chain(model))
    return only


@pytest.mark.parametrize(
    "steps",
    [
        lambda maps: torch.flatten(F.relu(maps), 1),
        lambda maps: F.max_pool2d(maps, 2).flatten(1),
        lambda maps: F.dropout(torch.tanh(maps).flatten(start_dim=1), 0.5, training=False),
        lambda maps: maps.sigmoid().view(maps.size(0), -1),
        lambda maps: F.adaptive_avg_pool2d(maps, 2).reshape(maps.shape[0], -1),
    ],
)
def test_functions_that_keep_channels_apart(steps: Callable[[Tensor], Tensor]) -> None:
    found = link(Between(steps, nn.Linear(12, 2)))
    assert found.barrier is None
    assert found.block == 4


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        (lambda maps: maps.view(-1, 12), "view"),
        (lambda maps: maps.view(maps.size(0), 12), "view"),
        (lambda maps: torch.flatten(maps, 2).flatten(1), "flatten"),
        (lambda maps: torch.softmax(maps, 1).flatten(1), "softmax"),
        (lambda maps: maps.transpose(1, 2).flatten(1), "transpose"),
        (lambda maps: F.layer_norm(maps, (2, 2)).flatten(1), "layer_norm"),
        (F.relu, "channels are not the inputs"),
    ],
)
def test_functions_that_do_not(steps: Callable[[Tensor], Tensor], word: str) -> None:
    barrier = link(Between(steps, nn.Linear(12, 2))).barrier
    assert barrier is not None
    assert word in barrier


class Custom(nn.ReLU):
    """A subclass may do anything."""


@pytest.mark.parametrize(
    ("module", "is_open"),
    [
        (nn.PReLU(), True),
        (nn.PReLU(3), False),
        (nn.Dropout2d(), True),
        (nn.AvgPool2d(2), True),
        (nn.BatchNorm2d(3), True),
        (nn.InstanceNorm2d(3), False),
        (nn.ChannelShuffle(3), False),
        (nn.Softmax2d(), False),
        (Custom(), False),
    ],
)
def test_modules(module: nn.Module, is_open: bool) -> None:
    found = link(nn.Sequential(nn.Conv2d(1, 3, 3), module, nn.Conv2d(3, 2, 1)))
    assert (found.barrier is None) is is_open
    assert found.barrier is None or type(module).__name__ in found.barrier


def test_batch_norms_know_their_features_a_unit() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 2)
    )
    found = link(model)
    assert [(norm.name, norm.block) for norm in found.norms] == [("1", 1), ("3", 4)]


def test_flattening_two_dimensions_alone_is_no_way() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(2), nn.Flatten(), nn.Linear(12, 2))
    assert link(model).barrier is not None
