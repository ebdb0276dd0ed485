"""Which units are merged, and how one answers for another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.links import Widths
from robench.methods.noiseout.plan import Candidates, Merge, plan_merges, reading
from robench.models.chain import chain
from tests.methods.noiseout.merging import (
    candidates,
    dense,
    drawn,
    links,
    merged,
    moments_of,
    optimiser,
    outputs,
)


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
