from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from torch import nn

from robench.errors import InputError, NotApplicableError, ParameterError, UnknownNameError
from robench.models import MODELS, build, prunable
from robench.models.base import Network, Normalise, check_plugin
from robench.spec.base import Frozen

IMAGE = {"input_shape": (3, 32, 32), "classes": 10, "mean": (0.5,) * 3, "std": (0.2,) * 3}
ROW = {"input_shape": (30,), "classes": 2, "mean": (0.4,) * 30, "std": (0.1,) * 30}
PARAMS = {"alexnet": {"hidden": 64}, "resnet": {"depth": 8}}
"""Of the models that would take long as they are."""


def image_for(name: str, side_px: int = 32, channels: int = 3) -> dict[str, Any]:
    """What `build` needs for a model and images of this size, or the least that it takes."""
    side_px = 63 if name == "alexnet" else side_px
    return {
        "input_shape": (channels, side_px, side_px),
        "classes": 10,
        "mean": (0.5,) * channels,
        "std": (0.2,) * channels,
        "params": PARAMS.get(name),
    }


class Tiny(Network):
    """A plug-in as an author would write it."""

    name = "tiny"

    class Params(Frozen):
        width: int = 4

    def layers(self, params: Params, /) -> nn.Sequential:
        features = math.prod(self.input_shape)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(features, params.width),
            nn.ReLU(),
            nn.Linear(params.width, self.classes),
        )


@pytest.mark.parametrize("name", MODELS.names())
@pytest.mark.parametrize("side_px", [28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_model_takes_images(name: str, side_px: int, channels: int) -> None:
    network = build(name, **image_for(name, side_px, channels))
    x = torch.rand(3, *network.input_shape)
    assert network(x).shape == (3, 10)
    assert torch.equal(network.eval()(x), network.body(network.normalise(x)))


@pytest.mark.parametrize("name", MODELS.names())
def test_same_seed_same_weights_whatever_was_drawn_before(name: str) -> None:
    first = build(name, **image_for(name), seed=3).state_dict()
    torch.rand(17)
    second = build(name, **image_for(name), seed=3).state_dict()
    other = build(name, **image_for(name), seed=4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", MODELS.names())
def test_building_leaves_the_global_generator_as_it_was(name: str) -> None:
    torch.manual_seed(11)
    expected = torch.rand(5)
    torch.manual_seed(11)
    build(name, **image_for(name), seed=3)
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize("name", MODELS.names())
def test_initial_weights_have_their_variance(name: str) -> None:
    network = build(name, **image_for(name), seed=0)
    gain = 1 if name == "lenet-5" else 2
    for key, weight in prunable(network).items():
        if weight.numel() > 5000:
            fan = sum(weight.shape) if name == "geometric-mlp" else weight[0].numel()
            expected = math.sqrt(gain / fan)
            assert weight.std().item() == pytest.approx(expected, rel=0.05), key
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all(layer.bias is None or not layer.bias.any() for layer in layers)


@pytest.mark.parametrize("name", MODELS.names())
def test_a_fresh_network_is_trainable_everywhere(name: str) -> None:
    network = build(name, **image_for(name), seed=0)
    labels = torch.arange(8)
    images = torch.rand(8, *network.input_shape)
    nn.functional.cross_entropy(network(images), labels).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(weight.grad.any() for weight in prunable(network).values())


def test_prunable_names_weights_in_module_order() -> None:
    network = build("convnet", **IMAGE)
    assert list(prunable(network)) == [
        "body.conv1.weight",
        "body.conv2.weight",
        "body.conv3.weight",
        "body.fc.weight",
    ]
    parameters = dict(network.named_parameters())
    assert all(weight is parameters[name] for name, weight in prunable(network).items())


def test_prunable_takes_any_module_and_names_a_shared_weight_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), first, second)
    assert list(prunable(model)) == ["0.weight", "2.weight"]
    assert list(prunable(first)) == ["weight"]
    assert prunable(nn.ReLU()) == {}


def test_a_model_may_leave_weights_out() -> None:
    class AllButTheLast(Tiny):
        def prunable(self) -> dict[str, nn.Parameter]:
            return dict(list(super().prunable().items())[:-1])

    assert list(prunable(AllButTheLast(**ROW))) == ["body.1.weight"]


def test_normalise_matches_the_closed_form_and_keeps_its_numbers_as_buffers() -> None:
    normalise = Normalise((0.1, 0.2), (0.5, 0.25), dims=3)
    x = torch.rand(2, 2, 3, 3)
    expected = torch.stack([(x[:, 0] - 0.1) / 0.5, (x[:, 1] - 0.2) / 0.25], dim=1)
    torch.testing.assert_close(normalise(x), expected)
    assert set(normalise.state_dict()) == {"mean", "std"}
    assert normalise.double()(x.double()).dtype == torch.float64


def test_rows_of_features_are_normalised_feature_by_feature() -> None:
    mean = tuple(index / 30 for index in range(30))
    network = build("mlp", input_shape=(30,), classes=2, mean=mean, std=(0.5,) * 30)
    torch.testing.assert_close(network.normalise(torch.tensor([mean])), torch.zeros(1, 30))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deviation_that_cannot_be_divided_by_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match=r"standard deviation"):
        Normalise((0.1,), (bad,), dims=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (32, 32)}, "not the shape"),
        ({"input_shape": (0, 32, 32)}, "not the shape"),
        ({"input_shape": (1, 32, 32)}, "3 means"),
        ({"std": (0.2,)}, "3 means do not go with 1 standard"),
        ({"mean": (0.5, 0.5, float("nan"))}, "not finite"),
        ({"classes": 0}, "0 outputs"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_arguments_that_no_data_has_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("mlp", **(IMAGE | changes))


@pytest.mark.parametrize("name", ["alexnet", "convnet", "lenet-5", "resnet20", "vgg-small"])
def test_convolutions_refuse_rows_and_tiny_images(name: str) -> None:
    with pytest.raises(NotApplicableError, match=f"{name} needs images, not rows of 30 features"):
        build(name, **ROW)
    with pytest.raises(NotApplicableError, match="3x3 pixels"):
        build(name, input_shape=(1, 3, 3), classes=2, mean=(0.5,), std=(0.2,))


def test_unknown_names_and_parameters_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="lenet-5"):
        build("lenet5", **IMAGE)
    with pytest.raises(ParameterError, match="widths"):
        build("mlp", **IMAGE, params={"width": 3})


def test_a_networks_copy_computes_the_same() -> None:
    network = build("convnet", **IMAGE).eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(copy.deepcopy(network)(x), network(x))


def test_a_plug_in_of_one_class_is_a_model() -> None:
    assert check_plugin(Tiny) is None
    network = Tiny(**ROW, params={"width": 9})
    assert network(torch.rand(2, 30)).shape == (2, 2)
    assert network.body[1].out_features == 9


def without_layers() -> type:
    return type("Empty", (Network,), {"name": "empty"})


def without_name() -> type:
    return type("Nameless", (Network,), {"layers": Tiny.layers})


def with_a_version_in_words() -> type:
    return type("Worded", (Tiny,), {"version": "one"})


def with_thawed_params() -> type:
    class Thawed(BaseModel):
        width: int = 4

    return type("Thaw", (Tiny,), {"Params": Thawed})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: 3, "not a subclass"),
        (lambda: nn.Linear, "not a subclass"),
        (without_layers, "`layers`"),
        (without_name, "`name`"),
        (with_a_version_in_words, "'one'"),
        (with_thawed_params, "not frozen"),
    ],
)
def test_what_is_no_model_is_told_why(make: Callable[[], object], reason: str) -> None:
    assert reason in (check_plugin(make()) or "")


def test_every_model_has_a_summary_and_a_version() -> None:
    for name in MODELS.names():
        assert MODELS.get(name).name == name
        assert len(MODELS.summary(name)) > 20
