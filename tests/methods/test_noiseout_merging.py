"""Merging: correlation, least squares, folding, in which order, and what is exact."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.methods.noiseout.fold import carry_out, fold
from robench.methods.noiseout.links import Link, Widths, links_of
from robench.methods.noiseout.moments import Moments, constants, correlations, mean_strongest
from robench.methods.noiseout.plan import Candidates, Merge, plan_merges, reading
from robench.methods.noiseout.probe import Probe, are_separate, evaluating
from robench.models.base import prunable
from robench.models.chain import chain


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def links(model: nn.Module) -> list[Link]:
    return links_of(chain(model), prunable(model))


def moments_of(model: nn.Module, inputs: torch.Tensor) -> list[Moments]:
    labels = torch.zeros(2 * len(inputs), dtype=torch.long)
    probe = Probe([(torch.cat([inputs, inputs]), labels)], 2 * len(inputs))
    return probe.moments(model, links(model))


def candidates(model: nn.Module, inputs: torch.Tensor, choose="correlation") -> list[Candidates]:
    return [
        Candidates(
            place, moments, reading(link, link.reader.module.weight),
            np.ones(link.layer.units, dtype=bool), choose,
        )
        for place, (link, moments) in enumerate(
            zip(links(model), moments_of(model, inputs), strict=True)
        )
    ]  # fmt: skip


def optimiser(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def outputs(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with evaluating(model):
        return model(inputs)


def merged(model: nn.Module, inputs: torch.Tensor, count: int, choose="correlation") -> list[Merge]:
    """Merge so many units of the first link, and hand back the merges."""
    first = candidates(model, inputs, choose)[0]
    merges = [first.take() for _ in range(count)]
    carry_out(links(model), merges, optimiser(model))
    return merges


def dense(*widths: int, seed: int = 0, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(seed)
    body = nn.Sequential()
    for inputs, units in pairwise(widths):
        body.extend([nn.Linear(inputs, units), activation()])
    return body[:-1].double()


def make_affine_copies(layer: nn.Linear, activation: nn.Module, reader: nn.Linear) -> None:
    """Unit 1 becomes a copy of unit 0, unit 2 its negative, which tanh hands on as it is."""
    with torch.no_grad():
        for copy, sign in ((1, 1.0), (2, -1.0)):
            layer.weight[copy] = sign * layer.weight[0]
            layer.bias[copy] = sign * layer.bias[0]


class TestMoments:
    @pytest.mark.parametrize("sizes", [(200,), (50, 150), (1, 99, 100)])
    def test_batches_add_up_to_what_numpy_says_of_all(self, sizes):
        values = drawn(200, 7, 3) * 4 + 100
        moments = Moments(7)
        for batch in torch.split(values, sizes):
            moments.add(batch)
        observations = values.movedim(1, 0).flatten(1).numpy()
        np.testing.assert_allclose(moments.mean, observations.mean(1), rtol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(observations, bias=True), rtol=1e-9)
        expected = np.corrcoef(observations)
        np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(correlations(moments), expected, atol=1e-12)

    def test_about_the_origin_they_are_second_moments(self):
        values = drawn(40, 3, 1) + 1
        moments = Moments(3, centred=False)
        for batch in torch.split(values, 15):
            moments.add(batch)
        seen = values.squeeze(2)
        np.testing.assert_allclose(moments.covariance, (seen.T @ seen / 40).numpy(), rtol=1e-12)
        assert not moments.mean.any()

    def test_constants_correlate_with_nothing(self):
        values = drawn(50, 3, 1)
        values[:, 1] = 0.7
        moments = Moments(3)
        moments.add(values)
        assert constants(moments).tolist() == [False, True, False]
        rho = correlations(moments)
        assert not rho[1].any()
        assert not rho[:, 1].any()
        assert mean_strongest(moments) == pytest.approx(abs(rho[0, 2]))

    def test_correlation_is_symmetric_and_none_is_with_itself(self):
        moments = Moments(20)
        moments.add(drawn(60, 20, 1))
        rho = correlations(moments)
        np.testing.assert_allclose(rho, rho.T, rtol=1e-12)
        assert not rho.diagonal().any()
        assert np.abs(rho).max() <= 1

    def test_one_unit_alone_has_no_correlation(self):
        moments = Moments(1)
        moments.add(drawn(9, 1, 1))
        assert mean_strongest(moments) is None


class TestLeastSquares:
    def fitted(self) -> tuple[Merge, torch.Tensor, torch.Tensor, float]:
        """A merge, the two activations, and the residual variance that is predicted."""
        model, inputs = dense(5, 8, 3), drawn(300, 5, seed=1)
        activations = model[:2](inputs).detach()
        rho = np.corrcoef(activations.T.numpy())
        merge = candidates(model, inputs)[0].take()
        gone, stays = activations[:, merge.unit], activations[:, merge.into]
        predicted = float(gone.var(correction=0)) * (1 - rho[merge.unit, merge.into] ** 2)
        return merge, gone, stays, predicted

    def test_no_other_line_fits_better(self):
        merge, gone, stays, predicted = self.fitted()

        def error(slope, intercept):
            return float((gone - slope * stays - intercept).square().mean())

        least = error(merge.slope, merge.intercept)
        assert least == pytest.approx(predicted, rel=1e-9)
        for slope, intercept in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3), (1e-3, 1e-3)):
            assert error(merge.slope + slope, merge.intercept + intercept) > least

    def test_the_residual_is_orthogonal_to_the_unit_and_to_one(self):
        merge, gone, stays, _ = self.fitted()
        residual = gone - merge.slope * stays - merge.intercept
        assert float(residual.mean()) == pytest.approx(0, abs=1e-12)
        assert float((residual * stays).mean()) == pytest.approx(0, abs=1e-12)

    def test_it_is_what_lstsq_finds(self):
        merge, gone, stays, _ = self.fitted()
        design = torch.stack([stays, torch.ones_like(stays)], dim=1)
        slope, intercept = torch.linalg.lstsq(design, gone[:, None]).solution.flatten().tolist()
        assert merge.slope == pytest.approx(slope, rel=1e-9)
        assert merge.intercept == pytest.approx(intercept, rel=1e-9, abs=1e-12)

    def test_predicted_damage_is_what_the_reader_loses(self):
        """Σ over outputs of the residual's variance times the squared weights."""
        model, inputs = dense(5, 8, 3), drawn(300, 5, seed=1)
        first = candidates(model, inputs, "damage")[0]
        predicted = first.loss
        before = outputs(model, inputs)
        merge = first.take()
        carry_out(links(model), [merge], optimiser(model))
        lost = (outputs(model, inputs) - before).square().mean(0).sum()
        total = before.var(0, correction=0).sum()
        assert predicted == pytest.approx(float(lost / total), rel=1e-9)


class TestChoice:
    def test_the_most_correlated_pair_goes_first_and_the_less_important_of_it(self):
        model, inputs = dense(5, 8, 3), drawn(300, 5, seed=1)
        activations = model[:2](inputs).detach()
        rho = np.abs(np.corrcoef(activations.T.numpy()))
        np.fill_diagonal(rho, 0)
        pair = set(np.unravel_index(rho.argmax(), rho.shape))
        merge = candidates(model, inputs)[0].take()
        assert {merge.unit, merge.into} == pair
        weight = activations.var(0) * model[2].weight.square().sum(0)
        assert weight[merge.unit] < weight[merge.into]

    def test_least_damage_is_least_over_all_pairs(self):
        model, inputs = dense(5, 8, 3), drawn(300, 5, seed=1)
        activations = model[:2](inputs).detach()
        rho = torch.corrcoef(activations.T)
        importance = activations.var(0) * model[2].weight.detach().square().sum(0)
        damage = importance[:, None] * (1 - rho.square())
        damage.fill_diagonal_(torch.inf)
        merge = candidates(model, inputs, "damage")[0].take()
        assert [merge.unit, merge.into] == [*divmod(int(damage.argmin()), 8)]

    @pytest.mark.parametrize("choose", ["correlation", "damage"])
    def test_what_is_kept_up_to_date_is_what_a_new_start_would_find(self, choose):
        """Each merge equals the first one of fresh candidates, after the last was carried out."""
        model, inputs = dense(6, 12, 4), drawn(200, 6, seed=2)
        (link,) = links(model)
        (moments,) = moments_of(model, inputs)
        (running,) = candidates(model, inputs, choose)
        alive = np.ones(12, dtype=bool)
        for _ in range(11):
            fresh = Candidates(0, moments, reading(link, model[2].weight), alive, choose)
            merge, again = running.take(), fresh.take()
            assert (merge.unit, merge.into) == (again.unit, again.into)
            assert merge.slope == pytest.approx(again.slope, rel=1e-9)
            carry_out([link], [merge], optimiser(model))
            alive[merge.unit] = False

    @pytest.mark.parametrize("choose", ["correlation", "damage"])
    def test_nobody_is_merged_with_itself_or_with_who_is_gone(self, choose):
        (all_units,) = candidates(dense(6, 40, 4), drawn(200, 6), choose)
        gone = set()
        while all_units.loss < np.inf:
            merge = all_units.take()
            assert merge.unit != merge.into
            assert not {merge.unit, merge.into} & gone
            gone.add(merge.unit)
        assert len(gone) == 39

    def test_constant_units_go_first(self):
        model, inputs = dense(5, 8, 3), drawn(100, 5)
        with torch.no_grad():
            model[0].weight[[2, 6]] = 0.0
        before = outputs(model, inputs)
        merges = merged(model, inputs, 2)
        assert [(merge.unit, merge.into) for merge in merges] == [(2, None), (6, None)]
        torch.testing.assert_close(outputs(model, inputs), before, rtol=0, atol=1e-14)

    def test_a_layer_of_constants_keeps_one(self):
        model, inputs = dense(5, 4, 3), drawn(100, 5)
        nn.init.zeros_(model[0].weight)
        layers = chain(model)
        merges = plan_merges(
            candidates(model, inputs), Widths(layers, links(model), [4]), 0, wanted=10**9
        )
        assert len(merges) == 3


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


def convolutions(*between: nn.Module, padding: int = 0, bias: bool = True, **more) -> nn.Sequential:
    """Two convolutions and what lies between them, then a Linear; map 2 is map 0 again."""
    torch.manual_seed(3)
    first = nn.Conv2d(1, 5, 3)
    second = nn.Conv2d(5, 4, 3, padding=padding, bias=bias, **more)
    tail = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    return nn.Sequential(first, *between, second, *tail).double()


def copy_map(model: nn.Sequential, source: int, to: int, sign: float = 1.0, offset: float = 0.0):
    with torch.no_grad():
        model[0].weight[to] = sign * model[0].weight[source]
        model[0].bias[to] = sign * model[0].bias[source] + offset


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


class TestBookkeeping:
    def test_momentum_is_cleared_where_a_unit_went_and_nowhere_else(self):
        model, inputs = dense(4, 6, 3), drawn(50, 4)
        adam = torch.optim.Adam(model.parameters(), lr=1e-3)
        model(inputs).sum().backward()
        adam.step()
        kept = {p: {k: v.clone() for k, v in s.items()} for p, s in adam.state.items()}
        (link,) = links(model)
        carry_out([link], [Merge(0, 4, 1, 0.5, 0.1)], adam)
        gone = torch.zeros(6, dtype=torch.bool)
        gone[4] = True
        first, second = model[0], model[2]
        for parameter, there in (
            (first.weight, gone[:, None].expand(6, 4)),
            (first.bias, gone),
            (second.weight, gone.expand(3, 6)),
            (second.bias, torch.zeros(3, dtype=torch.bool)),
        ):
            for key in ("exp_avg", "exp_avg_sq"):
                now, before = adam.state[parameter][key], kept[parameter][key]
                assert not now[there].any()
                assert torch.equal(now[~there], before[~there])
                assert now.shape == parameter.shape

    def test_tensors_keep_their_shapes(self):
        model, inputs = dense(4, 6, 3), drawn(50, 4)
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        merged(model, inputs, 3)
        assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes

    @pytest.mark.parametrize("gone", [(0, 0), (5, 3), (29, 11)])
    def test_parameters_that_are_left_follow_the_formula(self, gone):
        """784 n₁ + n₁ n₂ + 10 n₂ weights, and one bias a unit and an output."""
        model = dense(784, 30, 12, 10)
        widths = Widths(chain(model), links(model), [30, 12])
        first, second = candidates(model, drawn(64, 784))
        zeros = 0
        merges = []
        for place, (one, count) in enumerate(zip((first, second), gone, strict=True)):
            for _ in range(count):
                zeros += widths.cost(place)
                widths.remove(place)
                merges.append(one.take())
        carry_out(links(model), merges, optimiser(model))
        left = [30 - gone[0], 12 - gone[1]]
        expected = 784 * left[0] + left[0] * left[1] + 10 * left[1]
        weights = prunable(model).values()
        assert widths.weights == expected
        assert sum(int(weight.count_nonzero()) for weight in weights) == expected
        assert sum(weight.numel() for weight in weights) - zeros == expected
        assert sum(int(model[i].bias.count_nonzero()) for i in (0, 2)) == sum(left)

    def test_merging_stops_before_the_level_is_passed(self):
        model = dense(20, 30, 12, 10)
        total = sum(weight.numel() for weight in prunable(model).values())
        merges = plan_merges(
            candidates(model, drawn(200, 20)), Widths(chain(model), links(model), [30, 12]),
            zeros=0, wanted=total // 2,
        )  # fmt: skip
        assert total // 2 - 32 - 40 <= merges[-1].zeros <= total // 2
        carry_out(links(model), merges, optimiser(model))
        zeros = sum(int((weight == 0).sum()) for weight in prunable(model).values())
        assert zeros == merges[-1].zeros

    def test_grouped_readers_and_shared_weights_are_left_out(self):
        shared = nn.Linear(8, 8)
        surrogate = nn.Linear(8, 8)
        surrogate.weight = shared.weight
        model = nn.Sequential(nn.Linear(4, 8), shared, nn.Linear(8, 8), surrogate, nn.Linear(8, 2))
        assert not links(model)
        grouped = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(6, 3, 3)
        )
        assert [link.layer.name for link in links(grouped)] == ["1"]

    def test_mixing_on_the_way_is_noticed(self):
        class Reversed(nn.Module):
            def forward(self, x):
                return x.flip(1)

        generator = torch.Generator().manual_seed(0)
        for step, is_separate in (
            (nn.Tanh(), True), (Reversed(), False), (nn.Softmax(1), False), (nn.LayerNorm(8), False)
        ):  # fmt: skip
            model = nn.Sequential(nn.Linear(4, 8), step, nn.Linear(8, 2)).double()
            (link,) = links(model)
            assert are_separate(model, link, drawn(5, 4), generator) is is_separate
