"""Whatever follows torch's operations sees those of every form: nothing is left out silently."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize, prune
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from robench.deploy.backends import why_off
from robench.deploy.columns import used_columns
from robench.deploy.forms.cropped import CroppedConv2d
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.forms.gathered import GatheredConv2d
from robench.deploy.forms.row_pooling import RowMaxPool2d
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.deploy.forms.widened import WidenedConv2d
from robench.deploy.kernels.native import Kernel
from robench.deploy.sparse_forms import CsrLinear, _WithoutGradients
from robench.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
"""Torch's own, of its forward-mode derivatives."""

SHAPE = (4, 12, 10)
Case = tuple[nn.Module, nn.Module, Tensor]


def convolution() -> nn.Conv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, padding=1).eval().requires_grad_(requires_grad=False)
    conv.weight[:, torch.rand(4, 3, 3) < 0.5] = 0
    conv.weight[:, 0, 1, 1] = 1.0
    return conv


def linear() -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(10, 7).eval().requires_grad_(requires_grad=False)
    layer.weight[torch.rand(7, 10) < 0.7] = 0
    return layer


class Followed(nn.Module):
    """What a direct form takes along, step by step."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, maps: Tensor) -> Tensor:
        return nn.functional.max_pool2d(self.conv(maps).relu(), 2)


FORMS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "direct": lambda: (DirectConv2d(convolution(), SHAPE), convolution()),
    "direct over columns": lambda: (
        DirectConv2d(convolution(), SHAPE, used_columns(convolution())),
        convolution(),
    ),
    "direct and more": lambda: (
        DirectConv2d(convolution(), SHAPE, rectified=True, pooled=True),
        Followed(convolution()),
    ),
    "gathered": lambda: (
        GatheredConv2d(convolution(), used_columns(convolution()), SHAPE),
        convolution(),
    ),
    "scattered": lambda: (ScatteredConv2d(convolution(), SHAPE), convolution()),
    "cropped": lambda: (CroppedConv2d(convolution(), (0, 2, 0, 2)), convolution()),
    "widened": lambda: (WidenedConv2d(convolution(), 2), convolution()),
    "rows": lambda: (RowMaxPool2d(nn.MaxPool2d(2)), nn.MaxPool2d(2)),
    "csr": lambda: (CsrLinear(linear()), linear()),
}


@pytest.fixture(params=sorted(FORMS))
def case(request: pytest.FixtureRequest) -> Case:
    """A form, what it is a form of, and inputs."""
    form, part = FORMS[request.param]()
    torch.manual_seed(1)
    inputs = torch.rand(3, 10) if request.param == "csr" else torch.rand(3, *SHAPE)
    with torch.no_grad():
        form.eval()(inputs)  # kernels are found, and would be used again
    return form.requires_grad_(requires_grad=False), part.eval(), inputs


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def tangent(part: nn.Module, inputs: Tensor, direction: Tensor) -> Tensor | None:
    with forward_ad.dual_level():
        written = part(forward_ad.make_dual(inputs, direction))
        return forward_ad.unpack_dual(written).tangent


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_tangents_are_kept(case: Case, mode: Callable[[], Any]) -> None:
    """Of all memory layouts, and without gradients too."""
    form, part, inputs = case
    drawn = torch.randn_like(inputs)
    with mode():
        for direction in (drawn, drawn[:1].expand_as(inputs), drawn.mT.contiguous().mT):
            expected = tangent(part, inputs, direction)
            assert expected is not None
            close(tangent(form, inputs, direction), expected)


def test_functional_transforms_are_followed(case: Case) -> None:
    form, part, inputs = case
    direction = torch.randn_like(inputs)

    def curvature(part: nn.Module) -> Tensor:
        gradient = torch.func.grad(lambda one: part(one).square().sum())
        return torch.func.jvp(gradient, (inputs,), (direction,))[1]

    with torch.no_grad():
        close(
            torch.func.jvp(form, (inputs,), (direction,)),
            torch.func.jvp(part, (inputs,), (direction,)),
        )
        close(
            torch.func.vmap(form)(torch.stack([inputs, direction])),
            torch.stack([part(inputs), part(direction)]),
        )
    close(curvature(form), curvature(part))


def test_gradients_of_gradients(case: Case) -> None:
    form, part, inputs = case

    def second(part: nn.Module) -> Tensor:
        leaf = inputs.clone().requires_grad_()
        (first,) = torch.autograd.grad(part(leaf).square().sum(), leaf, create_graph=True)
        return torch.autograd.grad(first.square().sum(), leaf)[0]

    close(second(form), second(part))


def test_what_lies_negated_in_memory(case: Case) -> None:
    """The imaginary part of a conjugate, as a Fourier transform gives it."""
    form, part, inputs = case
    negated = torch.complex(inputs, inputs).conj().imag
    assert negated.is_neg()
    with torch.no_grad():
        close(form(negated), part(-inputs))


def test_defaults_of_torch_change_nothing(case: Case) -> None:
    form, part, inputs = case
    fresh = copy.deepcopy(form)  # whose kernels are not found yet
    with torch.no_grad():
        expected = part(inputs)
        torch.set_default_dtype(torch.float64)
        try:
            found = form(inputs), fresh(inputs)
        finally:
            torch.set_default_dtype(torch.float32)
        fresh = copy.deepcopy(form)
        with torch.device("meta"):
            found = *found, form(inputs), fresh(inputs)
    for written in (*found, fresh(inputs)):
        close(written, expected)


def test_mixed_precision_is_heeded(case: Case) -> None:
    form, part, inputs = case
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, expected = form(inputs), part(inputs)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=5e-2)


def test_recorders_record_it(case: Case) -> None:
    """Not a constant: a graph of it computes other inputs as well."""
    form, part, inputs = case
    if isinstance(form, CsrLinear):
        pytest.skip("torch records no products of compressed rows")
    other = torch.rand_like(inputs)
    with torch.no_grad():
        close(make_fx(form)(inputs)(other), part(other))


@pytest.mark.slow
def test_compilers_record_it(case: Case) -> None:
    form, part, inputs = case
    if isinstance(form, CsrLinear):
        pytest.skip("torch records no products of compressed rows")
    other = torch.rand_like(inputs)
    torch.compiler.reset()
    with torch.no_grad():
        close(torch.compile(form, backend="eager", fullgraph=True)(other), part(other))


class Calls(TorchDispatchMode):
    """Counts the operations."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "conv" in str(func) or "mm" in str(func)
        return func(*args, **(kwargs or {}))


class Functions(TorchFunctionMode):
    """Counts the functions."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += getattr(func, "__name__", "") in ("conv2d", "mm", "addmm", "linear")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Calls, Functions])
def test_modes_see_the_operations(case: Case, mode: type[Calls] | type[Functions]) -> None:
    form, part, inputs = case
    if isinstance(form, RowMaxPool2d):
        pytest.skip("nothing is multiplied")
    with torch.no_grad(), mode() as seen:
        close(form(inputs), part(inputs))
    assert seen.count


KERNELS = ["direct", "direct over columns", "direct and more", "scattered"]
compiled = pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of a kernel computed."""
    seen: list[int] = []
    original = Kernel.__call__

    def counted(self: Kernel, *places: int) -> None:
        seen.append(places[-1])
        original(self, *places)

    monkeypatch.setattr(Kernel, "__call__", counted)
    return seen


@compiled
@pytest.mark.parametrize("case", KERNELS, indirect=True)
def test_a_kernel_computes_where_nobody_looks(case: Case, calls: list[int]) -> None:
    form, part, inputs = case
    with torch.no_grad(), torch.device("cpu"):
        close(form(inputs), part(inputs))
    assert calls == [3]


@compiled
@pytest.mark.parametrize("case", [name for name in KERNELS if "direct" in name], indirect=True)
def test_each_module_within_may_be_watched(case: Case, calls: list[int]) -> None:
    form, part, inputs = case
    seen: list[str] = []
    within = [
        one for one in form.modules() if one is not form and not isinstance(one, nn.ModuleList)
    ]
    with torch.no_grad():
        for module in within:
            for register in (module.register_forward_hook, module.register_forward_pre_hook):
                with register(lambda *_: seen.append("")):
                    close(form(inputs), part(inputs))
        assert len(seen) == 2 * len(within)
        with register_module_forward_hook(lambda *_: seen.append("")):
            form(inputs)
        assert len(seen) > 2 * len(within) + 1
        within[-1].forward = lambda *_: pytest.fail("it was called")  # type: ignore[method-assign]
        with pytest.raises(pytest.fail.Exception, match="it was called"):
            form(inputs)
    assert not calls


def reads(form: nn.Module) -> nn.Module:
    """The module whose weight a direct form reads."""
    layer = form.get_submodule("layer")
    return layer if isinstance(layer, nn.Conv2d) else layer.get_submodule("products.0")


@compiled
@pytest.mark.parametrize("case", [name for name in KERNELS if "direct" in name], indirect=True)
def test_parameters_that_are_more_than_numbers(case: Case, calls: list[int]) -> None:
    form, part, inputs = case
    layer = reads(form)
    layer.get_parameter("bias").requires_grad_()
    (gradient,) = torch.autograd.grad(form(inputs).sum(), layer.get_parameter("bias"))
    assert gradient.any()
    layer.requires_grad_(requires_grad=False)
    names = dict(form.named_parameters())
    with torch.no_grad():
        for name, value in names.items():
            with forward_ad.dual_level():
                dual = {name: forward_ad.make_dual(value, torch.ones_like(value))}
                written = torch.func.functional_call(form, dual, (inputs,))
                assert forward_ad.unpack_dual(written).tangent is not None
        shift = layer.get_parameter("bias")[:1].clone()
        layer.bias = nn.Parameter(shift.expand(6), requires_grad=False)  # one number of memory
        part.get_submodule("conv" if isinstance(part, Followed) else "").bias.copy_(layer.bias)
        close(form(inputs), part(inputs))
    assert not calls


@compiled
@pytest.mark.parametrize("change", ["parametrised", "pruned", "replaced"])
@pytest.mark.parametrize("is_found", [True, False])
def test_a_layer_that_is_changed_is_heeded(change: str, is_found: bool, calls: list[int]) -> None:
    conv = convolution()
    form, inputs = DirectConv2d(conv, SHAPE).eval(), torch.rand(3, *SHAPE)
    with torch.no_grad():
        if is_found:
            form(inputs)
        if change == "parametrised":
            parametrize.register_parametrization(conv, "weight", nn.Tanh())
        elif change == "pruned":
            prune.random_unstructured(conv, "weight", 0.5)
        else:
            form.layer = conv = copy.deepcopy(conv)
            conv.weight.mul_(2)
        close(form(inputs), conv(inputs))
    assert len(calls) == is_found + (change == "replaced" and not is_found)


@compiled
def test_single_weights_that_are_more_than_numbers(calls: list[int]) -> None:
    form, inputs = ScatteredConv2d(convolution(), SHAPE), torch.rand(3, *SHAPE)
    for name in ("values", "bias"):
        value = getattr(form, name)
        value.requires_grad_()
        (gradient,) = torch.autograd.grad(form(inputs).sum(), value)
        assert gradient.any()
        value.requires_grad_(requires_grad=False)
    form.bias = form.bias.double().float()[::2].repeat_interleave(2)[:0]
    with pytest.raises(RuntimeError):  # torch's own word on a bias of no numbers
        form(inputs)
    assert not calls


def test_two_of_four_refuses_tangents() -> None:
    kernel, rows = _WithoutGradients(linear()), torch.rand(3, 10)
    with torch.no_grad():
        kernel(rows)
        with pytest.raises(InputError, match="gradients or tangents"):
            tangent(kernel, rows, rows)
        with pytest.raises(InputError, match="gradients or tangents"):
            torch.func.vmap(kernel)(rows)
