"""Removing groups from a chain: what goes along, how exact it is, and what must stay."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.errors import LevelNotReachedError, NotApplicableError, TrainingError
from robench.methods.tools.removal import ChainGroups
from robench.models.base import prunable
from robench.models.chain import chain


def chain_groups(model: nn.Module, *kinds: str) -> ChainGroups:
    return ChainGroups(chain(model), prunable(model), kinds or ("row", "channel"))


def mlp(*widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def small_convnet(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, groups=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 5),
    )  # fmt: skip


def applied(model: nn.Module, groups: ChainGroups, level: float) -> dict[str, Tensor]:
    """The prunable weights after removal."""
    removal = groups.remove(level)
    weights = prunable(model)
    groups.masks(removal).cut(weights)
    zeros = sum(int((weight == 0).sum()) for weight in weights.values())
    assert zeros == removal.zeros
    return dict(weights)


def total(model: nn.Module) -> int:
    return sum(weight.numel() for weight in prunable(model).values())


def test_with_a_neuron_goes_what_reads_it():
    model = mlp(4, 3, 2)
    with torch.no_grad():
        model[0].weight[1] *= 1e-3
    removal = (groups := chain_groups(model)).remove(6 / 18)  # a row of 4 and a column of 2
    assert removal.rows[0].tolist() == [False, True, False]
    assert removal.columns[1].tolist() == [False, True, False]
    masks = groups.masks(removal)
    assert not masks["0.weight"][1].any()
    assert not masks["2.weight"][:, 1].any()
    assert removal.zeros == 6


def test_with_its_last_reader_goes_a_neuron():
    model = mlp(4, 3, 2)
    with torch.no_grad():
        model[2].weight[:, 2] *= 1e-3
    removal = chain_groups(model).remove(6 / 18)
    assert removal.rows[0].tolist() == [False, False, True]


def test_with_a_filter_go_all_pixels_that_it_had():
    model = small_convnet()
    with torch.no_grad():
        model[3].weight[5] *= 1e-4
    removal = chain_groups(model).remove(76 / 768)
    assert removal.rows[1].nonzero().flatten().tolist() == [5]
    assert removal.columns[2].nonzero().flatten().tolist() == [20, 21, 22, 23]


def test_a_channel_without_readers_in_its_group_goes():
    model = small_convnet()
    with torch.no_grad():  # the second half of the filters reads channels 3, 4 and 5
        model[3].weight[4:] *= 1e-6
    removal = chain_groups(model).remove(0.5)
    assert removal.rows[1].tolist() == [False] * 4 + [True] * 4
    assert removal.rows[0].tolist()[3:] == [True, True, True]


def test_shapes_are_single_positions_of_the_kernel():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].weight[:, 1, 0, 2] *= 1e-4
    groups = chain_groups(model, "row", "shape")
    mask = groups.masks(groups.remove(4 / 84))["0.weight"]
    assert (~mask).nonzero().tolist() == [[n, 1, 0, 2] for n in range(4)]


@settings(max_examples=40, deadline=None)
@given(
    level=st.floats(0, 0.95),
    seed=st.integers(0, 100),
    kinds=st.sampled_from([("row", "channel"), ("row", "shape"), ("row",), ("shape",)]),
    build=st.sampled_from([small_convnet, lambda seed: mlp(9, 7, 5, 4, seed=seed)]),
)
def test_the_level_is_met_but_for_a_group_and_a_path_is_left(level, seed, kinds, build):
    model = build(seed=seed)
    groups = chain_groups(model, *kinds)
    try:
        groups.check_reachable(level)
    except NotApplicableError:
        with pytest.raises(NotApplicableError):
            groups.remove(level)
        return
    weights = applied(model, groups, level)
    zeros = sum(int((weight == 0).sum()) for weight in weights.values())
    largest = max(w.numel() // w.shape[0] + w.numel() // w.shape[1] for w in weights.values())
    wanted = round(level * total(model))
    assert wanted - 2 * largest <= zeros <= wanted
    # Nonnegative copies carry a signal from input to output exactly where a path is left.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.bias = None
    shape = (1, 2, 9, 9) if isinstance(model[0], nn.Conv2d) else (1, 9)
    assert model.eval()(torch.ones(shape)).any()


def test_removing_more_keeps_what_was_removed():
    model = mlp(20, 15, 10, 5)
    groups = chain_groups(model)
    low, high = groups.remove(0.4), groups.remove(0.8)
    shared = sum(int((a & b).sum()) for a, b in zip(low.rows, high.rows, strict=True))
    assert shared >= sum(int(rows.sum()) for rows in low.rows) - 1  # the filler may differ


def test_the_weakest_by_norm_over_root_of_size_go_first():
    model = mlp(10, 4, 3)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[2].weight.fill_(1.0)
        model[0].weight[2] = 0.9
        model[0].weight[:, 7] = 0.5
    removal = chain_groups(model).remove(4 / 52)
    assert removal.columns[0].nonzero().flatten().tolist() == [7]
    assert not removal.rows[0].any()


def test_output_neurons_and_weights_that_do_not_count_stay():
    model = mlp(6, 5, 4, 3)
    layers = chain(model)
    groups = ChainGroups(layers, {"0.weight", "4.weight"}, ("row", "channel"))
    assert [(name, groups.kind) for name, groups in groups.removable] == [
        ("0", "row"),
        ("0", "channel"),
        ("4", "channel"),
    ]
    removal = groups.remove(0.5)
    assert not removal.rows[2].any()
    assert set(groups.masks(removal)) == {"0.weight", "4.weight"}


def test_what_cannot_be_reached_says_what_can():
    model = mlp(4, 3, 2)
    with pytest.raises(LevelNotReachedError, match=r"0\.99") as caught:
        chain_groups(model).remove(0.99)
    # One input, one hidden neuron and two outputs are left: 3 of 18 weights.
    assert "up to 0.833" in str(caught.value)
    assert caught.value.achieved == 15 / 18
    assert chain_groups(model).remove(15 / 18).zeros == 15


def test_weights_that_are_zero_already_count():
    model = mlp(8, 6, 4)
    with torch.no_grad():
        model[0].weight[:, :4] = 0
        model[2].weight[0, 0] = 0
    groups = chain_groups(model)
    removal = groups.remove(0.5)
    assert removal.columns[0][:4].all()
    assert not groups.masks(removal)["2.weight"][0, 0]
    applied(model, groups, 0.5)


def test_the_path_that_stays_is_the_strongest():
    model = mlp(2, 2, 1)
    with torch.no_grad():
        # The largest weight of the first layer leads to a neuron that nothing reads.
        model[0].weight.copy_(torch.tensor([[9.0, 8.0], [1.0, 2.0]]))
        model[2].weight.copy_(torch.tensor([[1e-6, 1.0]]))
    groups = chain_groups(model)
    masks = groups.masks(groups.remove(4 / 6))
    assert masks["0.weight"].tolist() == [[False, False], [False, True]]
    assert masks["2.weight"].tolist() == [[False, True]]


def test_a_chain_that_is_cut_already_is_told():
    model = mlp(3, 3, 2)
    with torch.no_grad():
        model[2].weight.zero_()
    with pytest.raises(TrainingError, match="no path"):
        chain_groups(model).remove(0.9)


def test_inputs_that_do_not_match_units_are_refused():
    layers = [*chain(mlp(4, 3)), *chain(mlp(5, 2))]
    with pytest.raises(NotApplicableError, match="5 inputs"):
        ChainGroups(layers, set(), ("row", "channel"))


@pytest.mark.parametrize("kinds", [("row",), ("channel",)])
def test_only_the_kinds_that_were_asked_for_are_chosen(kinds):
    model = mlp(10, 8, 6, 4)
    groups = chain_groups(model, *kinds)
    assert {grouping.kind for _, grouping in groups.removable} == set(kinds)
    removal = groups.remove(0.4)
    assert removal.columns[0].any() == (kinds == ("channel",))  # nothing strands an input
    assert removal.rows[0].any()


def test_snapping_silences_what_goes():
    model = small_convnet()
    masks, silence = chain_groups(model).snap(0.6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    silence.apply()
    gone = ~masks["0.weight"].flatten(1).any(1)
    assert gone.any()
    for tensor in (model[0].bias, model[1].weight, model[1].bias):
        assert torch.equal(tensor == 0, gone)


def test_zeros_count_what_they_strand():
    model = mlp(8, 6, 4, 3)
    assert chain_groups(model).zeros == 0
    with torch.no_grad():
        model[2].weight[:, 1] = 0  # nothing reads neuron 1: its row of 8 is of no use
    assert chain_groups(model).zeros == 4 + 8
    with torch.no_grad():
        model[2].weight[:] = 0  # the network is cut
    assert chain_groups(model).zeros == total(model)
