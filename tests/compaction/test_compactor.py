"""The whole way: zeros in, a smaller network of the same function out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import robench.compaction.compactor as compactor
from robench.compaction import CompactionReport, compact, report_of
from robench.errors import CompactionError, InputError, NotApplicableError
from robench.graph.differences import Differences
from robench.models import MODELS, build

ACTIVATIONS: list[Callable[[], nn.Module]] = [
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    lambda: nn.LeakyReLU(0.1, inplace=True),
]
few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 10_000)
activations = st.sampled_from(ACTIVATIONS)


def randomise(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Weights and BatchNorm statistics like those of a trained network, some channels neutral."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if "running_var" in name:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.is_floating_point() and value.ndim < 2:
                drawn = torch.randn(value.shape, generator=generator)
                value.copy_(drawn * (torch.rand(value.shape, generator=generator) < 0.7))
    return model.eval()


def kill(model: nn.Module, generator: torch.Generator, share: float) -> nn.Module:
    """Zero a share of the rows and of the columns of every layer, and the rest element-wise."""
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                rows, columns = part.weight.shape[:2]
                part.weight[torch.rand(rows, generator=generator) < share] = 0
                part.weight[:, torch.rand(columns, generator=generator) < share / 2] = 0
                part.weight[torch.rand(part.weight.shape, generator=generator) < share / 2] = 0
    return model


def check(model: nn.Module, example: Tensor) -> CompactionReport:
    """Compact, and compare with the original without the help of the proof under test."""
    before = copy.deepcopy(model.state_dict())
    compacted = compact(model, example)
    inputs = torch.cat([example, 2 * torch.rand_like(example) - 0.5]).double()
    logits, gradient = _evaluate(copy.deepcopy(model).double(), inputs)
    logits_after, gradient_after = _evaluate(copy.deepcopy(compacted).double(), inputs)
    # Folded biases were rounded to float32 once.
    assert torch.allclose(logits, logits_after, atol=1e-5, rtol=1e-5)
    assert torch.allclose(gradient, gradient_after, atol=1e-5, rtol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    report = report_of(compacted)
    assert report.parameters_after == sum(value.numel() for value in compacted.parameters())
    assert report_of(compact(compacted, example)).units_removed == 0  # nothing was left behind
    return report


def _evaluate(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    leaf = inputs.clone().requires_grad_()
    logits = model(leaf)
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    return logits.detach(), gradient


# -- equality on random structured zeros ----------------------------------------------------------


@few
@given(
    seed=seeds,
    widths=st.lists(st.integers(1, 12), min_size=0, max_size=3),
    share=st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]),
    activation=activations,
    has_norm=st.booleans(),
    bias=st.booleans(),
)
def test_mlp(
    seed: int,
    widths: list[int],
    share: float,
    activation: Callable[[], nn.Module],
    has_norm: bool,
    bias: bool,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    parts: list[nn.Module] = []
    for inputs, outputs in zip([7, *widths], widths, strict=False):
        parts += [nn.Linear(inputs, outputs, bias=bias)]
        parts += [nn.BatchNorm1d(outputs)] if has_norm else []
        parts += [activation(), nn.Dropout(0.5)]
    model = nn.Sequential(*parts, nn.Linear([7, *widths][-1], 3))
    report = check(
        kill(randomise(model, generator), generator, share), torch.rand(5, 7, generator=generator)
    )
    assert all(layer.units_after >= 1 for layer in report.layers)
    assert report.layers[-1].units_after == 3


@few
@given(seed=seeds, share=st.sampled_from([0.2, 0.5, 0.8]), activation=activations)
def test_lenet_5(seed: int, share: float, activation: Callable[[], nn.Module]) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.MaxPool2d(2),
        activation(),
        nn.Conv2d(6, 8, 5),
        activation(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 9, 15),
        activation(),
        nn.Linear(15, 4),
    )
    model = kill(randomise(model, generator), generator, share)
    check(model, torch.rand(4, 1, 24, 24, generator=generator))


@few
@given(
    seed=seeds,
    share=st.sampled_from([0.3, 0.6]),
    padding=st.sampled_from([0, 1, "same", "valid"]),
    mode=st.sampled_from(["zeros", "circular", "reflect"]),
    dilation=st.sampled_from([1, 2]),
    pooling=st.sampled_from(
        [nn.AvgPool2d(3, 2, padding=1), nn.AvgPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 2, 1)]
    ),
    norm_last=st.booleans(),
)
def test_convnet_with_batch_norm(
    seed: int,
    share: float,
    padding: int | str,
    mode: str,
    dilation: int,
    pooling: nn.Module,
    norm_last: bool,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    middle: list[nn.Module] = [nn.BatchNorm2d(6), nn.ReLU()]
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, bias=False),
        *(middle[::-1] if norm_last else middle),
        pooling,
        nn.Conv2d(6, 5, 3, padding=padding, padding_mode=mode, dilation=dilation),
        nn.BatchNorm2d(5),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.BatchNorm1d(20),
        nn.Linear(20, 3),
    )
    model = kill(randomise(model, generator), generator, share)
    check(model, torch.rand(4, 2, 24, 24, generator=generator))


def lenet_20_50(generator: torch.Generator, features: int) -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(features, 60), nn.ReLU(), nn.Linear(60, 10),
    )  # fmt: skip
    return kill(randomise(model, generator), generator, 0.4)


def test_real_images() -> None:
    images = torch.from_numpy(np.kron(load_digits().images[:16], np.ones((4, 4))) / 16).float()
    model = lenet_20_50(torch.Generator().manual_seed(3), 1250)
    report = report_of(compact(model, images[:, None]))
    assert report.units_removed > 0
    assert report.differences.logits_float64 < 1e-9
    assert report.differences.gradients_float64 < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_flat_images_whose_max_pooling_ties_are_no_false_alarm(seed: int) -> None:
    """All pixels of a window tie; which one gets the gradient is up to rounding."""
    model = lenet_20_50(torch.Generator().manual_seed(seed), 800)
    compact(model, torch.full((24, 1, 28, 28), 0.3))


@pytest.mark.parametrize(
    "name",
    [
        # A longer resnet20.
        pytest.param(name, marks=pytest.mark.slow) if name == "resnet32" else name
        for name in MODELS.names()
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_built_in_models(name: str, share: float) -> None:
    generator = torch.Generator().manual_seed(1)
    side_px = 64 if name == "alexnet" else 16
    shape = (1, side_px, side_px)
    params = {"hidden": 256} if name == "alexnet" else {}
    model = build(name, input_shape=shape, classes=4, mean=(0.4,), std=(0.3,), params=params)
    model = kill(model.eval(), generator, share)
    report = check(model, torch.rand(4, *shape, generator=generator))
    assert report.units_removed > 0


# -- cases worked out by hand ---------------------------------------------------------------------


def two_convolutions(constant: float, second: nn.Conv2d) -> nn.Sequential:
    """A filter whose weights are zero writes `constant` into channel 1 of the second layer."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), second, nn.Flatten(), nn.LazyLinear(2))
    model(torch.rand(1, 1, 8, 8))
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = constant
    return model.eval()


def test_a_constant_goes_into_the_bias_of_an_unpadded_convolution() -> None:
    model = two_convolutions(0.7, nn.Conv2d(3, 2, 3))
    compacted = compact(model, torch.rand(2, 1, 8, 8))
    expected = model[2].bias + 0.7 * model[2].weight[:, 1].sum((1, 2))
    assert torch.allclose(compacted[2].bias, expected)
    assert torch.equal(compacted[2].weight, model[2].weight[:, [0, 2]])
    first = report_of(compacted).layers[0]
    assert (first.units_before, first.units_after, first.constants_folded) == (3, 2, 1)


def test_a_constant_before_zero_padding_stays_because_its_border_differs() -> None:
    torch.manual_seed(0)
    model = two_convolutions(0.7, nn.Conv2d(3, 2, 3, padding=1))
    compacted = compact(model, torch.rand(2, 1, 8, 8))
    first = report_of(compacted).layers[0]
    assert (first.units_after, first.constants_folded) == (3, 0)
    assert first.note is not None
    assert "'2' pads" in first.note
    # What folding would have done: right in the middle, wrong at the border.
    constant = torch.zeros(1, 3, 6, 6)
    constant[:, 1] = 0.7
    exact = model[2](constant)[0]
    folded = (model[2].bias + 0.7 * model[2].weight[:, 1].sum((1, 2)))[:, None, None]
    assert torch.allclose(exact[:, 1:-1, 1:-1], folded.expand(2, 4, 4), atol=1e-6)
    assert (exact - folded).abs().amax() > 0.01


@pytest.mark.parametrize(
    ("constant", "second"),
    [
        (-0.7, nn.Conv2d(3, 2, 3, padding=1)),  # the rectifier makes it zero
        (0.7, nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular")),
        (0.7, nn.Conv2d(3, 2, 1, padding="same")),
        (0.7, nn.Conv2d(3, 2, 3, bias=False)),
    ],
    ids=["zero", "circular", "kernel of one", "no bias yet"],
)
def test_constants_that_can_go(constant: float, second: nn.Conv2d) -> None:
    report = check(two_convolutions(constant, second), torch.rand(2, 1, 8, 8))
    assert report.layers[0].units_after == 2


def test_average_pooling_that_counts_its_padding_makes_the_constant_uneven() -> None:
    def model(*after: nn.Module) -> nn.Sequential:
        network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AvgPool2d(2, padding=1), *after)
        network(torch.rand(1, 1, 8, 8))
        with torch.no_grad():
            network[0].weight[1] = 0
        return network.eval()

    example = torch.rand(2, 1, 8, 8)
    before_conv = check(model(nn.Conv2d(3, 2, 2), nn.Flatten(), nn.LazyLinear(2)), example)
    before_linear = check(model(nn.Flatten(), nn.LazyLinear(2)), example)
    assert before_conv.layers[0].units_after == 3
    assert before_linear.layers[0].units_after == 2


def test_death_spreads_forwards_and_backwards() -> None:
    model = nn.Sequential(
        nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(),
        nn.Linear(3, 2),
    ).eval()  # fmt: skip
    with torch.no_grad():
        model[0].weight[0] = 0  # dead …
        model[2].weight[0] = torch.tensor([1.0, 0.0, 0.0])  # … and all that this one reads
        model[6].weight[:, 2] = 0  # unread …
        model[4].weight[:2, 2] = 0  # … and so is what only it reads
    report = check(model, torch.rand(5, 4))
    assert [layer.units_after for layer in report.layers] == [2, 1, 2, 2]


def test_what_never_varies_goes_whatever_its_border() -> None:
    """A padded convolution makes an uneven map of a constant; a linear layer takes any map."""
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1), nn.Flatten(),
        nn.Linear(32, 2),
    ).eval()  # fmt: skip
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 0, 0.7
        model[2].weight[0, [0, 2]] = 0  # reads the constant alone …
        model[2].weight[1, 1] = 0  # … which nobody else reads
    report = check(model, torch.rand(2, 1, 6, 6))
    assert [layer.units_after for layer in report.layers] == [2, 1, 2]
    assert [layer.constants_folded for layer in report.layers] == [0, 1, 0]


def test_batch_norm_that_scales_by_zero_kills_its_channel() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    ).eval()
    with torch.no_grad():
        model[1].weight[2], model[1].bias[2] = 0, 0.3
    report = check(model, torch.rand(3, 1, 4, 4))
    assert (report.layers[0].units_after, report.layers[0].constants_folded) == (3, 1)


def test_a_network_of_zeros_keeps_one_unit_a_layer() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU(),
                          nn.Linear(5, 2)).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.zero_()
    report = check(model, torch.rand(3, 1, 4, 4))
    assert [layer.units_after for layer in report.layers] == [1, 1, 2]


def test_precision_class_and_example_stay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)).double().eval()
    model[0].requires_grad_(False)
    example = torch.rand(2, 3) - 0.5
    before = example.clone()
    with torch.no_grad():
        model[0].weight[1] = 0
    with torch.inference_mode(), torch.no_grad():
        compacted = compact(model, example)
    assert type(compacted) is nn.Sequential
    assert compacted[0].weight.dtype == torch.float64
    assert not compacted[0].weight.requires_grad
    assert compacted[2].bias.requires_grad
    assert torch.equal(example, before)


# -- what is kept whole, and said so --------------------------------------------------------------


class Halved(nn.Linear):
    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows) / 2


class Fixed(nn.Module):
    """A width written as a number, which no surgery can mend."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(16, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).view(-1, 16))


@pytest.mark.parametrize(
    ("model", "name", "words"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1, groups=2), nn.Flatten(),
                          nn.Linear(16, 2)),
            "0",
            "grouped",
        ),
        (nn.Sequential(nn.Flatten(), Halved(16, 4), nn.Linear(4, 2)), "1", "Halved"),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.LocalResponseNorm(2), nn.Flatten(),
                          nn.Linear(16, 2)),
            "0",
            "LocalResponseNorm",
        ),
        (Fixed(), "conv", "view"),
    ],
)  # fmt: skip
def test_layers_that_cannot_shrink_stay_and_say_why(
    model: nn.Module, name: str, words: str
) -> None:
    layer = model.get_submodule(name)
    with torch.no_grad():
        layer.get_parameter("weight")[1] = 0
        layer.get_parameter("bias")[1] = 0
    compacted = compact(model.eval(), torch.rand(2, 1, 4, 4))
    (entry,) = (entry for entry in report_of(compacted).layers if entry.name == name)
    assert entry.units_after == entry.units_before == 4
    assert entry.note is not None
    assert words in entry.note


# -- refusals -------------------------------------------------------------------------------------


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


def with_shared_weight() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)).eval()
    model[2].weight = model[0].weight
    return model


def in_training() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    model[1].train()
    return model


def with_computed_weight() -> nn.Module:
    model = small()
    prune.l1_unstructured(model[0], "weight", 0.5)
    return model


def with_parametrisation() -> nn.Module:
    model = small()
    parametrizations.weight_norm(model[0])
    return model.eval()


def with_nan() -> nn.Module:
    model = small()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    return model


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return self.fc(self.fc(rows))


class Branching(nn.Module):
    """What it computes depends on the values that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return self.fc(rows) if rows.sum() > 0 else -rows


@pytest.mark.parametrize(
    ("model", "example", "error", "words"),
    [
        (in_training(), torch.rand(2, 3), InputError, ["'1'", "training", "model.eval()"]),
        (small().half(), torch.rand(2, 3), InputError, ["float16", "model.float()"]),
        (small(), torch.rand(2, 5), InputError, ["(2, 5)"]),
        (small(), torch.rand(3), InputError, ["(3,)"]),
        (small(), [[0.1, 0.2, 0.3]], InputError, ["a list", "torch.Tensor"]),
        (small(), torch.rand(2, 3, device="meta"), InputError, ["'meta'", "'cpu'"]),
        (torch.relu, torch.rand(2, 3), InputError, ["is no network", "torch.nn.Module"]),
        (nn.ReLU().eval(), torch.rand(2, 3), InputError, ["ReLU has no parameters"]),
        (small(), torch.rand(0, 3), InputError, ["(0, 3)"]),
        (small(), torch.ones(2, 3, dtype=torch.uint8), InputError, ["uint8"]),
        (small(), torch.full((2, 3), torch.inf), InputError, ["infinite"]),
        (with_shared_weight(), torch.rand(2, 3), CompactionError, ["'0.weight' and '2.weight'"]),
        (with_computed_weight(), torch.rand(2, 3), CompactionError, ["'0'", "prune.remove"]),
        (with_parametrisation(), torch.rand(2, 3), CompactionError, ["'0'", "remove_param"]),
        (with_nan(), torch.rand(2, 3), InputError, ["not a number", "diverged"]),
        (Twice().eval(), torch.rand(2, 3), CompactionError, ["'fc' is called twice"]),
        (Branching().eval(), torch.rand(2, 3), NotApplicableError, ["cannot be traced"]),
        (small(), torch.rand(2, 3), InputError, ["constants='fold'", "keep, bias-map, zero-bn"]),
    ],
)
def test_refusals_say_what_where_and_what_next(
    model: nn.Module, example: Tensor, error: type[Exception], words: list[str]
) -> None:
    constants = "fold" if "constants='fold'" in words else "keep"
    with pytest.raises(error) as caught:
        compact(model, example, constants=constants)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# -- the proof can fail ---------------------------------------------------------------------------


class StraightThrough(nn.Module):
    """The values of a rectifier with the gradient of the identity."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + (inputs.relu() - inputs).detach()


def _shift_bias(model: nn.Module) -> None:
    with torch.no_grad():
        model.get_submodule("3").get_parameter("bias")[0] += 1e-3


def _change_gradient(model: nn.Module) -> None:
    model.register_module("1", StraightThrough())


@pytest.mark.parametrize(
    ("damage", "words"), [(_shift_bias, "at '3'"), (_change_gradient, "gradients differ by")]
)
def test_a_wrong_compaction_is_caught_and_the_layer_named(
    damage: Callable[[nn.Module], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_equal = compactor.prove_equal

    def prove_damaged(original: nn.Module, compacted: nn.Module, *rest: Any) -> Differences:
        damage(compacted)
        return prove_equal(original, compacted, *rest)

    monkeypatch.setattr(compactor, "prove_equal", prove_damaged)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.ReLU(), nn.Linear(3, 2)
    ).eval()
    with torch.no_grad():
        model[3].bias.fill_(3.0)  # open rectifiers, so that the damage shows whatever was drawn
    with pytest.raises(CompactionError, match=words):
        compact(model, torch.rand(3, 1, 4, 4))
