"""Forms of narrow convolutions and of pooling: the same function and the same gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import robench.compaction.narrow as narrow
from robench.compaction.forms.row_pooling import RowMaxPool2d
from robench.compaction.forms.widened import WidenedConv2d
from robench.compaction.narrow import quickest_forms

few = settings(max_examples=25, deadline=None)


def check_same(form: nn.Module, part: nn.Module, maps: Tensor) -> None:
    found, expected = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    written, wanted = form(found), part(expected)
    torch.testing.assert_close(written, wanted, rtol=0, atol=1e-12)
    (written.square().sum() + wanted.square().sum()).backward()
    assert found.grad is not None
    torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=1e-11)


@few
@given(
    pixels=st.sampled_from([2, 3, 4]),
    kernel=st.sampled_from([1, 3, (2, 5)]),
    stride=st.sampled_from([1, 2, (2, 1), (1, 3)]),
    padding=st.sampled_from([0, 1, (2, 0)]),
    bias=st.booleans(),
    is_last=st.booleans(),
)
def test_a_widened_convolution_computes_the_convolution(
    pixels, kernel, stride, padding, bias, is_last
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, kernel, stride, padding, bias=bias).double().eval()
    narrowest = 12  # of the output, so that any number of pixels divides it
    across, beside = conv.stride[1], int(conv.padding[1])
    width = (narrowest - 1) * across + conv.kernel_size[1] - 2 * beside
    maps = torch.rand(2, 3, 9, width, dtype=torch.float64)
    if is_last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    assert conv(maps).shape[3] == narrowest
    check_same(WidenedConv2d(conv, pixels), conv, maps)


def test_what_a_widened_convolution_writes_lies_channels_last() -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1).eval()
    maps = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert WidenedConv2d(conv, 2)(maps).is_contiguous(memory_format=torch.channels_last)


@few
@given(
    size=st.sampled_from([1, 2, 3, (2, 1), (1, 4)]),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
)
def test_maxima_of_rows_are_max_pooling(size, height, width) -> None:
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0)).double()
    pool = nn.MaxPool2d(size)
    check_same(RowMaxPool2d(pool), pool, maps)


def test_equal_neighbours_share_the_gradient() -> None:
    maps = torch.ones(1, 1, 2, 2, requires_grad=True)
    RowMaxPool2d(nn.MaxPool2d(2))(maps).backward()
    assert maps.grad is not None
    assert maps.grad.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch):
    """``chosen(part, maps, seconds)``: what is taken for it when forms take so long."""

    def choose(part: nn.Module, maps: Tensor, seconds: dict[str, list[float]]) -> nn.Module | None:
        tried = []

        def timed(forms, read):
            tried.extend(forms)
            return {form: seconds.get(form, [1.0, 1.0]) for form in forms}

        monkeypatch.setattr(narrow, "timed", timed)
        found = quickest_forms(nn.Sequential(part).eval(), maps)
        choose.tried = tried
        return found["0"](part) if found else None

    return choose


MAPS = torch.rand(4, 3, 8, 8)


def test_the_quickest_form_is_taken(chosen) -> None:
    seconds = {"2 pixels": [0.5, 0.5], "4 pixels": [0.4, 0.4]}
    form = chosen(nn.Conv2d(3, 4, 3, padding=1), MAPS, seconds)
    assert chosen.tried == ["as it is", "2 pixels", "4 pixels"]  # three do not divide eight
    assert isinstance(form, WidenedConv2d)
    assert form.pixels == 4
    assert isinstance(chosen(nn.MaxPool2d(2), MAPS, {"rows": [0.5, 0.5]}), RowMaxPool2d)


@pytest.mark.parametrize(
    ("seconds", "is_taken"),
    [
        ([1.0, 0.95], False),  # within the noise
        ([2.0, 0.5], False),  # slower with one input
        ([1.0 + 4e-6, 0.5], True),  # a few microseconds are let off
        ([1.0, 0.5], True),
    ],
)
def test_gains_must_be_clear(chosen, seconds: list[float], is_taken: bool) -> None:
    assert (chosen(nn.MaxPool2d(2), MAPS, {"rows": seconds}) is not None) is is_taken


@pytest.mark.parametrize(
    "part",
    [
        nn.Conv2d(3, 32, 3),
        nn.Conv2d(3, 6, 3, groups=3),
        nn.Conv2d(3, 6, 3, dilation=2),
        nn.Conv2d(3, 6, 3, padding="same"),
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(3, ceil_mode=True),
        nn.AvgPool2d(2),
    ],
    ids=str,
)
def test_what_these_forms_do_not_fit_is_not_tried(chosen, part: nn.Module) -> None:
    assert chosen(part, MAPS, {}) is None
    assert chosen.tried == []
