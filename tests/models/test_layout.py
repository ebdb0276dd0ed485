from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from robench.models import MODELS, build
from robench.models.layout import channels_last, quick_layout
from robench.training.evaluate import predict

SHAPES = {"alexnet": (3, 63, 63), "geometric-mlp": (1, 8, 8), "lenet-5": (1, 28, 28)}
ACTIVATIONS = ("relu", "tanh", "k-wta", "sign")


def network(name: str, **params: object) -> nn.Module:
    shape = SHAPES.get(name, (3, 32, 32))
    middle = (0.5,) * shape[0]
    return build(
        name, input_shape=shape, classes=10, mean=middle, std=middle, params=params, seed=0
    )


def images(name: str, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *SHAPES.get(name, (3, 32, 32)), generator=generator)


@pytest.mark.parametrize(("channels", "strides"), [(1, (20, 1, 5, 1)), (3, (60, 1, 15, 3))])
def test_channels_lie_last_and_values_stay(channels, strides) -> None:
    given = torch.rand(2, channels, 4, 5)
    laid = channels_last(given)
    assert laid.stride() == strides
    assert torch.equal(laid, given)
    conv = nn.Conv2d(channels, 6, 3)
    assert conv(laid).is_contiguous(memory_format=torch.channels_last)


def test_what_is_no_batch_of_images_stays() -> None:
    rows = torch.rand(2, 5)
    assert channels_last(rows) is rows


@pytest.mark.parametrize("name", MODELS.names())
def test_built_in_networks_answer_alike_in_either_order(name: str) -> None:
    model, given = network(name).eval(), images(name)
    layout = quick_layout(model)
    assert (layout is channels_last) == any(isinstance(m, nn.Conv2d) for m in model.modules())
    with torch.no_grad():
        assert torch.allclose(model(layout(given)), model(given), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_alike_in_either_order(activation: str) -> None:
    model = network("convnet", widths=(8, 16), activation=activation).double().eval()
    given = images("convnet").double()
    layout = quick_layout(model)

    def gradients(lay) -> list[torch.Tensor]:
        leaf = given.clone().requires_grad_()
        return torch.autograd.grad(model(lay(leaf)).square().sum(), [leaf, *model.parameters()])

    for found, expected in zip(gradients(layout), gradients(lambda x: x), strict=True):
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "shufflenet_v2_x0_5", "mnasnet0_5"])
def test_networks_of_torchvision_answer_alike_in_either_order(name: str) -> None:
    model = network(f"torchvision:{name}").eval()
    given = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layout = quick_layout(model)
    assert layout is channels_last
    with torch.no_grad():
        assert torch.allclose(model(layout(given)), model(given), rtol=1e-3, atol=1e-4)


class AsksForAView(nn.Module):
    """What many people write, and what fails where channels lie last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 30 * 30, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.conv(x)
        return self.fc(maps.view(maps.shape[0], -1))


@pytest.mark.parametrize("trace", [False, True])
def test_networks_of_others_get_images_as_they_are(trace: bool) -> None:
    model: nn.Module = AsksForAView()
    given = images("convnet")
    with pytest.raises(RuntimeError, match="view"):
        model(channels_last(given))
    if trace:
        model = torch.fx.symbolic_trace(model)
    expected = model(given)
    assert quick_layout(model)(given) is given
    assert torch.equal(predict(model, given), expected)


def test_a_scripted_part_gets_maps_as_they_are() -> None:
    given = images("convnet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        scripted = torch.jit.trace(AsksForAView().eval(), given)
    assert quick_layout(nn.Sequential(nn.Conv2d(3, 3, 1), scripted))(given) is given


def test_training_is_the_same_in_either_order() -> None:
    one = network("convnet", widths=(8, 16)).double().train()
    other = copy.deepcopy(one)
    given, labels = images("convnet", 8).double(), torch.arange(8) % 10
    for model, layout in ((one, quick_layout(one)), (other, lambda x: x)):
        optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        for _ in range(3):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(layout(given)), labels).backward()
            optimiser.step()
    for found, expected in zip(one.parameters(), other.parameters(), strict=True):
        assert found.is_contiguous()
        assert torch.allclose(found, expected, rtol=1e-8, atol=1e-10)
