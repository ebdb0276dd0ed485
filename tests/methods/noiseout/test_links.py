"""Where units can be merged, and what that saves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.links import Widths
from robench.methods.noiseout.plan import Merge, plan_merges
from robench.methods.noiseout.probe import are_separate
from robench.models.base import prunable
from robench.models.chain import chain
from tests.methods.noiseout.merging import candidates, dense, drawn, links, merged, optimiser


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
