"""The layer-shuffle control: as many weights in each layer, and other ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.errors import ParameterError, TrainingError
from robench.methods.base import TrainState, make
from robench.methods.masks import Masks, achieved_level, magnitude_masks
from robench.models.base import prunable
from robench.spec import Recipe
from robench.training.loop import RunSettings, train


def state_of(donor, seed=0):
    """What the method needs to see of a run."""
    return TrainState(
        model=torch.nn.Identity(),
        prunable={},
        level=0.5,
        budget=1,
        optimiser=torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0),
        generator=torch.Generator().manual_seed(seed),
        schedule=lambda _: 1.0,
        batches=lambda: iter(()),
        donor=donor,
    )


def shuffled(donor, seed=0):
    state = state_of(donor, seed)
    make("layer-shuffle").prepare(state)
    return state.masks


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_each_layer_keeps_as_many_weights_as_the_donor_does(shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    donor = Masks({str(i): torch.rand(s, generator=generator) > 0.6 for i, s in enumerate(shapes)})
    before = {name: mask.clone() for name, mask in donor.items()}
    masks = shuffled(donor, seed)
    assert list(masks) == list(donor)
    for name, mask in donor.items():
        assert torch.equal(mask, before[name])  # the donor's own masks are left alone
        assert masks[name].shape == mask.shape
        assert masks[name].dtype is torch.bool
        assert masks[name].sum() == mask.sum()


def test_every_place_has_the_same_chance():
    donor = Masks({"w": torch.arange(12).view(3, 4) < 3})
    hits = torch.stack([shuffled(donor, seed)["w"] for seed in range(2000)]).float().mean(0)
    # A quarter of the places: the deviation of the mean of 2,000 draws is about 0.0097.
    assert (hits - 0.25).abs().max() < 0.05


def test_the_shuffle_follows_the_generator_of_the_method():
    donor = Masks({"w": torch.arange(100).view(10, 10) < 30})
    assert torch.equal(shuffled(donor, 1)["w"], shuffled(donor, 1)["w"])
    assert not torch.equal(shuffled(donor, 1)["w"], shuffled(donor, 2)["w"])
    assert not torch.equal(shuffled(donor, 1)["w"], donor["w"])


def test_a_run_is_masked_from_the_first_step_at_the_level_of_the_donor(network, digits):
    model = network("mlp", widths=[32, 16])
    donor = magnitude_masks(prunable(model), 0.9)
    levels = []
    model.register_forward_hook(lambda module, *_: levels.append(achieved_level(prunable(module))))
    result = train(
        model,
        make("layer-shuffle"),
        digits,
        RunSettings(
            Recipe(batch_size=32),
            level=0.9,
            steps=5,
            learning_rate=0.05,
            seeds={"order": 1, "method": 2},
        ),
        donor=donor,
    )
    assert result.level == pytest.approx(0.9, abs=1e-3)
    assert levels == [result.level] * 5
    for name, mask in donor.items():
        assert result.masks[name].sum() == mask.sum()
        assert not torch.equal(result.masks[name], mask)


def test_it_asks_for_the_masks_of_the_method_that_is_named():
    assert make("layer-shuffle").mask_source() == "magnitude"
    assert make("layer-shuffle", {"of": "ssl"}).mask_source() == "ssl"
    with pytest.raises(ParameterError, match="shuffle of a shuffle"):
        make("layer-shuffle", {"of": "layer-shuffle"})


def test_without_masks_it_says_what_is_missing(network, run):
    with pytest.raises(TrainingError, match="no masks of 'rigl'"):
        run(network("mlp", widths=[8]), "layer-shuffle", {"of": "rigl"}, level=0.5)
