"""Which form a convolution gets of which columns are left."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import robench.deploy.columns as columns
from robench.compaction import compact, load, report_of, save
from robench.deploy.backends import why_off
from robench.deploy.columns import apply_columns, choose_columns
from robench.deploy.forms.cropped import CroppedConv2d
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.forms.gathered import GatheredConv2d
from robench.errors import InputError
from robench.graph.budget import Budget
from robench.measure.counter import count_operations

compiled = pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")


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
    ("form", "kind"),
    [
        ("gathered", GatheredConv2d),
        ("cropped", CroppedConv2d),
        pytest.param("direct", DirectConv2d, marks=compiled),
    ],
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


@compiled
def test_a_narrower_layer_is_tried_where_it_is_named(prefer) -> None:
    prefer("direct")
    model, images = network(share=0), torch.rand(3, 1, 10, 10)
    assert not choose_columns(model, images)
    (choice,) = choose_columns(model, images, narrowed={"2"})
    assert (choice.name, choice.form, choice.columns_kept) == ("2", "direct", choice.columns)
    apply_columns(model, [choice])
    taken = model[2]
    assert isinstance(taken, DirectConv2d)
    assert type(taken.layer) is nn.Conv2d


@pytest.mark.parametrize("form", ["gathered", pytest.param("direct", marks=compiled)])
def test_a_network_with_fewer_columns_can_be_compacted_again(prefer, form: str) -> None:
    prefer(form)
    model, images = network(share=0.8), torch.rand(3, 1, 10, 10)
    once = compact(model, images)
    again = compact(once, images)
    assert torch.equal(again(images), once(images))
    assert report_of(again).units_removed == 0


def wide() -> nn.Sequential:
    """Three equal convolutions of equal zeros, one of others, and a small one."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 3, 1), *(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4)), nn.Flatten(),
        nn.Linear(300, 2),
    ).eval()  # fmt: skip
    with torch.no_grad():
        model[0].weight[:, 0] = 0
        for conv in model[1:4]:
            conv.weight[:, :, :, 2] = 0
        model[4].weight[:, :, 1] = 0
    return model


def test_equal_layers_are_timed_once_and_the_largest_gain_first(monkeypatch) -> None:
    seen: list[tuple[int, ...]] = []

    def timed(forms, maps):
        seen.append(tuple(maps.shape))
        return {name: [1.0 if name == "gathered" else 2.0] * 2 for name in forms}

    monkeypatch.setattr(columns, "timed", timed)
    choices = choose_columns(wide(), torch.rand(2, 3, 10, 10))
    assert len(seen) == 3
    assert [choice.name for choice in choices] == ["0", "1", "2", "3", "4"]
    assert {choice.form for choice in choices} == {"gathered"}
    assert [choice.note for choice in choices[1:4]] == [None] + ["timed as '1', which is alike"] * 2
    assert choices[2].latency_ms == choices[1].latency_ms != {}


def test_what_the_time_does_not_reach_stays_dense(monkeypatch) -> None:
    """The last one by gain is the convolution of single pixels."""
    clock = [0.0]

    def timed(forms, maps):
        clock[0] += 1.0
        return {name: [1.0 if name == "gathered" else 2.0] * 2 for name in forms}

    monkeypatch.setattr(columns, "timed", timed)
    budget = Budget(2.0, lambda: clock[0])
    choices = {
        one.name: one for one in choose_columns(wide(), torch.rand(2, 3, 10, 10), budget=budget)
    }
    assert choices["4"].form == choices["1"].form == "gathered"
    assert (choices["0"].form, choices["0"].latency_ms) == ("dense", {})
    assert choices["0"].note == "not timed: the time for the choice was over"


def test_no_time_for_the_choice(tmp_path: Path) -> None:
    model, images = wide(), torch.rand(2, 3, 10, 10)
    compacted = compact(model, images, choice_s=0)
    report = report_of(compacted)
    assert {choice.form for choice in report.columns} == {"dense"}
    assert all("not timed" in (choice.note or "") for choice in report.columns)
    torch.testing.assert_close(compacted(images), model(images))
    save(compacted, tmp_path / "compacted.safetensors")
    assert report_of(load(tmp_path / "compacted.safetensors", wide())) == report
    with pytest.raises(InputError, match="choice_s=-1"):
        compact(model, images, choice_s=-1)
