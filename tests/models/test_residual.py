"""Branches beside identity shortcuts: which count, which do not, and what is left without them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.models import build
from robench.models.residual import identity_branches


class Block(nn.Module):
    """``join(x, branch(x))``, with a convolution in the branch and whatever follows it."""

    def __init__(
        self, *after: nn.Module, join: Callable[[Tensor, Tensor], Tensor] = torch.add
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.after = nn.Sequential(*after)
        self.shortcut = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity()))
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.shortcut(x), self.after(self.conv(torch.relu(x))))


def is_taken_out(block: Block) -> bool:
    """Whether the branch was found; if so, without it the block must hand its input on exactly."""
    branches = identity_branches(block)
    if not branches:
        return False
    (branch,) = branches
    bare = copy.deepcopy(block)
    for name in branch:
        for parameter in bare.get_submodule(name).parameters():
            nn.init.zeros_(parameter)
    x = torch.randn(2, 4, 6, 6)
    assert not torch.equal(block(x), x)
    assert torch.equal(bare(x), x)
    return True


class Gate(nn.Module):
    """Squeeze and excitation: a factor for each map, worked out from the maps themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.squeeze(F.adaptive_avg_pool2d(x, 1)))


@pytest.mark.parametrize(
    "after",
    [
        (),
        (nn.BatchNorm2d(4),),
        (nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Dropout()),
        (nn.BatchNorm2d(4), nn.GELU()),
        (Gate(),),
    ],
)
def test_a_branch_of_convolutions_and_batch_norm_counts(after: tuple[nn.Module, ...]) -> None:
    assert is_taken_out(Block(*after).eval())


@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: x + y,
        lambda x, y: y + x,
        lambda x, y: y.add_(x),
        lambda x, y: F.relu(y) + x,
        lambda x, y: x + 0.5 * y,
    ],
)
def test_sums_are_known_however_they_are_written(join: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert is_taken_out(Block(nn.BatchNorm2d(4), join=join).eval())


@pytest.mark.parametrize(
    "block",
    [
        Block(nn.Sigmoid()),  # one half, not zero
        Block(nn.GroupNorm(2, 4)),  # weights of another kind
        Block(join=torch.mul),
        Block(join=torch.sub),
        Block(join=lambda x, y: x + torch.exp(y)),
        Block(join=lambda x, y: 2 * x + y),  # the shortcut is no identity
        Block(join=lambda x, y: torch.cat([x + y, y])),  # the branch is read elsewhere
        Block(join=lambda x, _: x + x),  # there is no branch
    ],
)
def test_what_would_not_leave_the_identity_is_no_branch(block: Block) -> None:
    assert identity_branches(block) == ()


def test_a_layer_that_another_place_calls_too_cannot_be_taken_out() -> None:
    class Twice(Block):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.conv(x))

    assert identity_branches(Twice()) == ()


def test_a_weight_outside_of_any_layer_cannot_be_taken_out() -> None:
    class Shifted(Block):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x) * self.shift

    assert identity_branches(Shifted()) == ()


def test_a_network_that_cannot_be_traced_has_none() -> None:
    class Undecided(Block):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else x

    assert identity_branches(Undecided()) == ()


@pytest.mark.parametrize("name", ["alexnet", "convnet", "lenet-5", "mlp", "vgg-small"])
def test_chains_have_none(name: str) -> None:
    params = {"hidden": 16} if name == "alexnet" else {}
    network = build(
        name, input_shape=(1, 63, 63), classes=3, mean=(0.5,), std=(0.2,), params=params
    )
    assert network.residual_branches() == ()
