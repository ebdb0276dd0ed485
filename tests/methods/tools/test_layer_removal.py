"""Removing groups layer by layer: levels, what stays, where the output and BatchNorm are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.errors import LevelNotReachedError
from robench.methods.tools.groups import GROUPS
from robench.methods.tools.layer_removal import LayerGroups, layers_in
from robench.models.base import prunable


class Joined(nn.Module):
    """A sum of two layers, one of them with BatchNorm, under two outputs that are added."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.left = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.right = nn.Conv2d(8, 8, 1)
        self.out = nn.Linear(8, 5)
        self.other = nn.Linear(8, 5)

    def forward(self, x):
        x = self.first(x).relu()
        x = (self.norm(self.left(x)) + self.right(x)).relu().mean((2, 3))
        return self.out(x) + self.other(x)


def layer_groups(model: nn.Module, groups: str) -> LayerGroups:
    return LayerGroups(layers_in(model), prunable(model), groups)


def test_outputs_and_batch_norms_are_found():
    model = Joined()
    layers = {layer.name: layer for layer in layers_in(model)}
    assert [name for name, layer in layers.items() if layer.is_output] == ["out", "other"]
    assert layers["left"].batch_norm is model.norm
    assert layers["first"].batch_norm is layers["right"].batch_norm is None


def test_a_network_that_cannot_be_traced_ends_in_its_last_layer():
    class Choosy(Joined):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    layers = layers_in(Choosy())
    assert [layer.name for layer in layers if layer.is_output] == ["other"]
    assert not any(layer.batch_norm for layer in layers)


@settings(max_examples=40, deadline=None)
@given(
    level=st.floats(0, 0.97),
    seed=st.integers(0, 50),
    groups=st.sampled_from([name for name in GROUPS if name != "depth"]),
)
def test_the_level_is_met_but_for_a_group_and_no_layer_dies(level, seed, groups):
    model = Joined(seed)
    weights = prunable(model)
    total = sum(weight.numel() for weight in weights.values())
    found = layer_groups(model, groups)
    try:
        found.check_reachable(level)
    except LevelNotReachedError:
        with pytest.raises(LevelNotReachedError):
            found.snap(level)
        return
    masks, _ = found.snap(level)
    masks.cut(weights)
    missing = round(level * total) - sum(int((weight == 0).sum()) for weight in weights.values())
    assert 0 <= missing < max(grouping.size for _, grouping in found.removable)
    assert all(weight.any() for weight in weights.values())
    assert layer_groups(model, groups).zeros == round(level * total) - missing


def test_groups_go_whole_and_the_weakest_first():
    model = Joined()
    with torch.no_grad():
        model.right.weight[3] *= 1e-3
        model.first.weight[:, 1] *= 1e-2
    masks, silence = layer_groups(model, "filter-channel").snap(80 / 648)
    gone = {name: (~mask).nonzero()[:, :2].unique(dim=0).tolist() for name, mask in masks.items()}
    assert gone["right.weight"] == [[3, channel] for channel in range(8)]
    assert gone["first.weight"] == [[filter_, 1] for filter_ in range(8)]
    assert sum(int((~mask).sum()) for mask in masks.values()) == 80
    silence.apply()
    assert (model.right.bias == 0).nonzero().flatten().tolist() == [3]


def test_a_zero_filter_keeps_its_batch_norm_silent_but_outputs_keep_their_biases():
    model = Joined()
    with torch.no_grad():
        model.left.weight[2] = 0
        model.out.weight[1] = 0
        for parameter in (model.norm.bias, model.out.bias):
            parameter.fill_(1.0)
    _, silence = layer_groups(model, "filter-2d").snap(0.3)
    silence.apply()
    assert model.norm.bias[2] == model.norm.weight[2] == 0
    assert model.out.bias.all()


def test_the_columns_of_a_grouped_convolution_are_those_of_its_parts():
    model = Joined()
    with torch.no_grad():
        model.left.weight[4:, 1] *= 1e-4  # channel 5, which the second half of the filters reads
    masks, _ = layer_groups(model, "channel").snap(36 / 648)
    assert (~masks["left.weight"]).nonzero()[:, :2].unique(dim=0).tolist() == [
        [filter_, 1] for filter_ in range(4, 8)
    ]


def test_zeros_are_all_weights_where_a_layer_is_dead():
    model = Joined()
    total = sum(weight.numel() for weight in prunable(model).values())
    with torch.no_grad():
        model.first.weight[0] = 0
        assert layer_groups(model, "filter").zeros == 27
        model.right.weight.zero_()
    assert layer_groups(model, "filter").zeros == total


def test_the_highest_level_is_told():
    with pytest.raises(LevelNotReachedError, match="last group") as caught:
        layer_groups(Joined(), "filter").check_reachable(0.95)
    # One filter a layer stays, and both outputs.
    assert caught.value.achieved == pytest.approx(1 - (27 + 36 + 8 + 40 + 40) / 648)
