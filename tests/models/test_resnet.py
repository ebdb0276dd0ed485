"""Residual networks for small images, against counts worked out by hand and the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import robench
from robench.errors import ParameterError
from robench.measure.counter import count_operations
from robench.models import build
from robench.models.base import Network


def resnet(name: str = "resnet", side_px: int = 32, **params: Any) -> Network:
    return build(
        name,
        input_shape=(3, side_px, side_px),
        classes=10,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        params=params,
    ).eval()


def test_convolution_weights_at_depth_50_are_those_of_halos_network() -> None:
    """754,096: what the two released checkpoints of HALO's CIFAR ResNet of depth 50 hold."""
    network = resnet(depth=50, shortcut="projection")
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert sum(conv.weight.numel() for conv in convolutions) == 754_096
    assert len(convolutions) == 49 + 2


@pytest.mark.parametrize(
    ("shortcut", "macs"),
    [
        # 1024·9·(3·16 + 6·16²) + 256·9·(16·32 + 5·32²) + 64·9·(32·64 + 5·64²) + 640
        ("padding", 40_551_040),
        # and 256·16·32 + 64·32·64 of the projections: the 40.8 million of the literature
        ("projection", 40_813_184),
    ],
)
def test_operations_of_resnet20(shortcut: str, macs: int) -> None:
    network = resnet("resnet20", shortcut=shortcut)
    assert count_operations(network, torch.rand(1, 3, 32, 32)).macs == macs


@pytest.mark.parametrize(("name", "depth"), [("resnet20", 20), ("resnet32", 32)])
def test_the_named_depths_are_the_general_network(name: str, depth: int) -> None:
    named, general = resnet(name), resnet(depth=depth)
    assert str(named.body) == str(general.body)
    convolutions = sum(isinstance(part, nn.Conv2d) for part in named.modules())
    assert convolutions + 1 == depth


def test_stages_halve_the_maps_and_double_the_filters() -> None:
    network = resnet(depth=14, side_px=12)
    x = network.body.relu1(network.body.norm1(network.body.conv1(torch.rand(2, 3, 12, 12))))
    sizes = []
    for stage in (network.body.stage1, network.body.stage2, network.body.stage3):
        x = stage(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(16, 12, 12), (32, 6, 6), (64, 3, 3)]


@pytest.mark.parametrize("side_px", [7, 8])
def test_padding_takes_every_second_pixel_and_adds_maps_of_zeros(side_px: int) -> None:
    block = resnet(depth=8, widths=[2, 5, 5]).body.stage2.block1
    x = torch.rand(1, 2, side_px, side_px)
    passed = block.shortcut(x)
    assert passed.shape == block.branch(x).shape
    assert torch.equal(passed[:, :2], x[:, :, 0::2, 0::2])
    assert not passed[:, 2:].any()
    assert not list(block.shortcut.parameters())


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("shortcut", ["padding", "projection"])
def test_a_block_without_its_branch_is_the_identity(shortcut: str, mode: str) -> None:
    network = resnet(depth=14, widths=[4, 4, 6], shortcut=shortcut)
    branches = network.residual_branches()
    # Two blocks a stage; the first ones of stages two and three halve the maps.
    blocks = ["stage1.block1", "stage1.block2", "stage2.block2", "stage3.block2"]
    assert branches == tuple(
        tuple(f"body.{block}.branch.{layer}" for layer in ("conv1", "norm1", "conv2", "norm2"))
        for block in blocks
    )
    network.train(mode == "train")
    for block, branch in zip(blocks, branches, strict=True):
        for layer in branch:
            for parameter in network.get_submodule(layer).parameters():
                nn.init.zeros_(parameter)
        whole = network.get_submodule(f"body.{block}")
        x = torch.randn(3, whole.branch.conv1.in_channels, 6, 6)
        assert torch.equal(whole(x), torch.relu(x))


@pytest.mark.parametrize("depth", [2, 9, 18, 21, -4])
def test_a_depth_other_than_6n_plus_2_is_refused(depth: int) -> None:
    with pytest.raises(ParameterError, match=r"6n \+ 2"):
        resnet(depth=depth)


def test_widths_that_shrink_need_projections() -> None:
    with pytest.raises(ParameterError, match="need the shortcut 'projection'"):
        resnet(depth=8, widths=[8, 4, 4])
    network = resnet(depth=8, widths=[8, 4, 4], shortcut="projection", side_px=8)
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 10)


def test_it_trains_and_is_evaluated_as_any_network(tiny: Callable[..., Path]) -> None:
    """Stages train, attack and degrade, end to end on the digits' 8x8 pixels."""
    suite = tiny(
        data="{name: digits, subset: 60}",
        models="[{name: resnet20, widths: [2, 2, 2]}]",
        methods="[magnitude]",
        evaluate="{attack: {samples: 2}, degrade: {kinds: [contrast], samples: 5}}",
        recipe="{dense_steps: 2, sparse_steps: 2, batch_size: 20}",
    )
    results = robench.run(suite, results=suite.parent / "results", jobs=0)
    table = results.table()
    magnitude = table[table["method"] == "magnitude"]
    assert set(magnitude["stage"]) == {"train", "attack", "degrade"}
    assert set(magnitude["status"]) == {"ok"}
