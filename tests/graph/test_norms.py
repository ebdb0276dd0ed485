"""BatchNorm as a function and in subclasses: it loses channels as a plain BatchNorm does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.compaction import compact, load, report_of, save
from tests.networks import Net, randomised


class NormAct(nn.BatchNorm2d):
    """A BatchNorm with its activation, whose forward() normalises with the function."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.batch_norm(
            maps, self.running_mean, self.running_var, self.weight, self.bias, self.training,
            self.momentum or 0.0, self.eps,
        ).relu()  # fmt: skip


class Frozen(nn.Module):
    """Statistics, and a scale and an offset or not, as buffers of a module that is no BatchNorm."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in ("running_mean", "running_var", *names):
            self.register_buffer(name, torch.ones(6))
        self.names, self.num_features = names, 6

    def forward(self, maps: Tensor) -> Tensor:
        given: dict[str, Any] = {name: self.get_buffer(name) for name in self.names}
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return F.batch_norm(maps, mean, variance, **given)


class Native(nn.BatchNorm2d):
    """With the function whose parameters stand in another order."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.batch_norm(
            maps, self.weight, self.bias, self.running_mean, self.running_var, False, 0.1, self.eps,
            False,
        )  # fmt: skip


class Same(nn.BatchNorm2d):
    """Computes what its base computes."""

    def __init__(self, features: int, note: str = "") -> None:
        super().__init__(features)
        self.note = note

    def extra_repr(self) -> str:
        return self.note


class Normalised(Net):
    """Convolution, norm, convolution; two units of the first are zero."""

    def __init__(
        self, norm: nn.Module, forward: Callable[[Any, Tensor], Tensor] | None = None
    ) -> None:
        super().__init__(
            forward or (lambda m, x: m.b(m.norm(m.a(x))).mean((2, 3))),
            a=nn.Conv2d(3, 6, 3, padding=1),
            norm=norm,
            b=nn.Conv2d(6, 4, 1),
        )
        randomised(self)
        with torch.no_grad():
            self.a.weight[[1, 4]] = 0
        self.double().eval()


def images(*size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)


def same(model: nn.Module, **options: Any) -> nn.Module:
    before = copy.deepcopy(model)
    compacted = compact(model, images(8, 8), columns=False, **options)
    for inputs in (images(8, 8), images(5, 11), -images(4, 4)):
        torch.testing.assert_close(compacted(inputs), before(inputs), atol=1e-12, rtol=1e-12)
        torch.testing.assert_close(model(inputs), before(inputs), atol=0, rtol=0)
    return compacted


def norms() -> list[nn.Module]:
    return [
        NormAct(6), NormAct(6, affine=False), Native(6), Same(6), Frozen(), Frozen("weight"),
        Frozen("bias"), Frozen("weight", "bias"),
    ]  # fmt: skip


@pytest.mark.parametrize("norm", norms(), ids=lambda norm: type(norm).__name__)
def test_the_norm_loses_channels_and_its_class_goes_on(norm: nn.Module, tmp_path: Path) -> None:
    compacted = same(Normalised(norm))
    own = compacted.get_submodule("norm")
    assert type(compacted) is Normalised
    assert type(own) is type(norm)
    assert own.num_features == 4
    assert compacted.get_submodule("a").out_channels == 4
    assert {len(value) for value in own.state_dict().values() if value.ndim} == {4}
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", Normalised(copy.deepcopy(norm)))
    torch.testing.assert_close(again(images(6, 6)), compacted(images(6, 6)))
    assert again.get_submodule("norm").num_features == 4


def test_a_network_that_normalises_with_tensors_of_its_own() -> None:
    model = Normalised(
        nn.Identity(),
        lambda m, x: m.b(F.batch_norm(m.a(x), m.running_mean, m.running_var)).mean((2, 3)),
    )
    model.register_buffer("running_mean", torch.rand(6).double())
    model.register_buffer("running_var", torch.rand(6).double() + 0.5)
    compacted = same(model)
    assert compacted.get_buffer("running_mean").shape == (4,)


def _functional(m: Any, maps: Tensor, **changed: Any) -> Tensor:
    own = {name: getattr(m.norm, name) for name in ("running_mean", "running_var", "weight")}
    return F.batch_norm(maps, **{**own, **changed})


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(_functional(m, m.a(x))) * m.norm.weight.sum(),
        lambda m, x: m.b(_functional(m, m.a(x))) * m.norm.weight.numel(),
        lambda m, x: m.b(_functional(m, m.a(x)) + m.norm.running_mean.view(1, 6, 1, 1)),
        lambda m, x: m.b(_functional(m, m.a(x), weight=m.a.bias)),
        lambda m, x: m.b(_functional(m, m.a(x), weight=m.norm.bias)),
        lambda m, x: m.b(_functional(m, m.norm(m.a(x)))),
        lambda m, x: m.b(_functional(m, m.a(x), training=True)),
        lambda m, x: m.b(_functional(m, _functional(m, m.a(x)), weight=None)),
    ],
)  # fmt: skip
def test_tensors_that_something_else_uses_stay(forward: Callable[[Any, Tensor], Tensor]) -> None:
    model = Normalised(nn.BatchNorm2d(6), lambda m, x: forward(m, x).mean((2, 3)))
    compacted = same(model)
    assert compacted.get_submodule("a").out_channels == 6
    assert compacted.get_parameter("norm.weight").shape == (6,)


@pytest.mark.parametrize("is_shared", [True, False])
def test_tensors_under_two_names_stay(is_shared: bool) -> None:
    first, second = NormAct(6), NormAct(6)
    model = Normalised(nn.Sequential(first, nn.Conv2d(6, 6, 1), second))
    if is_shared:  # only now: in double precision each would get a tensor of its own
        second.running_mean = first.running_mean
    compacted = same(model)
    assert compacted.get_submodule("a").out_channels == (6 if is_shared else 4)


class Unscaled(nn.BatchNorm2d):
    """Has a weight and a bias, and normalises without them."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.batch_norm(maps, self.running_mean, self.running_var, eps=self.eps)


def test_a_weight_that_is_not_used_stays_whole_and_the_network_can_be_loaded(
    tmp_path: Path,
) -> None:
    compacted = same(Normalised(Unscaled(6)))
    assert compacted.get_buffer("norm.running_mean").shape == (4,)
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", Normalised(Unscaled(6)))
    torch.testing.assert_close(again(images(6, 6)), compacted(images(6, 6)))


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_norm_in_two_places_loses_what_both_lose(is_dead: bool) -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        maps: Tensor = m.b(m.norm(m.c(m.norm(m.a(x)))))
        return maps.mean((2, 3))

    model = Normalised(NormAct(6), forward)
    model.add_module("c", nn.Conv2d(6, 6, 1).double().eval())
    if is_dead:
        with torch.no_grad():
            model.get_parameter("c.weight")[[1, 2]] = 0
    compacted = same(model)
    assert compacted.get_submodule("norm").num_features == (5 if is_dead else 6)


def test_zero_bn_silences_a_functional_norm() -> None:
    model = Normalised(NormAct(6), lambda m, x: m.c(m.norm(m.a(x))).mean((2, 3)))
    model.add_module("c", nn.Conv2d(6, 2, 3, padding=1).double().eval())
    with torch.no_grad():
        model.get_parameter("norm.bias").fill_(0.5)
        model.get_parameter("a.bias").copy_(model.get_buffer("norm.running_mean"))
    assert compact(model, images(8, 8)).get_submodule("a").out_channels == 6
    compacted = compact(model, images(8, 8), constants="zero-bn")
    assert compacted.get_submodule("a").out_channels == 4
    assert report_of(compacted).changed_by_zero_bn > 0


def test_a_dead_branch_goes_where_norms_are_functions(tmp_path: Path) -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        maps: Tensor = m.b(y + m.norm(m.c(y)))
        return maps.mean((2, 3))

    def build() -> nn.Module:
        model = Normalised(NormAct(6), forward)
        model.add_module("c", nn.Conv2d(6, 6, 1).double().eval())
        return model

    model = build()
    with torch.no_grad():
        model.get_parameter("c.weight").zero_()
    compacted = same(model)
    assert isinstance(compacted, torch.fx.GraphModule)
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", build())
    torch.testing.assert_close(again(images(6, 6)), compacted(images(6, 6)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "densenet121"])
def test_timms_networks_lose_their_dead_filters(name: str) -> None:
    from robench._torchvision import import_torchvision

    import_torchvision()
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight[torch.rand(len(module.weight)) < 0.6] = 0
    compacted = compact(model, torch.rand(2, 3, 64, 64), columns=False)
    report = report_of(compacted)
    assert type(compacted) is type(model)
    assert report.parameters_after < 0.5 * report.parameters_before
    before, after = copy.deepcopy(model).double(), copy.deepcopy(compacted).double()
    inputs = torch.rand(2, 3, 96, 96).double()
    torch.testing.assert_close(after(inputs), before(inputs), atol=1e-9, rtol=1e-9)
