"""Dense, random and magnitude: what they do in a run."""

from __future__ import annotations

import pytest
import torch

from robench.methods.masks import magnitude_masks
from robench.models.base import prunable
from robench.training.evaluate import predict


def accuracy(model, split) -> float:
    return float((predict(model, split.images).argmax(1) == split.labels).float().mean())


def test_dense_removes_nothing(network, run):
    model = network("mlp", widths=[16])
    assert run(model, "dense", level=0.0).level == 0.0
    assert all(weight.all() for weight in prunable(model).values())


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_magnitude_prunes_the_network_it_starts_from(network, run, scope):
    start = network("mlp", widths=[16])
    expected = magnitude_masks(prunable(start), 0.9, scope=scope)
    model = network("mlp", widths=[16])
    result = run(model, "magnitude", {"scope": scope}, level=0.9, weight_decay=1e-2)
    for name, mask in expected.items():
        assert torch.equal(result.masks[name], mask)
        # Momentum and weight decay have had twenty steps to move what is masked.
        assert (prunable(model)[name][~mask] == 0).all()


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_random_draws_from_the_generator_of_the_method(network, run, scope):
    masks = []
    for _ in range(2):
        model = network("mlp", widths=[16])
        masks.append(run(model, "random", {"scope": scope}, level=0.7).masks)
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])
    if scope == "layer":
        for mask in masks[0].values():
            assert float((~mask).float().mean()) == pytest.approx(0.7, abs=0.01)


@pytest.mark.slow
def test_pruned_digits_are_still_read(digits):
    """Magnitude at 0.8 is no worse than random, and keeps nine tenths of the dense accuracy."""
    from robench.data import load
    from robench.methods.base import make
    from robench.models import build
    from robench.spec import Recipe
    from robench.training.checkpoint import Checkpoint
    from robench.training.loop import RunSettings, train

    data = load("digits")
    seeds = {"order": 1, "method": 2}
    shape = {"input_shape": data.input_shape, "classes": 10, "mean": data.mean, "std": data.std}

    def trained(method: str, level: float, start: Checkpoint | None) -> torch.nn.Module:
        model = build("mlp", **shape, params={"widths": [64, 32]}, seed=0)
        if start is not None:
            start.apply_to(model)
        options = {"level": level, "steps": 300, "learning_rate": 0.05, "seeds": seeds}
        train(model, make(method), data, RunSettings(Recipe(), **options))
        return model

    dense = trained("dense", 0.0, None)
    scores = {
        method: accuracy(trained(method, 0.8, Checkpoint.of(dense)), data.validation)
        for method in ("magnitude", "random")
    }
    assert accuracy(dense, data.validation) > 0.9
    assert scores["magnitude"] > 0.9 * accuracy(dense, data.validation)
    assert scores["magnitude"] >= scores["random"] - 0.02
