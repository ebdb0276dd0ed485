"""Merges carried out: the function stays."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.methods.noiseout.fold import fold
from robench.methods.noiseout.moments import correlations
from robench.methods.noiseout.plan import Merge
from tests.methods.noiseout.merging import (
    convolutions,
    copy_map,
    dense,
    drawn,
    links,
    merged,
    moments_of,
    outputs,
)


class TestFunction:
    """What merging does to the function that a network computes."""

    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        units=st.integers(3, 12),
        copies=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1.0, -1.0])), max_size=6),
        choose=st.sampled_from(["correlation", "damage"]),
    )
    def test_units_of_correlation_one_go_without_a_trace(self, seed, units, copies, choose):
        """Duplicates, negatives and constants among random units, in a random network."""
        model = dense(4, units + len(copies) + 1, 5, 3, seed=seed)
        inputs = drawn(60, 4, seed=seed)
        with torch.no_grad():
            for place, (source, sign) in enumerate(copies, start=units):
                model[0].weight[place] = sign * model[0].weight[source]
                model[0].bias[place] = sign * model[0].bias[source]
            model[0].weight[-1] = 0.0
        before = outputs(model, inputs)
        merges = merged(model, inputs, len(copies) + 1, choose)
        if choose == "correlation":
            assert all(m.into is None or abs(abs(m.slope) - 1) < 1e-9 for m in merges)
        assert (outputs(model, inputs) - before).abs().max() <= 1e-12

    def test_affine_copies_of_either_sign_go_without_a_trace(self):
        """h_A = α h_B + β with α and β of any size: unit 3 is -2.5 times unit 1, plus 0.7."""
        model, inputs = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)).double(), drawn(50, 4)
        with torch.no_grad():
            model[0].weight[3] = -2.5 * model[0].weight[1]
            model[0].bias[3] = -2.5 * model[0].bias[1] + 0.7
        before = outputs(model, inputs)
        (merge,) = merged(model, inputs, 1)
        assert {merge.unit, merge.into} == {1, 3}
        assert merge.slope == pytest.approx(-2.5 if merge.unit == 3 else -0.4)
        assert (outputs(model, inputs) - before).abs().max() <= 1e-12

    @pytest.mark.parametrize("activation", [nn.Sigmoid, nn.ReLU, nn.Tanh, nn.Softplus])
    def test_units_that_answer_when_silent_are_read_no_more(self, activation):
        model, inputs = dense(4, 6, 3, activation=activation), drawn(50, 4)
        with torch.no_grad():
            model[0].weight[5], model[0].bias[5] = model[0].weight[2], model[0].bias[2]
            model[0].weight[0] = 0.0
        before = outputs(model, inputs)
        merges = merged(model, inputs, 2)
        assert [merge.into is None for merge in merges] == [True, False]
        assert not model[2].weight[:, [merge.unit for merge in merges]].any()
        assert (outputs(model, inputs) - before).abs().max() <= 1e-12

    def test_chains_of_merges_hand_everything_on(self):
        model, inputs = dense(4, 6, 3), drawn(50, 4)
        with torch.no_grad():
            for copy in range(1, 6):
                model[0].weight[copy] = (-1) ** copy * model[0].weight[0]
                model[0].bias[copy] = (-1) ** copy * model[0].bias[0]
        before = outputs(model, inputs)
        merged(model, inputs, 5)
        assert (model[2].weight != 0).any(0).sum() == 1
        assert (outputs(model, inputs) - before).abs().max() <= 1e-12

    def test_folding_is_the_composition_of_its_lines(self):
        """Reading E h + c, where E and c are the merges multiplied out."""
        weight = drawn(3, 4, 2)
        merges = [Merge(0, 2, 0, -1.5, 0.3), Merge(0, 0, 3, 0.5, -2.0), Merge(0, 1, None, 0.0, 4.0)]
        expressed, constant = torch.eye(4, dtype=torch.float64), torch.zeros(4).double()
        for merge in merges:
            line = torch.eye(4, dtype=torch.float64)
            line[merge.unit] = 0.0
            offset = torch.zeros(4).double()
            offset[merge.unit] = merge.intercept
            if merge.into is not None:
                line[merge.unit, merge.into] = merge.slope
            constant += expressed @ offset
            expressed = expressed @ line
        expected = torch.einsum("oup,uv->ovp", weight, expressed)
        shift = (weight.sum(2) * constant).sum(1)
        folded = weight.clone()
        torch.testing.assert_close(fold(folded, merges), shift)
        torch.testing.assert_close(folded, expected)


class TestConvolutions:
    IMAGES = drawn(6, 1, 12, 12)

    def change(self, model: nn.Sequential) -> float:
        before = outputs(model, self.IMAGES)
        (merge,) = merged(model, self.IMAGES, 1)
        assert not model[0].weight[merge.unit].any()
        return float((outputs(model, self.IMAGES) - before).abs().max())

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    @pytest.mark.parametrize("offset", [0.0, 0.8])
    @pytest.mark.parametrize(
        "between",
        [[], [nn.AvgPool2d(2)], [nn.Dropout(0.5)]],
        ids=["nothing", "average pooling", "dropout"],
    )
    def test_exact_where_the_reader_pads_nothing(self, between, sign, offset):
        model = convolutions(*between)
        copy_map(model, 0, 2, sign, offset)
        assert self.change(model) <= 1e-12

    @pytest.mark.parametrize(("offset", "is_exact"), [(0.0, True), (0.8, False)])
    def test_zero_padding_is_exact_only_without_an_offset(self, offset, is_exact):
        model = convolutions(padding=1)
        copy_map(model, 0, 2, -1.0, offset)
        change = self.change(model)
        assert change <= 1e-12 if is_exact else change > 1e-3

    @pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
    def test_other_paddings_carry_constants_to_the_border(self, mode):
        model = convolutions(padding=1, padding_mode=mode)
        copy_map(model, 0, 2, -1.0, 0.8)
        assert self.change(model) <= 1e-12

    def test_max_pooling_keeps_copies_alike_but_not_negatives(self):
        """Maps are compared behind the pooling: the negative of a map is no copy there."""
        for sign, is_alike in ((1.0, True), (-1.0, False)):
            model = convolutions(nn.MaxPool2d(2))
            copy_map(model, 0, 2, sign)
            (moments, _) = moments_of(model, self.IMAGES)
            assert (abs(float(correlations(moments)[0, 2])) > 1 - 1e-9) is is_alike
            if is_alike:
                assert self.change(model) <= 1e-12

    def test_batch_norm_and_activation_come_before_the_comparison(self):
        """Filters that differ by a factor are one behind a BatchNorm."""
        norm = nn.BatchNorm2d(5)
        model = convolutions(norm, nn.ReLU())
        copy_map(model, 0, 2, 3.0)
        model.train()
        for _ in range(200):
            model(self.IMAGES)  # until the running statistics are those of the images
        with torch.no_grad():
            norm.running_mean[2] = 3 * norm.running_mean[0]
            # BatchNorm's ε keeps the two from being one exactly.
            norm.running_var[2] = 9 * (norm.running_var[0] + norm.eps) - norm.eps
        assert self.change(model) <= 1e-12
        assert (norm.weight == 0).sum() == (norm.bias == 0).sum() - 4 == 1

    def test_a_reader_without_bias_has_its_batch_norm_take_the_constant(self):
        torch.manual_seed(4)
        model = nn.Sequential(
            nn.Conv2d(1, 5, 3), nn.Conv2d(5, 4, 3, bias=False), nn.BatchNorm2d(4),
            nn.Flatten(), nn.Linear(256, 2),
        ).double()  # fmt: skip
        copy_map(model, 0, 2, -1.0, 0.8)
        assert links(model)[0].takes_constants
        assert self.change(model) <= 1e-12

    @pytest.mark.parametrize("offset", [0.0, 0.8])
    def test_without_any_place_for_it_there_is_no_constant(self, offset):
        """Then the line goes through the origin, and multiples alone go without a trace."""
        model = convolutions(bias=False)
        copy_map(model, 0, 2, -1.0, offset)
        (moments, _) = moments_of(model, self.IMAGES)
        assert not links(model)[0].takes_constants
        assert (abs(float(correlations(moments)[0, 2])) > 1 - 1e-9) is (offset == 0.0)
        (merge,) = merged(model, self.IMAGES, 1)
        assert merge.intercept == 0.0

    def test_a_map_is_merged_through_flatten(self):
        torch.manual_seed(5)
        model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(500, 3))
        model = model.double()
        copy_map(model, 0, 2, -1.0)
        assert self.change(model) <= 1e-12
        assert (model[3].weight.view(3, 5, 100) == 0).all(2).all(0).sum() == 1
