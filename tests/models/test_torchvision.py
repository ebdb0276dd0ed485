"""Torchvision's networks behind robench's door, against what torchvision says of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench._torchvision import import_torchvision
from robench.errors import NotApplicableError, UnknownNameError
from robench.measure.counter import count_operations
from robench.models import MODELS, build
from robench.models.base import Network
from robench.models.chain import chain
from robench.models.torchvision import family


def torchvisions(
    architecture: str, shape: tuple[int, ...] = (3, 32, 32), classes: int = 10, seed: int = 0
) -> Network:
    return build(
        f"torchvision:{architecture}",
        input_shape=shape,
        classes=classes,
        mean=(0.5,) * shape[0],
        std=(0.2,) * shape[0],
        seed=seed,
    )


def shapes_of(architecture: str, shape: tuple[int, ...]) -> Network:
    """The network without its numbers, for what is large."""
    mean, std = (0.5,) * shape[0], (0.2,) * shape[0]
    with torch.device("meta"):
        return family(architecture)(input_shape=shape, classes=10, mean=mean, std=std)


@pytest.mark.parametrize(
    "architecture",
    ["resnet18", "alexnet", pytest.param("vgg16", marks=pytest.mark.slow)],
)
def test_operations_and_parameters_are_those_that_torchvision_documents(architecture: str) -> None:
    models = import_torchvision().models
    documented = models.get_model_weights(architecture).DEFAULT.meta
    network = torchvisions(architecture, (3, 224, 224), classes=1000).eval()
    operations = count_operations(network, torch.rand(1, 3, 224, 224))
    assert operations.parameters == documented["num_params"]
    assert round(operations.macs / 1e9, 3) == documented["_ops"]


@pytest.mark.parametrize("architecture", ["resnet18", "shufflenet_v2_x0_5", "mobilenet_v3_small"])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_takes_colour_and_grey_images(architecture: str, channels: int) -> None:
    network = torchvisions(architecture, (channels, 28, 31))
    assert network(torch.rand(2, channels, 28, 31)).shape == (2, 10)
    first = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    assert first.in_channels == channels


def test_the_initial_weights_are_torchvisions_and_follow_the_seed() -> None:
    network = torchvisions("squeezenet1_1", seed=7)
    torch.manual_seed(7)
    models = import_torchvision().models
    expected = models.get_model("squeezenet1_1", weights=None, num_classes=10).state_dict()
    weights = network.body.squeezenet1_1.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    other = torchvisions("squeezenet1_1", seed=8).body.squeezenet1_1.state_dict()
    assert any(not torch.equal(weights[name], other[name]) for name in expected)


def test_prunable_are_the_weights_of_convolutions_and_linear_layers() -> None:
    network = torchvisions("resnet18")
    names = list(network.prunable())
    assert len(names) == 21
    assert (names[0], names[-1]) == ("body.resnet18.conv1.weight", "body.resnet18.fc.weight")


def test_auxiliary_classifiers_are_left_out() -> None:
    network = torchvisions("googlenet").train()
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert not any("aux" in name for name, part in network.named_modules() if part is not None)


@pytest.mark.parametrize(
    ("architecture", "side_px", "smallest_px"),
    [("alexnet", 32, 63), ("vgg11", 28, 32), ("inception_v3", 32, 75)],
)
def test_too_small_images_are_refused_with_the_smallest_size(
    architecture: str, side_px: int, smallest_px: int
) -> None:
    with pytest.raises(NotApplicableError, match=f"{side_px}x{side_px} pixels") as caught:
        shapes_of(architecture, (3, side_px, side_px))
    shapes_of(architecture, (3, smallest_px, smallest_px))
    assert caught.value.allowed == f"at least {smallest_px}x{smallest_px} pixels"


def test_vision_transformers_are_built_for_the_size_of_the_images() -> None:
    network = shapes_of("vit_b_16", (1, 48, 48)).eval()
    assert network(torch.rand(2, 1, 48, 48, device="meta")).shape == (2, 10)
    for shape, message in [((3, 32, 48), "square images"), ((3, 30, 30), "indivisible by patch")]:
        with pytest.raises(NotApplicableError, match=message):
            shapes_of("vit_b_16", shape)


@pytest.mark.parametrize(("architecture", "count"), [("resnet18", 5), ("resnet50", 12)])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_block_without_its_branch_is_the_identity(
    architecture: str, count: int, mode: str
) -> None:
    """All blocks but the first of each stage; resnet18 keeps that of its first stage too."""
    network = torchvisions(architecture).train(mode == "train")
    branches = network.residual_branches()
    assert len(branches) == count
    for branch in branches:
        for layer in branch:
            for parameter in network.get_submodule(layer).parameters():
                nn.init.zeros_(parameter)
        block = network.get_submodule(branch[0].rpartition(".")[0])
        assert block.downsample is None
        assert set(branch) == {
            f"{branch[0].rpartition('.')[0]}.{name}"
            for name, part in block.named_modules()
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d)
        }
        x = torch.randn(2, block.conv1.in_channels, 3, 3)
        assert torch.equal(block(x), torch.relu(x))


def test_chains_of_torchvision_are_chains() -> None:
    layers = chain(shapes_of("vgg11_bn", (3, 32, 32)))
    assert len(layers) == 11
    assert all(layer.batch_norm is not None for layer in layers[:8])
    with pytest.raises(NotApplicableError, match="torchvision:resnet18 is not a chain"):
        chain(torchvisions("resnet18"))


def test_unknown_networks_show_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'torchvision:resnet19'") as caught:
        MODELS.get("torchvision:resnet19", where="suite.yaml:4")
    assert "did you mean 'torchvision:resnet18'" in str(caught.value)
    assert caught.value.where == "suite.yaml:4"
    with pytest.raises(UnknownNameError, match="no network of torchvision 'resnet19'"):
        family("resnet19")
    assert "torchvision:fcn_resnet50" not in MODELS  # it segments


@pytest.mark.slow
def test_every_network_of_torchvision_takes_its_own_images() -> None:
    """Shapes alone; only regnets need numbers while they are built."""
    models = import_torchvision().models
    for name in models.list_models(module=models):
        if not name.startswith("regnet"):
            assert shapes_of(name, (3, 224, 224)).prunable()
    assert torchvisions("regnet_x_400mf").prunable()
