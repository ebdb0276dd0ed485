"""Masks: exact counts, the right survivors, and no layer that vanishes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.errors import InputError, NotApplicableError, TrainingError
from robench.methods.masks import (
    Masks,
    achieved_level,
    apportion,
    count_zeros,
    magnitude_masks,
    masks_by_count,
    masks_by_score,
    random_masks,
    random_scores,
    tolerance,
    zeros_at,
)

few = settings(max_examples=60, deadline=None)
shapes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4)
levels = st.one_of(st.sampled_from([0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99]), st.floats(0, 0.999))
seeds = st.integers(0, 1000)
scopes = st.sampled_from(["global", "layer"])


def weights_of(sizes: list[tuple[int, int]], seed: int, *, distinct: int = 0) -> dict[str, Tensor]:
    """Random weights; with few `distinct` magnitudes, so that ties abound."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for number, size in enumerate(sizes):
        drawn = torch.randn(size, generator=generator)
        weights[f"layer{number}"] = (drawn * distinct).round() if distinct else drawn
    return weights


def fits(weights: dict[str, Tensor], level: float) -> bool:
    total = sum(weight.numel() for weight in weights.values())
    return round(level * total) <= total - len(weights)


def all_masks(weights: dict[str, Tensor], level: float, scope: str, seed: int) -> list[Masks]:
    generator = torch.Generator().manual_seed(seed)
    return [
        magnitude_masks(weights, level, scope=scope),
        random_masks(weights, level, generator=generator, scope=scope),
    ]


@few
@given(sizes=shapes, level=levels, seed=seeds, scope=scopes, distinct=st.sampled_from([0, 1, 3]))
def test_the_number_of_zeros_is_exact_and_no_layer_dies(sizes, level, seed, scope, distinct):
    weights = weights_of(sizes, seed, distinct=distinct)
    total = sum(weight.numel() for weight in weights.values())
    if not fits(weights, level):
        with pytest.raises(NotApplicableError, match="leave nothing"):
            all_masks(weights, level, scope, seed)
        return
    for masks in all_masks(weights, level, scope, seed):
        assert sum(int((~mask).sum()) for mask in masks.values()) == round(level * total)
        assert list(masks) == list(weights)
        for name, mask in masks.items():
            assert mask.dtype is torch.bool
            assert mask.shape == weights[name].shape
            assert mask.any()


@few
@given(sizes=shapes, level=levels, seed=seeds)
def test_global_magnitude_keeps_the_largest(sizes, level, seed):
    weights = weights_of(sizes, seed)
    if not fits(weights, level):
        return
    masks = magnitude_masks(weights, level)
    kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
    gone = torch.cat([weights[name][~mask].abs() for name, mask in masks.items()])
    if not len(gone):
        return
    # All survivors are larger than all that went, but for the one that each layer keeps anyway.
    assert int((kept < gone.max()).sum()) <= len(sizes)
    for name, mask in masks.items():
        if mask.sum() == 1:
            assert weights[name].abs()[mask] == weights[name].abs().max()
        elif (~mask).any():
            assert weights[name][mask].abs().min() >= weights[name][~mask].abs().max()


@few
@given(sizes=shapes, level=levels, seed=seeds)
def test_within_layers_each_layer_is_at_the_level(sizes, level, seed):
    weights = weights_of(sizes, seed)
    if not fits(weights, level):
        return
    for name, mask in magnitude_masks(weights, level, scope="layer").items():
        size = mask.numel()
        # Layers that cannot give their share leave it to the others.
        assert abs(int((~mask).sum()) - level * size) <= len(sizes) or int(mask.sum()) == 1
        if (~mask).any():
            assert weights[name][mask].abs().min() >= weights[name][~mask].abs().max()


def test_of_equal_scores_the_first_in_order_go_first():
    scores = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    masks = masks_by_score(scores, 0.5)
    assert masks["a"].flatten().tolist() == [False] * 5 + [True]
    assert masks["b"].tolist() == [True] * 4
    higher = masks_by_score(scores, 0.6)  # the last of "a" is the one that it keeps
    assert higher["a"].flatten().tolist() == [False] * 5 + [True]
    assert higher["b"].tolist() == [False, True, True, True]


def test_zeros_are_dealt_out_by_largest_remainder():
    assert apportion([1.5, 2.2, 0.3], [9, 9, 9], 4) == [2, 2, 0]
    assert apportion([1.5, 2.2, 0.3], [2, 9, 9], 4) == [1, 2, 1]  # the first keeps a weight
    assert apportion([4.0, 0.0], [5, 9], 4) == [4, 0]
    with pytest.raises(NotApplicableError, match="leave nothing"):
        apportion([2.0, 2.0], [2, 3], 4)


@few
@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    level=st.floats(0, 1),
    seed=seeds,
)
def test_what_is_dealt_out_is_exact_and_close_to_the_shares(sizes, level, seed):
    count = min(round(level * sum(sizes)), sum(sizes) - len(sizes))
    order = torch.rand(len(sizes), generator=torch.Generator().manual_seed(seed))
    shares = [float(part) for part in order / order.sum() * count]
    counts = apportion(shares, sizes, count)
    assert sum(counts) == count
    assert all(0 <= zeros < size for zeros, size in zip(counts, sizes, strict=True))
    if all(share <= size - 1 for share, size in zip(shares, sizes, strict=True)):
        assert all(abs(z - share) < 1 + 1e-3 for z, share in zip(counts, shares, strict=True))


def test_each_layer_loses_the_count_that_it_is_given():
    scores = {"a": torch.tensor([[3.0, 1.0, 2.0]]), "b": torch.tensor([5.0, 4.0])}
    masks = masks_by_count(scores, [2, 0])
    assert masks["a"].tolist() == [[True, False, False]]
    assert masks["b"].tolist() == [True, True]
    with pytest.raises(InputError, match="'b' is not a number"):
        masks_by_count(scores | {"b": torch.tensor([torch.nan, 1.0])}, [0, 1])


def test_random_scores_are_numbers_of_their_own_for_each_weight():
    scores = random_scores({"w": torch.empty(50, 40)}, torch.Generator().manual_seed(0))["w"]
    assert scores.shape == (50, 40)
    assert len(scores.unique()) == 2000
    assert 0.45 < float(scores.mean()) < 0.55


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float16])
def test_scores_may_be_of_any_number_type(dtype):
    scores = {"w": torch.tensor([5, 1, 4, 2]).to(dtype)}
    assert masks_by_score(scores, 0.5)["w"].tolist() == [True, False, True, False]


def test_infinite_scores_go_last_and_in_order():
    scores = {"a": torch.tensor([torch.inf, 1.0, torch.inf, torch.inf]), "b": torch.ones(1)}
    masks = masks_by_score(scores, 0.6)
    assert masks["a"].tolist() == [False, False, False, True]
    assert masks["b"].tolist() == [True]
    lowest = {"a": torch.tensor([2.0, -torch.inf, 3.0])}
    assert masks_by_score(lowest, 0.33)["a"].tolist() == [True, False, True]


def test_magnitude_of_a_worked_example():
    weights = {"w": torch.tensor([[0.1, -3.0, 0.2], [0.05, 4.0, -0.3]])}
    mask = magnitude_masks(weights, 0.5)["w"]
    assert mask.tolist() == [[False, True, False], [False, True, True]]


def test_random_masks_follow_their_generator_and_are_even():
    weights = {"a": torch.empty(200, 100), "b": torch.empty(200, 100)}
    first, again, other = (
        random_masks(weights, 0.9, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in weights)
    assert not torch.equal(first["a"], other["a"])
    # 20,000 weights at 0.9: the zeros in one of two equal layers have a deviation of about 30.
    assert abs(int((~first["a"]).sum()) - 18_000) < 150


def test_pruning_twice_is_pruning_once():
    weights = weights_of([(9, 9), (5, 9)], 0)
    magnitude_masks(weights, 0.7).cut(weights)
    before = {name: weight.clone() for name, weight in weights.items()}
    magnitude_masks(weights, 0.7).cut(weights)
    assert all(torch.equal(before[name], weight) for name, weight in weights.items())


def test_apply_follows_edits_of_a_mask_in_place():
    weights = {"w": torch.ones(2, 2)}
    masks = Masks({"w": torch.tensor([[True, False], [True, True]])})
    masks.apply(weights)
    assert weights["w"].tolist() == [[1, 0], [1, 1]]
    masks["w"][1, 1] = False
    masks.apply(weights)
    assert weights["w"].tolist() == [[1, 0], [1, 0]]
    masks["w"] = torch.tensor([[False, False], [True, True]])
    masks.apply(weights)
    assert weights["w"].tolist() == [[0, 0], [1, 0]]


def test_cut_leaves_no_negative_zero():
    weights = {"w": torch.tensor([-1.0, 2.0])}
    Masks({"w": torch.tensor([False, True])}).cut(weights)
    assert not torch.signbit(weights["w"]).any()


def test_masks_leave_parameters_leaves():
    weight = torch.nn.Parameter(torch.ones(3))
    masks = Masks({"w": torch.tensor([True, False, True])})
    masks.apply({"w": weight})
    masks.cut({"w": weight})
    assert weight.is_leaf
    assert weight.requires_grad


@pytest.mark.parametrize("change", [Masks.apply, Masks.cut])
def test_a_mask_that_fits_nothing_is_refused(change):
    weights = {"w": torch.ones(2, 3)}
    with pytest.raises(TrainingError, match="no prunable weight 'v'"):
        change(Masks({"v": torch.ones(2, 3, dtype=torch.bool)}), weights)
    with pytest.raises(TrainingError, match=r"shape \(3,\)"):
        change(Masks({"w": torch.ones(3, dtype=torch.bool)}), weights)
    with pytest.raises(TrainingError, match="float32"):
        change(Masks({"w": torch.ones(2, 3)}), weights)


def test_levels_and_scores_out_of_range_are_refused():
    for level in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="level"):
            magnitude_masks({"w": torch.ones(4)}, level)
    with pytest.raises(InputError, match="'w' is not a number"):
        magnitude_masks({"w": torch.tensor([1.0, torch.nan])}, 0.5)


def test_counting():
    weights = {"a": torch.tensor([0.0, -0.0, 1e-30]), "b": torch.ones(5)}
    assert count_zeros(weights) == 2
    assert achieved_level(weights) == 0.25
    assert zeros_at(0.9, 266_200) == 239_580


def test_tolerance_is_a_thousandth_or_one_unit():
    lenet = {
        "fc1": torch.empty(300, 784),
        "fc2": torch.empty(100, 300),
        "fc3": torch.empty(10, 100),
    }
    assert tolerance(lenet) == 266
    assert tolerance({"w": torch.empty(5, 5)}) == 1
    assert tolerance(lenet, "neuron") == 784 + 300
    assert tolerance(lenet, "layer") == 300 * 784
    convolutions = {"conv": torch.empty(8, 4, 3, 3)}
    assert tolerance(convolutions, "filter") == 4 * 9 + 8 * 9
