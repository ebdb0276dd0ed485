"""Rounds of merges and their undoing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.methods.base import TrainState
from robench.methods.masks import count_zeros
from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.heads import (
    NoiseHeads,
    gaussian_targets,
)
from robench.methods.noiseout.links import links_of
from robench.methods.noiseout.merger import Merger
from robench.methods.noiseout.probe import Probe
from robench.models.base import prunable
from robench.models.chain import chain
from tests.methods.noiseout.rounds import are_equal, everything, generator


@pytest.fixture
def started(network, digits) -> tuple[TrainState, Merger]:
    """A network with momentum and noise outputs, ready for a round."""
    model = network("mlp", widths=[20, 12], activation="tanh")
    images, labels = digits.train.images[:200].float() / 255, digits.train.labels[:200]
    layers = chain(model)
    heads = NoiseHeads(layers[-1].module, 6, gaussian_targets(0, 1), generator())
    optimiser = torch.optim.SGD([*model.parameters(), *heads.parameters], lr=0.1, momentum=0.9)
    state = TrainState(
        model=model, prunable=prunable(model), level=0.9, budget=10, optimiser=optimiser,
        generator=generator(), schedule=lambda _: 0.1, batches=lambda: iter([(images, labels)]),
    )  # fmt: skip
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(images), labels) + heads.loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    probe = Probe(state.train_batches(), 200)
    merger = Merger(layers, links_of(layers, state.prunable), probe, "correlation", heads)
    return state, merger


class TestRounds:
    def test_what_is_refused_is_undone_bit_by_bit(self, started):
        state, merger = started
        merger.merge(state, 5000, 5000, floor=-1.0)  # so that there are masks already
        before, training = everything(state), state.model.training
        assert not merger.merge(state, 0, 12_000, floor=2.0)
        assert are_equal(everything(state), before)
        assert merger.undone > 1
        assert state.model.training is training

    def test_a_round_that_is_undone_leaves_no_trace_in_the_next_step(self, started):
        state, merger = started
        merger.merge(state, 0, 12_000, floor=2.0)
        before = everything(state)
        merger.hold()
        assert are_equal(everything(state), before)

    def test_what_is_borne_goes_as_far_as_it_may(self, started):
        state, merger = started
        assert merger.merge(state, 0, 12_000, floor=-1.0)
        assert 12_000 - 1024 - 12 <= count_zeros(state.prunable) <= 12_000
        assert merger.undone == 0

    def test_the_goal_is_met_come_what_may(self, started):
        state, merger = started
        assert not merger.merge(state, 7000, 12_000, floor=2.0)
        assert 7000 <= count_zeros(state.prunable) <= 7000 + 1024 + 12

    def test_merging_goes_on_just_as_far_as_the_score_bears_it(self, started, monkeypatch):
        """With a score that falls with the zeros, the last merge is the last that it bears."""
        state, merger = started
        monkeypatch.setattr(
            merger._probe, "score", lambda model: -float(count_zeros(prunable(model)))
        )
        plan = merger._plan(state, 18_000)
        zeros = [merge.zeros for merge in plan]
        merger.merge(state, 0, 18_000, floor=-float(zeros[9]))
        assert count_zeros(state.prunable) == zeros[9]
        merger.merge(state, zeros[14], 18_000, floor=-float(zeros[12]))
        assert count_zeros(state.prunable) >= zeros[14]

    def test_masks_cover_what_went(self, started):
        state, merger = started
        merger.merge(state, 15_000, 15_000, floor=-1.0)
        for name, weight in state.prunable.items():
            assert torch.equal(state.masks[name], weight != 0)

    def test_the_noise_outputs_hand_over_too(self, started):
        """A unit that is another one's copy goes without a change in any of the outputs."""
        state, merger = started
        second = chain(state.model)[1].module
        with torch.no_grad():
            second.weight[3], second.bias[3] = -second.weight[5], -second.bias[5]
        heads, images = merger._heads, next(state.train_batches())[0]
        state.model(images)
        before = heads._read @ heads.weight.T + heads.bias
        (merge, *_) = [merge for merge in merger._plan(state, 20_000) if merge.place == 1]
        assert {merge.unit, merge.into} == {3, 5}
        carry_out(merger._links, [merge], state.optimiser, heads)
        state.model(images)
        after = heads._read @ heads.weight.T + heads.bias
        torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
        assert not heads.weight[:, merge.unit].any()
        assert not state.optimiser.state[heads.weight]["momentum_buffer"][:, merge.unit].any()
