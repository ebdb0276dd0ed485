"""Convolutions over the columns that are left: the same function, whatever the shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import robench.compaction.columns as columns
from robench.compaction import compact, load, report_of, save
from robench.compaction.columns import used_columns
from robench.compaction.forms.cropped import CroppedConv2d
from robench.compaction.forms.gathered import GatheredConv2d
from robench.errors import InputError
from robench.measure.counter import count_operations

few = settings(max_examples=25, deadline=None)


def convolution(
    *, share: float, seed: int, kernel=3, stride=1, padding=1, dilation=1, groups=1, bias=True
):
    torch.manual_seed(seed)
    conv = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups, bias=bias)
    with torch.no_grad():
        for own in conv.weight.unflatten(0, (groups, -1)):
            own[:, torch.rand(own.shape[1:]) < share] = 0
            own[0, 0, -1, -1] = 1.0  # never empty
    return conv.eval()


shapes = {
    "seed": st.integers(0, 1000),
    "kernel": st.sampled_from([1, 3, (2, 5)]),
    "stride": st.sampled_from([1, 2, (2, 1)]),
    "padding": st.sampled_from([0, 1, (2, 0)]),
    "dilation": st.sampled_from([1, 2]),
    "groups": st.sampled_from([1, 2]),
    "bias": st.booleans(),
}


@few
@given(share=st.sampled_from([0.0, 0.5, 0.95]), **shapes)
def test_gathered_columns_compute_the_convolution(share, **options) -> None:
    conv = convolution(share=share, **options).double()
    maps = torch.rand(3, 4, 12, 11).double()
    used = used_columns(conv)
    gathered = GatheredConv2d(conv, used, (4, 12, 11))
    with torch.no_grad():  # which takes another way than the one with gradients
        assert torch.allclose(gathered(maps), conv(maps), atol=1e-12)
    found, expected = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    (gathered(found).square().sum() + conv(expected).square().sum()).backward()
    assert torch.allclose(found.grad, expected.grad, atol=1e-12)
    assert [product.in_features for product in gathered.products] == used.flatten(1).sum(1).tolist()


@few
@given(
    window=st.tuples(st.integers(0, 2), st.integers(2, 4), st.integers(0, 2), st.integers(2, 4)),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1, 3]),
    dilation=st.sampled_from([1, 2]),
)
def test_a_cropped_kernel_computes_the_convolution(window, stride, padding, dilation) -> None:
    conv = convolution(
        share=0, seed=1, kernel=5, stride=stride, padding=padding, dilation=dilation
    ).double()
    top, bottom, left, right = window
    with torch.no_grad():
        whole = conv.weight.clone()
        conv.weight.zero_()
        inner = (..., slice(top, bottom + 1), slice(left, right + 1))
        conv.weight[inner] = whole[inner]
    maps = torch.rand(2, 4, 13, 14).double()
    cropped = CroppedConv2d(conv, window)
    assert torch.allclose(cropped(maps), conv(maps), atol=1e-12)
    assert cropped.conv.weight.shape[2:] == (bottom - top + 1, right - left + 1)


def test_other_image_sizes_are_refused() -> None:
    conv = convolution(share=0.5, seed=0)
    gathered = GatheredConv2d(conv, used_columns(conv), (4, 8, 8))
    with pytest.raises(InputError, match=r"(?s)\(4, 9, 8\).*\(4, 8, 8\), for which"):
        gathered(torch.rand(1, 4, 9, 8))


def network(*, share: float, window: int | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 5, padding=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(6 * 64, 3),
    ).eval()  # fmt: skip
    with torch.no_grad():
        weight = model[2].weight
        weight[:, torch.rand(weight.shape[1:]) < share] = 0
        weight[:, :, 2, 2] = 0.1
        if window is not None:
            weight[:, :, :window] = 0
    return model


@pytest.fixture
def prefer(monkeypatch):
    """``prefer("gathered")``: this form wins every timing."""

    def choose(form: str) -> None:
        def timed(forms, maps):
            return {other: [1.0, 1.0] if other == form else [2.0, 2.0] for other in forms}

        monkeypatch.setattr(columns, "timed", timed)

    return choose


@pytest.mark.parametrize(
    ("form", "kind"), [("gathered", GatheredConv2d), ("cropped", CroppedConv2d)]
)
def test_the_quicker_form_is_taken_saved_and_loaded(prefer, tmp_path: Path, form, kind) -> None:
    prefer(form)
    model, images = network(share=0.8, window=1), torch.rand(3, 1, 10, 10)
    compacted = compact(model, images)
    (choice,) = report_of(compacted).columns
    assert (choice.name, choice.form, choice.input_shape) == ("2", form, (4, 8, 8))
    assert choice.columns_kept == int((model[2].weight != 0).any(0).sum())
    assert isinstance(compacted.get_submodule("2"), kind)
    assert torch.allclose(compacted(images), model(images), atol=1e-5)
    save(compacted, tmp_path / "columns.safetensors")
    loaded = load(tmp_path / "columns.safetensors", network(share=0))
    assert isinstance(loaded.get_submodule("2"), kind)
    assert torch.equal(loaded(images), compacted(images))
    assert report_of(loaded) == report_of(compacted)


def test_operations_of_gathered_columns_are_counted(prefer) -> None:
    prefer("gathered")
    model, images = network(share=0.8), torch.rand(3, 1, 10, 10)
    before = {layer.name: layer for layer in count_operations(model, images).layers}
    after = {layer.name: layer for layer in count_operations(compact(model, images), images).layers}
    assert after["2.products.0"].macs == before["2"].macs_nonzero


def test_dense_stays_where_nothing_is_quicker(prefer) -> None:
    prefer("dense")
    model, images = network(share=0.8), torch.rand(3, 1, 10, 10)
    compacted = compact(model, images)
    assert report_of(compacted).columns[0].form == "dense"
    assert type(compacted.get_submodule("2")) is nn.Conv2d
    assert not report_of(compact(model, images, columns=False)).columns


def test_few_zero_columns_are_not_tried() -> None:
    assert not report_of(compact(network(share=0.05), torch.rand(2, 1, 10, 10))).columns
    assert not report_of(compact(network(share=0), torch.rand(2, 1, 10, 10))).columns


def test_a_network_with_gathered_columns_can_be_compacted_again(prefer) -> None:
    prefer("gathered")
    model, images = network(share=0.8), torch.rand(3, 1, 10, 10)
    once = compact(model, images)
    again = compact(once, images)
    assert torch.equal(again(images), once(images))
    assert report_of(again).units_removed == 0
