"""What forward() may do beside calling layers: counting channels, reading weights, options, …"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.compaction import compact, report_of
from robench.deploy import inference_form
from robench.errors import CompactionError, InputError, NotApplicableError
from tests.networks import Net, randomised


class TwoConvs(Net):
    """Convolutions `a` and `b`; filters 1 and 4 of `a` are constant."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__(forward, a=nn.Conv2d(3, 6, 3, padding=1), b=nn.Conv2d(6, 4, 1), **parts)
        randomised(self)
        with torch.no_grad():
            for unit, constant in ((1, 0.3), (4, 0.0)):
                self.a.weight[unit], self.a.bias[unit] = 0, constant
        self.double().eval()


def images(*size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 3, *size, generator=generator, dtype=torch.float64)


def same(model: nn.Module, **options: Any) -> nn.Module:
    compacted = compact(model, images(8, 8), **options)
    for inputs in (images(8, 8), images(5, 11), 0.01 * images(9, 9), -images(4, 4)):
        torch.testing.assert_close(compacted(inputs), model(inputs), atol=1e-12, rtol=1e-12)
    return compacted


def units(compacted: nn.Module) -> dict[str, int]:
    return {layer.name: layer.units_after for layer in report_of(compacted).layers}


# -- numbers of channels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) / y.shape[1],
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) * y.size(1),
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) * y.size(dim=-3),
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) * y.shape[-3],
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) * y.shape[:2][1],
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) * (2 * y.size()[1] - 1),
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) / y.numel(),
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) + torch.ones(y.shape).mean() * torch.numel(y),
        lambda m, x: F.leaky_relu(m.b(y := m.a(x)), 1 / y.shape[1]).mean((2, 3)),
    ],
)
def test_channels_that_are_counted_stay(forward: Callable[[Any, Tensor], Tensor]) -> None:
    compacted = same(TwoConvs(forward))
    assert units(compacted)["a"] == 6
    assert "number of these channels" in str(report_of(compacted).layers[0].note)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) / y.shape[2],
        lambda m, x: m.b(y := m.a(x)).mean((2, 3)) / y.size(-1) * y.shape[2:][0],
        lambda m, x: m.b(y := m.a(x)).view(y.size(0), 4, -1).mean(2),
        lambda m, x: F.interpolate(m.b(y := m.a(x)), y.shape[2:]).mean((2, 3)) * y.dim(),
        lambda m, x: m.b(F.avg_pool2d(y := m.a(x), y.size()[2:])).flatten(1),
    ],
)
def test_other_sizes_may_be_asked_for(forward: Callable[[Any, Tensor], Tensor]) -> None:
    assert units(same(TwoConvs(forward)))["a"] == 4


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(m.a(x)).mean((2, 3)) * m.a.weight.abs().mean(),
        lambda m, x: m.b(m.a(x)).mean((2, 3)) * m.a.weight.numel(),
        lambda m, x: m.b(m.a(x)).mean((2, 3)) + m.b.bias,
        lambda m, x: m.b(m.a(x)).mean((2, 3)) * m.b.weight.shape[1],
        lambda m, x: F.conv2d(m.a(x), m.b.weight).mean((2, 3)) * m.a.bias.sum(),
    ],
)  # fmt: skip
def test_layers_whose_weights_are_read_stay(forward: Callable[[Any, Tensor], Tensor]) -> None:
    compacted = same(TwoConvs(forward))
    assert units(compacted)["a"] == 6
    assert report_of(compacted).layers[0].note


def test_columns_of_such_layers_stay_as_well() -> None:
    model = TwoConvs(
        lambda m, x: m.c(x).mean((2, 3)) * m.c.weight.abs().mean(), c=nn.Conv2d(3, 64, 5)
    ).float()
    with torch.no_grad():
        model.get_parameter("c.weight").view(64, -1)[:, 5:] = 0
    compacted = compact(model, images(16, 16).float())
    assert type(compacted.get_submodule("c")) is nn.Conv2d


# -- joins and shared modules ---------------------------------------------------------------------


def test_a_tensor_beside_itself() -> None:
    model = TwoConvs(
        lambda m, x: m.c(torch.cat([y := m.a(x), y], 1)).mean((2, 3)), c=nn.Conv2d(12, 4, 1)
    )
    compacted = same(model)
    assert units(compacted)["a"] == 4
    assert compacted.get_submodule("c").in_channels == 8


@pytest.mark.parametrize("fixed", [True, False])
def test_a_batch_norm_in_two_places(fixed: bool) -> None:
    """It loses a channel where both places do."""
    model = TwoConvs(
        lambda m, x: m.b(m.norm(m.c(m.norm(m.a(x)).relu()))).mean((2, 3)),
        c=nn.Conv2d(6, 6, 1), norm=nn.BatchNorm2d(6),
    )  # fmt: skip
    if fixed:
        with torch.no_grad():
            model.get_parameter("c.weight")[1] = 0
    compacted = same(model)
    assert units(compacted)["a"] == units(compacted)["c"] == (5 if fixed else 6)
    assert compacted.get_submodule("norm").num_features == (5 if fixed else 6)


def test_a_batch_norm_in_two_places_is_not_silenced_for_one() -> None:
    model = TwoConvs(
        lambda m, x: m.c(m.norm(m.d(m.norm(m.a(x))))).mean((2, 3)),
        c=nn.Conv2d(6, 6, 3, padding=1), d=nn.Conv2d(6, 6, 1), norm=nn.BatchNorm2d(6),
    )  # fmt: skip
    assert report_of(compact(model, images(8, 8), constants="zero-bn")).changed_by_zero_bn == 0


def test_what_is_overwritten_is_read_overwritten() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        y.mul_(0.5)
        m.act(y)
        maps: Tensor = m.b(y)
        return maps.mean((2, 3))

    model = TwoConvs(forward, act=nn.Hardtanh(0.1, 0.2, inplace=True))
    assert units(same(model))["a"] == 4


# -- options --------------------------------------------------------------------------------------


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)
        with torch.no_grad():
            self.a.weight[2] = 0

    def forward(
        self, rows: Tensor, mask: Tensor | None = None, *rest: Tensor, scale: float = 2.0,
        **more: Tensor,
    ) -> Tensor:  # fmt: skip
        hidden = self.a(rows).relu() * scale
        if mask is not None:
            hidden = hidden * mask
        for other in rest or more.values():
            hidden = hidden + other
        logits: Tensor = self.b(hidden)
        return logits


def test_options_of_forward_take_their_defaults() -> None:
    model, rows = Masked().double().eval(), torch.rand(5, 4, dtype=torch.float64)
    compacted = compact(model, rows)
    assert units(compacted) == {"a": 5, "b": 3}
    torch.testing.assert_close(compacted(rows), model(rows))


# -- what cannot be done --------------------------------------------------------------------------


class Unlike(nn.Module):
    """Takes two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 2)

    def forward(self, rows: Tensor, others: Tensor) -> Tensor:
        logits: Tensor = self.a(rows + others)
        return logits


def _overwritten(m: Any, x: Tensor) -> Tensor:
    y = m.a(x).sigmoid()
    y.mul_(2)
    maps: Tensor = m.b(y)
    return maps.mean((2, 3))


def _unregistered() -> nn.Module:
    layer = nn.Conv2d(3, 6, 3)
    return TwoConvs(lambda m, x: m.b(layer.double()(x)).mean((2, 3)))


def _asserting(m: Any, x: Tensor) -> Tensor:
    assert x.shape[2] == 9, "nine pixels"
    return m.b(m.a(x)).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (TwoConvs(_overwritten), InputError, ["gradient of TwoConvs", "in place"]),
        (Unlike().double().eval(), InputError, ["others"]),
        (_unregistered(), NotApplicableError, ["cannot be traced"]),
        (TwoConvs(_asserting), InputError, ["nine pixels"]),
        (TwoConvs(lambda m, x: m.missing(x)), InputError, ["missing"]),
        (TwoConvs(lambda m, x: (m.b(m.a(x)),)), InputError, ["returns a tuple"]),
        (TwoConvs(lambda m, x: m.b(m.a(m.norm(m.a(x)[:, :3]))), norm=nn.BatchNorm2d(3)),
         CompactionError,
         ["'a' is called twice"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("backend", ["fx", "torch-pruning"])
def test_errors_are_ours(
    model: nn.Module, error: type[Exception], words: list[str], backend: str
) -> None:
    if backend == "torch-pruning":
        pytest.importorskip("torch_pruning")
        error = (error, CompactionError)  # type: ignore[assignment]
        words = []
    with pytest.raises(error) as caught:
        compact(model, images(8, 8), backend=backend)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_scripted_networks() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    rows = torch.rand(5, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(model)
        part = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU()).eval())
    with pytest.raises(InputError, match="is scripted"):
        compact(scripted, rows)
    with pytest.raises(InputError, match="is scripted"):
        inference_form(scripted, rows)
    with torch.no_grad():
        model[0].weight[1] = 0
    partly = nn.Sequential(model, part).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of every copy of a scripted module
        compacted = compact(partly, rows)
    assert units(compacted)["0.0"] == 5
    torch.testing.assert_close(compacted(rows), partly(rows))


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(m.a(x).detach()).mean((2, 3)),
        lambda m, x: m.b(m.a(x)).mean((2, 3)).round().detach(),
        lambda m, x: F.one_hot(m.b(m.a(x)).mean((2, 3)).argmax(1), 4).double(),
    ],
)
def test_networks_without_a_gradient(forward: Callable[[Any, Tensor], Tensor]) -> None:
    assert report_of(same(TwoConvs(forward))).differences.gradients_float64 == 0
