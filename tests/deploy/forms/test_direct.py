"""Convolutions by kernels of their own: the same function, and never where a kernel cannot."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from robench.deploy.backends import has_kernel, why_off
from robench.deploy.columns import used_columns
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.kernels.native import Kernel
from robench.errors import InputError
from robench.measure.counter import count_operations

few = settings(max_examples=12, deadline=None)
compiled = pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")


def convolution(*, share: float = 0.0, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=groups, bias=bias).eval()
    with torch.no_grad():
        for own in conv.weight.unflatten(0, (groups, -1)):
            own[:, torch.rand(own.shape[1:]) < share] = 0
            own[0, 0, 1, 1] = 1.0  # never empty
    return conv


def form_of(conv: nn.Conv2d, **follows: bool) -> DirectConv2d:
    used = used_columns(conv)
    return DirectConv2d(conv, (4, 12, 10), None if used.all() else used, **follows).eval()


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


@few
@given(
    share=st.sampled_from([0.0, 0.5, 0.95]),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    follows=st.sampled_from(["", "added", "rectified", "pooled", "rectified pooled"]),
    is_last=st.booleans(),
)
def test_it_computes_what_torch_does(share, groups, bias, follows, is_last) -> None:
    conv = convolution(share=share, groups=groups, bias=bias)
    form = form_of(conv, **dict.fromkeys(follows.split(), True))
    maps, added = torch.randn(3, 4, 12, 10), torch.randn(3, 6, 12, 10)
    if is_last:
        maps = maps.contiguous(memory_format=torch.channels_last)

    def expected(maps: Tensor) -> Tensor:
        outputs = conv(maps) + added if "added" in follows else conv(maps)
        outputs = F.relu(outputs) if "rectified" in follows else outputs
        return F.max_pool2d(outputs, 2) if "pooled" in follows else outputs

    beside = (added,) if "added" in follows else ()
    with torch.no_grad():
        torch.testing.assert_close(form(maps, *beside), expected(maps), atol=1e-5, rtol=1e-5)
    one, other = (maps.clone().requires_grad_() for _ in range(2))
    (form(one, *beside).square().sum() + expected(other).square().sum()).backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


@compiled
def test_the_kernel_serves_plain_maps_alone(calls: list[int]) -> None:
    form, maps = form_of(convolution(share=0.5)), torch.rand(3, 4, 12, 10)
    with torch.no_grad():
        form(maps)
        assert calls == [3]
        copy.deepcopy(form).double()(maps.double())
        with FlopCounterMode(display=False) as counter:
            form(maps)
        torch.func.vmap(form)(maps[None])
        (product,) = form.layer.products
        with product.register_forward_hook(lambda *_: None):
            form(maps)
    form(maps)  # whose weights ask for gradients
    form.requires_grad_(requires_grad=False)(maps.clone().requires_grad_())
    assert calls == [3]
    form(maps)
    assert calls == [3, 3]
    assert counter.get_total_flops() == 2 * 3 * 12 * 10 * product.weight.numel()


@compiled
def test_weights_that_change_are_used(calls: list[int]) -> None:
    conv = convolution()
    form, maps = form_of(conv), torch.rand(2, 4, 12, 10)
    with torch.no_grad():
        before = form(maps)
        conv.weight.mul_(2)
        conv.bias.mul_(2)
        torch.testing.assert_close(form(maps), 2 * before)
        form.load_state_dict(
            {name: torch.ones_like(one) for name, one in form.state_dict().items()}
        )
        torch.testing.assert_close(form(maps), conv(maps))
        assert torch.all(conv.weight == 1)
        conv.to(memory_format=torch.channels_last)  # whose weights lie otherwise
        torch.testing.assert_close(form(maps), conv(maps))
    assert calls == [2, 2, 2]


@compiled
def test_a_kernel_is_given_what_it_was_made_for_or_nothing(calls: list[int]) -> None:
    """It would read memory that is not there."""
    conv, maps, added = convolution(), torch.rand(2, 4, 12, 10), torch.rand(2, 6, 12, 10)
    with torch.no_grad():
        torch.testing.assert_close(form_of(conv, added=True)(maps), conv(maps))
        torch.testing.assert_close(form_of(conv)(maps, added), conv(maps) + added)
        torch.testing.assert_close(
            form_of(conv, added=True)(maps, added[:1]), conv(maps) + added[:1]
        )
        form = form_of(conv)
        form(maps)
        assert calls == [2]
        conv.bias = None
        torch.testing.assert_close(form(maps), conv(maps))
        conv.weight = nn.Parameter(torch.rand(3, 4, 3, 3))
        torch.testing.assert_close(form(maps), conv(maps))
        prune.random_unstructured(conv, "weight", 0.5)
        torch.testing.assert_close(form(maps), conv(maps))
    assert calls == [2]


@compiled
def test_copies_compute_with_their_own_weights() -> None:
    form, maps = form_of(convolution(share=0.5)), torch.rand(2, 4, 12, 10)
    with torch.no_grad():
        before = form(maps)
        for surrogate in (copy.deepcopy(form), pickle.loads(pickle.dumps(form))):
            for weight in surrogate.parameters():
                weight.zero_()
            assert not surrogate(maps).any()
        assert torch.equal(form(maps), before)


def test_no_images_give_no_maps() -> None:
    with torch.no_grad():
        assert form_of(convolution())(torch.rand(0, 4, 12, 10)).shape == (0, 6, 12, 10)


def test_other_image_sizes() -> None:
    maps = torch.rand(2, 4, 7, 10)
    with torch.no_grad():
        torch.testing.assert_close(form_of(convolution())(maps), convolution()(maps))
        with pytest.raises(InputError, match="for which the network was compacted"):
            form_of(convolution(share=0.5))(maps)


def test_a_machine_without_kernels_gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, maps = convolution(share=0.5), torch.rand(2, 4, 12, 10)
    monkeypatch.setenv("ROBENCH_KERNELS", "off")
    assert not has_kernel(conv, maps)
    with torch.no_grad():
        torch.testing.assert_close(form_of(conv)(maps), conv(maps))


@compiled
def test_for_what_there_is_a_kernel() -> None:
    maps = torch.rand(1, 8, 6, 6)
    assert has_kernel(nn.Conv2d(8, 8, 3), maps)
    assert not has_kernel(nn.Conv2d(8, 8, 3), maps.double())
    assert not has_kernel(nn.Conv2d(8, 8, 3, groups=8), maps)
    assert not has_kernel(nn.Conv2d(8, 8, 3, padding="same"), maps)
    assert not has_kernel(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), maps)


def test_operations_are_counted_and_memory_as_it_is_taken() -> None:
    conv, maps = convolution(share=0.5), torch.rand(1, 4, 12, 10)
    form = nn.Sequential(form_of(conv)).eval()
    found, dense = (count_operations(one, maps) for one in (form, nn.Sequential(conv).eval()))
    assert found.macs_nonzero == dense.macs_nonzero
    assert found.macs == 6 * int(used_columns(conv).sum()) * 12 * 10
    if why_off() is None:
        with torch.no_grad():
            form(maps)  # which takes its own memory once
        assert count_operations(form, maps).peak_activation_bytes == dense.peak_activation_bytes
