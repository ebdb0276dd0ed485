"""What a kernel takes along behind a convolution, and what it leaves alone."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from robench.deploy import inference, nchw_fusion
from robench.deploy.backends import why_off
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.inference import inference_form
from robench.deploy.inference_module import InferenceForm
from robench.models import build

pytestmark = pytest.mark.skipif(why_off() is not None, reason="no kernels are compiled here")
IMAGES = torch.rand(3, 4, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def prefer(monkeypatch: pytest.MonkeyPatch):
    """Kernels win every timing; ``prefer("gathered")``: that form does."""

    def choose(*names: str) -> None:
        def timed(forms, maps):
            for form in forms.values():
                form(maps)  # as is done to time it
            return {name: [1.0, 1.0] if name in names else [2.0, 2.0] for name in forms}

        monkeypatch.setattr(inference, "timed", timed)
        monkeypatch.setattr(nchw_fusion, "timed", timed)

    choose("planar", "direct")
    return choose


def built(form: nn.Module, images: Tensor = IMAGES) -> fx.GraphModule:
    """The network as a form executes it."""
    assert isinstance(form, InferenceForm)
    with torch.no_grad():
        executed = form.executable(images)
    assert isinstance(executed, fx.GraphModule)
    return executed


def steps(form: fx.GraphModule) -> list[str]:
    return [
        type(form.get_submodule(str(node.target))).__name__ if node.op == "call_module"
        else getattr(node.target, "__name__", str(node.target))
        for node in form.graph.nodes if node.op.startswith("call_")
    ]  # fmt: skip


def check(model: nn.Module, expected: list[str]) -> fx.GraphModule:
    """The same function and gradients, in these steps; the network as it is executed."""
    form = inference_form(model.eval(), IMAGES)
    assert steps(built(form)) == expected
    with torch.no_grad():
        torch.testing.assert_close(form(IMAGES), model(IMAGES), atol=1e-5, rtol=1e-4)
    one, other = (IMAGES.clone().requires_grad_() for _ in range(2))
    (form(one).square().sum() + model(other).square().sum()).backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-3)
    return built(form)


def test_a_rectifier_and_a_pooling() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(),
        nn.Conv2d(5, 6, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip
    form = check(model, ["DirectConv2d", "DirectConv2d", "Flatten", "Linear"])
    taken = [part for part in form.modules() if isinstance(part, DirectConv2d)]
    assert all(part.rectified and part.pooled for part in taken)


def test_other_poolings_and_activations_stay() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 5, 3), nn.MaxPool2d(3, 2), nn.Conv2d(5, 6, 3), nn.Sigmoid(), nn.ReLU()
    )
    check(model, ["DirectConv2d", "MaxPool2d", "DirectConv2d", "Sigmoid", "ReLU"])


class Residual(nn.Module):
    """One block; `sum_of` says how the maps and the shortcut are added."""

    def __init__(self, sum_of, *, projected: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.shortcut = nn.Conv2d(4, 4, 1) if projected else nn.Identity()
        self.sum_of = sum_of

    def forward(self, images: Tensor) -> Tensor:
        inner = F.relu(self.first(images))
        maps = self.second(inner)
        return F.relu(self.sum_of(maps, self.shortcut(images))).flatten(1)


@pytest.mark.parametrize("sum_of", [operator.add, torch.add, operator.iadd])
def test_a_residual_sum(sum_of) -> None:
    form = check(Residual(sum_of), ["DirectConv2d", "DirectConv2d", "flatten"])
    assert [part.rectified for part in form.modules() if isinstance(part, DirectConv2d)] == [
        True
    ] * 2


def test_an_inference_form_may_be_given_one_again() -> None:
    form = inference_form(Residual(operator.add).eval(), IMAGES)
    model = nn.Sequential(form, nn.Unflatten(1, (4, 12, 12)), nn.Conv2d(4, 2, 3))
    check(model, ["DirectConv2d", "DirectConv2d", "flatten", "Unflatten", "DirectConv2d"])


def test_a_sum_of_two_convolutions_goes_to_one_of_them() -> None:
    check(Residual(operator.add, projected=True), ["DirectConv2d"] * 3 + ["flatten"])


def scaled(maps: Tensor, beside: Tensor) -> Tensor:
    return torch.add(maps, beside, alpha=2)


def of_one_image(maps: Tensor, beside: Tensor) -> Tensor:
    return maps + beside[:, :1]


def twice(maps: Tensor, _: Tensor) -> Tensor:
    return maps + maps


@pytest.mark.parametrize(
    ("sum_of", "between"),
    [
        (scaled, ["add"]),
        (of_one_image, ["getitem", "add"]),
        (twice, ["add"]),
    ],
)
def test_other_sums_stay(sum_of, between: list[str]) -> None:
    check(Residual(sum_of), ["DirectConv2d", "DirectConv2d", *between, "relu", "flatten"])


def test_a_sum_stays_where_something_else_reads_the_maps_of_the_convolution() -> None:
    """It may write over them before the sum."""

    class ReadTwice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            copied = images * 1.0
            maps = self.conv(copied)
            return (maps + copied.sin()).flatten(1)

    check(ReadTwice(), ["mul", "DirectConv2d", "sin", "add", "flatten"])


def test_columns_that_are_zero_are_left_out_in_any_form(prefer) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2))
    with torch.no_grad():
        model[0].weight[:, 1:] = 0
    form = check(model, ["DirectConv2d"])
    assert sum(value.numel() for value in form.parameters()) == 5 * 9 + 5
    prefer("planar", "gathered")
    check(model, ["GatheredConv2d", "ReLU", "MaxPool2d"])


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet20", "vgg-small")]


@pytest.mark.parametrize("name", [*LARGE, "convnet", "lenet-5"])
def test_networks_of_ours(name: str) -> None:
    shape = (1, 28, 28) if name == "lenet-5" else (3, 32, 32)
    images = torch.rand(2, *shape)
    channels = [0.5] * shape[0]
    network = build(name, input_shape=shape, classes=5, mean=channels, std=channels).eval()
    form = inference_form(network, images)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in form.modules())
    assert not any(type(part) is nn.Conv2d for part in built(form, images).children())
    with torch.no_grad():
        torch.testing.assert_close(form(images), network(images), rtol=1e-4, atol=1e-5)


def test_equal_convolutions_are_timed_once_and_the_costliest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But not those behind which other steps come."""
    seen: list[tuple[int, ...]] = []

    def timed(forms, maps):
        seen.append(tuple(maps.shape))
        return {name: [1.0 if name == "direct" else 2.0] * 2 for name in forms}

    monkeypatch.setattr(nchw_fusion, "timed", timed)
    model = nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 8, 1), nn.ReLU(),
    )  # fmt: skip
    module = fx.symbolic_trace(model.eval())
    taken = nchw_fusion.fuse_fastest(module, IMAGES)
    assert seen[0] == (3, 4, 12, 12)
    assert len(seen) == 4  # the last one has a rectifier behind it
    assert list(taken) == ["1", "2", "3", "4", "0"]
    other = fx.symbolic_trace(model.eval())
    nchw_fusion.fuse(other, taken, IMAGES[:1])
    assert steps(other) == steps(module) == ["DirectConv2d"] * 5
    with pytest.raises(ValueError, match="no step"):
        nchw_fusion.fuse(other, {"9": "direct"}, IMAGES[:1])
