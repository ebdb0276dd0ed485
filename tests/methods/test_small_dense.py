"""The small dense control: it is what a really small network would be."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import robench
from robench.data import Data
from robench.errors import NotApplicableError
from robench.methods.base import make
from robench.methods.masks import tolerance, zeros_at
from robench.methods.small_dense import fitted_widths, members
from robench.models import build
from robench.models.base import prunable
from robench.spec import Recipe
from robench.training.loop import RunSettings, train

MLP = {"widths": [32, 16]}
CONVNET = {"widths": [12, 24]}


def small_one(name: str, digits: Data, widths: list[int]) -> nn.Module:
    """A network of these widths, with weights of its own."""
    return build(
        name,
        input_shape=digits.input_shape,
        classes=10,
        mean=digits.mean,
        std=digits.std,
        params={"widths": widths},
        seed=7,
    )


def copy_corner(large: nn.Module, small: nn.Module, *, rescale: bool = False) -> None:
    """Give each tensor of the small network the first entries of the large one's.

    With `rescale` weights are scaled from the fan-in of the one to that of the other.
    """
    theirs = large.state_dict()
    with torch.no_grad():
        for name, tensor in small.state_dict().items():
            source = theirs[name]
            corner = source[tuple(slice(extent) for extent in tensor.shape)]
            factor = math.sqrt(source[0].numel() / tensor[0].numel()) if tensor.dim() > 1 else 1.0
            tensor.copy_(corner * factor if rescale else corner)


def hidden_units(masks: dict[str, torch.Tensor]) -> list[int]:
    return [int(mask.flatten(1).any(1).sum()) for mask in masks.values()][:-1]


@pytest.mark.parametrize(("name", "params"), [("mlp", MLP), ("convnet", CONVNET)])
def test_it_trains_as_a_small_network_does(network, run, digits, name, params):
    """From its rescaled weights on, the same batches give the same function."""
    start, model = network(name, **params), network(name, **params)
    result = run(model, "small-dense", level=0.7, steps=10, weight_decay=1e-3, learning_rate=0.02)
    small = small_one(name, digits, hidden_units(result.masks))
    copy_corner(start, small, rescale=True)
    run(small, "dense", level=0.0, steps=10, weight_decay=1e-3, learning_rate=0.02)
    images = torch.rand(64, *digits.input_shape)
    with torch.no_grad():
        assert torch.allclose(model(images), small(images), atol=2e-4)


@pytest.mark.parametrize(("name", "params"), [("mlp", MLP), ("convnet", CONVNET)])
def test_compaction_leaves_the_small_network(network, run, digits, name, params):
    model = network(name, **params)
    result = run(model, "small-dense", level=0.7, steps=5)
    small = small_one(name, digits, hidden_units(result.masks)).eval()
    copy_corner(model, small)
    images = torch.rand(32, *digits.input_shape)
    compacted = robench.compact(model, images)
    shapes = [tuple(parameter.shape) for parameter in compacted.parameters()]
    assert shapes == [tuple(parameter.shape) for parameter in small.parameters()]
    with torch.no_grad():
        assert torch.allclose(compacted(images), small(images), atol=1e-4)


def test_initial_weights_have_the_variance_of_their_own_fan_in(network, run):
    """2 / fan-in of the small layer, as He et al. initialise, where the large one has its own."""
    model = network("mlp", widths=[400, 300])
    seen = []
    model.register_forward_pre_hook(
        lambda module, _: seen.append({n: w.detach().clone() for n, w in prunable(module).items()})
    )
    result = run(model, "small-dense", level=0.7, steps=1)
    for name, mask in result.masks.items():
        kept = seen[-1][name][mask]
        fan_in = int(mask.flatten(1).sum(1).max())
        assert fan_in < mask.shape[1] or name == "body.fc1.weight"
        assert float(kept.var()) == pytest.approx(2 / fan_in, rel=0.1)


def test_widths_of_a_worked_example():
    """Of 80 + 48 + 24 weights 76 are to stay.

    The largest share that fits is just below 5/8, where 4 and 3 units are left: 40 + 12 + 12 = 64.
    A fifth unit in the first layer makes 50 + 15 + 12 = 77, which is nearer; one more in the second
    would make 86.
    """
    model = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    assert list(fitted_widths(members(model), 0.5).values()) == [5, 3]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    widths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    level=st.one_of(st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.floats(0, 0.999)),
)
def test_the_level_is_met_to_within_half_a_unit(network, widths, level):
    model = network("mlp", widths=widths)
    parts = members(model)
    weights = prunable(model)
    total = sum(weight.numel() for weight in weights.values())
    wanted = total - zeros_at(level, total)

    def count(kept: list[int]) -> int:
        sides = [weights["body.fc1.weight"].shape[1], *kept, 10]
        return sum(one * two for one, two in pairwise(sides))

    if count([1] * len(widths)) > wanted:
        with pytest.raises(NotApplicableError, match="no unit left"):
            fitted_widths(parts, level)
        return
    kept = list(fitted_widths(parts, level).values())
    assert all(1 <= one <= full for one, full in zip(kept, widths, strict=True))
    assert abs(count(kept) - wanted) <= tolerance(weights, "neuron") / 2
    if level == 0:
        assert kept == widths


def test_the_loop_accepts_the_level_and_a_level_too_high_is_a_row(network, run):
    for level in (0.0, 0.5, 0.8, 0.9):
        result = run(network("convnet", **CONVNET), "small-dense", level=level, steps=2)
        assert abs(result.level - level) < 0.05
    with pytest.raises(NotApplicableError, match="no unit left in some layer") as caught:
        run(network("mlp", **MLP), "small-dense", level=0.999)
    assert "levels up to 0.9" in str(caught.value)


def test_units_that_are_gone_stay_silent(network, run):
    model = network("convnet", **CONVNET)
    result = run(model, "small-dense", level=0.6, steps=8, optimiser="adam", learning_rate=1e-2)
    modules = dict(model.named_modules())
    norms = [module for module in modules.values() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2
    for kept, norm in zip(hidden_units(result.masks), norms, strict=True):
        assert norm.weight[:kept].all()
        assert not norm.weight[kept:].any()
        assert not norm.bias[kept:].any()


class Block(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, inner, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(inside)) + x).relu()


class Residual(nn.Module):
    """A residual network with a depth-wise convolution in its stem."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.block = Block(width, inner)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(width * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = self.depthwise(self.stem(x).relu()).relu()
        return self.head(self.pool(self.block(stem)).flatten(1))


def test_sums_of_a_residual_network_stay_aligned(run, digits):
    start, model = Residual(8, 12), Residual(8, 12)
    result = run(model, "small-dense", level=0.6, steps=6, learning_rate=0.02)
    units = hidden_units(result.masks)
    width, inner = units[0], units[2]
    assert units == [width, width, inner, width]
    assert width < 8
    assert inner < 12
    small = Residual(width, inner)
    copy_corner(start, small, rescale=True)
    run(small, "dense", level=0.0, steps=6, learning_rate=0.02)
    images = torch.rand(64, *digits.input_shape)
    with torch.no_grad():
        assert torch.allclose(model(images), small(images), atol=2e-4)


def test_a_network_that_reorders_units_is_not_applicable(run):
    class Concatenated(nn.Module):
        """Half of what the last layer reads comes from each of two layers."""

        def __init__(self) -> None:
            super().__init__()
            self.stem, self.wide = nn.Linear(64, 24), nn.Linear(24, 24)
            self.one, self.two = nn.Linear(24, 12), nn.Linear(24, 12)
            self.head = nn.Linear(24, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(nn.functional.adaptive_avg_pool2d(x, 8).flatten(1))
            both = torch.cat([self.one(x), self.two(x)], 1)
            return self.head(both + self.wide(x))

    with pytest.raises(NotApplicableError, match="'head' reads units that a narrower"):
        run(Concatenated(), "small-dense", level=0.5)


def test_networks_that_cannot_be_narrower_are_refused_with_a_reason(digits):
    class Frozen(nn.Module):
        """Its first layer is not prunable."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(64, 12), nn.Linear(12, 10)

        def prunable(self) -> dict[str, nn.Parameter]:
            return {"two.weight": self.two.weight}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.one(x.flatten(1)).relu())

    grouped = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=2))
    method = make("small-dense")
    assert "'one' are not prunable" in str(method.supports(Frozen(), digits))
    assert "not the first units" in str(method.supports(grouped, digits))
    assert method.supports(Residual(4, 4), digits) is True


def test_a_resnet_gets_narrower(digits):
    model = build(
        "resnet20", input_shape=digits.input_shape, classes=10, mean=digits.mean, std=digits.std
    )
    result = train(
        model,
        make("small-dense"),
        digits,
        RunSettings(
            Recipe(batch_size=4),
            level=0.9,
            steps=1,
            learning_rate=0.01,
            seeds={"order": 1, "method": 2},
        ),
    )
    assert result.level == pytest.approx(0.9, abs=5e-3)
    assert len(set(hidden_units(result.masks))) == 3
