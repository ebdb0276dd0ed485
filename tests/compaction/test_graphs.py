"""Networks that branch and join: residual sums, concatenation, groups, what is left out whole."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from robench.compaction import CompactionReport, compact, load, report_of, save
from robench.models import build
from tests.networks import Net

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 10_000)


def prepared(model: nn.Module, seed: int = 0) -> nn.Module:
    """BatchNorm with statistics of its own, biases that are not zero, evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if "running_var" in name:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.is_floating_point() and value.ndim < 2:
                value.copy_(torch.randn(value.shape, generator=generator))
    return model.eval()


def same(model: nn.Module, example: Tensor, **options: Any) -> tuple[nn.Module, CompactionReport]:
    """Compact, and compare with the original without the help of the proof under test."""
    compacted = compact(model, example, **options)
    inputs = torch.cat([example, torch.rand_like(example)]).double()
    found = []
    for network in (model, compacted):
        leaf = inputs.clone().requires_grad_()
        logits = copy.deepcopy(network).double()(leaf)
        (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
        found.append((logits.detach(), gradient))
    (logits, gradient), (logits_after, gradient_after) = found
    assert torch.allclose(logits, logits_after, atol=1e-4, rtol=1e-5)
    assert torch.allclose(gradient, gradient_after, atol=1e-4, rtol=1e-4)
    report = report_of(compacted)
    assert report.parameters_after == sum(value.numel() for value in compacted.parameters())
    again = report_of(compact(compacted, example))
    assert again.units_removed == 0  # nothing was left behind
    assert not again.edits
    return compacted, report


def units(report: CompactionReport) -> dict[str, int]:
    return {layer.name: layer.units_after for layer in report.layers}


def zero(model: nn.Module, name: str, *places: int | slice) -> None:
    with torch.no_grad():
        for place in places or (slice(None),):
            model.get_parameter(name)[place] = 0


def residual() -> nn.Module:
    return prepared(
        Net(
            _residual_forward,
            stem=nn.Conv2d(1, 6, 3, bias=False),
            conv1=nn.Conv2d(6, 5, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(5),
            conv2=nn.Conv2d(5, 6, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(6),
            fc=nn.Linear(6, 3),
        )
    )


def _residual_forward(m: Any, images: Tensor) -> Tensor:
    maps = m.stem(images)
    branch = m.norm2(m.conv2(m.norm1(m.conv1(maps)).relu()))
    return m.fc((maps + branch).relu().mean((2, 3)))


IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def test_a_channel_of_a_sum_goes_only_where_all_addends_are_constant() -> None:
    model = residual()
    zero(model, "stem.weight", 0, 1)
    zero(model, "conv2.weight", 1, 2)
    zero(model, "norm2.bias", 1)
    with torch.no_grad():
        model.get_buffer("norm2.running_mean")[1] = 0
    _, report = same(model, IMAGES)
    # Channel 0 lives in the branch, channel 2 in the stem; channel 1 in neither.
    assert units(report) == {"stem": 5, "conv1": 5, "conv2": 5, "fc": 3}


def test_a_constant_sum_is_folded_into_what_reads_it() -> None:
    model = residual()
    zero(model, "stem.weight", 4)
    zero(model, "conv2.weight", 4)
    with torch.no_grad():
        model.get_parameter("norm2.bias")[4] = 0.7
        model.get_buffer("norm2.running_mean")[4] = 0
    _, report = same(model, IMAGES)
    assert units(report)["stem"] == units(report)["conv2"] == 5
    assert report.layers[0].constants_folded == 1


def test_inside_a_branch_filters_go_alone() -> None:
    model = residual()
    zero(model, "conv1.weight", 0, 3)
    zero(model, "norm1.weight", 0, 3)
    zero(model, "norm1.bias", 0, 3)
    _, report = same(model, IMAGES)
    assert units(report) == {"stem": 6, "conv1": 3, "conv2": 6, "fc": 3}


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_a_dead_branch_goes_whole_and_leaves_its_constant(shift: float) -> None:
    model = residual()
    zero(model, "conv2.weight")
    with torch.no_grad():
        model.get_buffer("norm2.running_mean").zero_()
        model.get_parameter("norm2.bias").fill_(shift)
    compacted, report = same(model, IMAGES)
    assert units(report) == {"stem": 6, "conv1": 0, "conv2": 0, "fc": 3}
    assert [edit.kind for edit in report.edits] == ["constant" if shift else "drop"]
    assert {"conv1", "conv2", "norm1", "norm2"}.isdisjoint(dict(compacted.named_modules()))
    assert report.layers[1].note == "its branch is constant"


def test_the_constant_of_a_branch_shrinks_with_its_channels() -> None:
    model = residual()
    zero(model, "conv2.weight")
    zero(model, "stem.weight", 2)
    compacted, report = same(model, IMAGES)
    assert units(report)["stem"] == 5
    assert dict(compacted.named_buffers())["constant_0"].shape == (1, 5, 1, 1)


def test_a_buffer_that_is_called_as_ours_shrinks_in_the_network_itself() -> None:
    model = prepared(
        Net(
            lambda m, x: m.fc((m.conv(x) + m.constant_0).mean((2, 3))),
            conv=nn.Conv2d(1, 4, 3), fc=nn.Linear(4, 2),
        )
    )  # fmt: skip
    model.register_buffer("constant_0", torch.rand(1, 4, 1, 1))
    zero(model, "conv.weight", 1)
    compacted, report = same(model, IMAGES)
    assert units(report) == {"conv": 3, "fc": 2}
    assert (type(compacted), report.edits) == (Net, ())
    assert model.get_buffer("constant_0").shape == (1, 4, 1, 1)


def widening(before: int) -> nn.Module:
    """A shortcut of every second pixel, with `before` and 4 - `before` maps of zeros beside it."""

    def forward(m: Any, images: Tensor) -> Tensor:
        maps = m.stem(images).relu()
        shortcut = F.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, before, 4 - before))
        return m.fc((m.conv(maps) + shortcut).relu().mean((2, 3)))

    return prepared(
        Net(
            forward,
            stem=nn.Conv2d(1, 4, 3, bias=False),
            conv=nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False),
            fc=nn.Linear(8, 3),
        )
    )


@pytest.mark.parametrize(
    ("before", "dead", "left", "padding"),
    [
        (0, (1, 5, 6), {"stem": 3, "conv": 5, "fc": 3}, (0, 2)),
        (4, (1, 2, 4), {"stem": 3, "conv": 5, "fc": 3}, (2, 0)),
        (2, (0, 7), {"stem": 4, "conv": 6, "fc": 3}, (1, 1)),
    ],
)
def test_a_shortcut_padded_with_maps_of_zeros_pads_fewer(
    before: int, dead: tuple[int, ...], left: dict[str, int], padding: tuple[int, int]
) -> None:
    """A channel goes where the branch is zero, and the shortcut is zero or padding too."""
    model = widening(before)
    zero(model, "conv.weight", *dead)
    for place in dead:
        if 0 <= place - before < 4:
            zero(model, "stem.weight", place - before)
    compacted, report = same(model, IMAGES)
    assert units(report) == left
    assert [edit.padding for edit in report.edits] == [(0, 0, 0, 0, *padding)]
    assert type(compacted).__name__ == "Net"


def test_narrower_paddings_are_saved_and_loaded(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return build("resnet", input_shape=(1, 8, 8), classes=3, mean=(0.5,), std=(0.5,), seed=0,
                     params={"depth": 8, "widths": (4, 8, 12)}).eval()  # fmt: skip

    model = prepared(network())
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
                for value in part.parameters():
                    value[::2] = 0
    compacted, report = same(model, IMAGES)
    assert report.parameters_after < report.parameters_before / 3
    assert [edit.padding[4:] for edit in report.edits] == [(0, 2), (0, 2)]
    save(compacted, tmp_path / "narrow.safetensors")
    loaded = load(tmp_path / "narrow.safetensors", network())
    assert torch.equal(loaded(IMAGES), compacted(IMAGES))
    assert report_of(loaded) == report


def test_concatenated_channels_keep_their_places() -> None:
    model = prepared(
        Net(
            _concatenate,
            a=nn.Conv2d(1, 3, 3),
            b=nn.Conv2d(1, 4, 3),
            c=nn.Conv2d(7, 3, 3),
            fc=nn.Linear(3 * 16, 2),
        )
    )
    zero(model, "a.weight", 1)
    zero(model, "b.weight", 0, 3)
    zero(model, "c.weight", (slice(None), 5))
    _, report = same(model, IMAGES)
    assert units(report) == {"a": 2, "b": 1, "c": 3, "fc": 2}


def _concatenate(m: Any, images: Tensor) -> Tensor:
    return m.fc(m.c(torch.cat([m.a(images), m.b(images).relu()], 1)).flatten(1))


def test_a_gate_goes_with_the_channel_that_it_multiplies() -> None:
    def squeeze_and_excite(m: Any, images: Tensor) -> Tensor:
        maps = m.conv(images).relu()
        return m.fc((maps * m.gate(m.pool(maps)).sigmoid()).mean((2, 3)))

    model = prepared(
        Net(
            squeeze_and_excite,
            conv=nn.Conv2d(1, 5, 3),
            pool=nn.AdaptiveAvgPool2d(1),
            gate=nn.Conv2d(5, 5, 1),
            fc=nn.Linear(5, 2),
        )
    )
    zero(model, "conv.weight", 3)
    zero(model, "conv.bias", 3)
    _, report = same(model, IMAGES)
    assert units(report) == {"conv": 4, "gate": 4, "fc": 2}


def test_depthwise_channels_go_with_their_producer() -> None:
    model = prepared(
        nn.Sequential(
            nn.Conv2d(1, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(),
            nn.Conv2d(6, 4, 1), nn.Flatten(), nn.Linear(4 * 36, 2),
        )
    )  # fmt: skip
    zero(model, "0.weight", 1)
    zero(model, "2.weight", 4)
    compacted, report = same(model, IMAGES)
    assert units(report) == {"0": 4, "2": 4, "4": 4, "6": 2}
    assert compacted.get_submodule("2").groups == 4


def test_groups_stay_of_one_size_and_an_empty_one_goes() -> None:
    model = prepared(
        nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 9, 3, groups=3), nn.ReLU(), nn.Flatten(),
            nn.Linear(9 * 16, 2),
        )
    )  # fmt: skip
    zero(model, "2.weight", 0, 1, 3)  # two of the first group, one of the second …
    zero(model, "2.weight", 6, 7, 8)  # … all of the third
    compacted, report = same(model, IMAGES)
    conv = compacted.get_submodule("2")
    assert (conv.groups, conv.in_channels, conv.out_channels) == (2, 4, 4)
    assert units(report)["0"] == 4
    assert "groups stay of one size" in str(report.layers[1].note)


def test_inputs_that_nothing_reads_are_left_out() -> None:
    model = prepared(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 4000), nn.ReLU(), nn.Linear(4000, 2))
    )
    zero(model, "1.weight", (slice(None), slice(0, 20)))
    compacted, report = same(model, IMAGES)
    assert [edit.kind for edit in report.edits] == ["select"]
    assert compacted.get_submodule("1").in_features == 44
    leaf = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(compacted(leaf).sum(), leaf)
    assert not gradient.flatten(1)[:, :20].any()
    assert gradient.flatten(1)[:, 20:].any()


def test_inputs_are_not_left_out_where_that_would_be_slower() -> None:
    """A selection is a step of its own, and these are few multiplications."""
    model = prepared(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)))
    zero(model, "1.weight", (slice(None), slice(0, 20)))
    compacted, report = same(model, IMAGES)
    assert report.edits == ()
    assert compacted.get_submodule("1").in_features == 64


def padded(constant: float) -> nn.Module:
    """A dead filter whose constant a padded convolution reads."""
    model = prepared(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 2),
        )
    )  # fmt: skip
    zero(model, "0.weight", 2)
    with torch.no_grad():
        model.get_buffer("1.running_mean")[2] = 0
        model.get_parameter("1.bias")[2] = constant
        model.get_parameter("3.bias").fill_(1.0)  # so that the next rectifier is open
    return model


def test_a_constant_before_padding_by_each_policy() -> None:
    _, kept = same(padded(0.7), IMAGES)
    assert units(kept)["0"] == 4
    assert "'3' pads a constant with zeros" in str(kept.layers[0].note)

    mapped, report = same(padded(0.7), IMAGES, constants="bias-map")
    assert units(report)["0"] == 3
    assert [edit.kind for edit in report.edits] == ["add", "one-size"]
    bias_map = dict(mapped.named_buffers())["constant_0"]
    assert bias_map.shape == (1, 3, 6, 6)
    assert (bias_map[..., 0, 0] != bias_map[..., 3, 3]).all()  # the border differs

    model = padded(0.7)
    silenced = compact(model, IMAGES, constants="zero-bn")
    report = report_of(silenced)
    assert units(report)["0"] == 3
    with torch.no_grad():
        moved = (silenced(IMAGES) - model(IMAGES)).abs().amax()
    assert report.changed_by_zero_bn == pytest.approx(float(moved), rel=1e-3)
    assert report.changed_by_zero_bn > 0.01
    assert model.get_parameter("1.bias")[2].item() == pytest.approx(0.7)  # the original stays


@few
@given(
    seed=seeds,
    share=st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    policy=st.sampled_from(["keep", "bias-map"]),
)
def test_random_zeros_in_a_residual_network(seed: int, share: float, policy: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = prepared(residual(), seed)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                rows, columns = part.weight.shape[:2]
                part.weight[torch.rand(rows, generator=generator) < share] = 0
                part.weight[:, torch.rand(columns, generator=generator) < share / 2] = 0
    compacted = compact(model, IMAGES, constants=policy)
    with torch.no_grad():
        assert torch.allclose(compacted(IMAGES), model(IMAGES), atol=1e-4, rtol=1e-4)
