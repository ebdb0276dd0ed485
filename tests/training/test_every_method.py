"""What holds for all built-in methods alike."""

from __future__ import annotations

import pytest
import torch

from robench.methods.base import make
from robench.methods.masks import tolerance
from robench.models.base import prunable

METHODS = ["random", "magnitude", "ssl", "halo"]
LEVELS = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]
NETWORKS = {
    "mlp": {"widths": [32, 16]},
    "convnet": {"widths": [12, 24]},
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_level_is_reached(network, run, name, method, level):
    model = network(name, **NETWORKS[name])
    result = run(model, method, level=level, steps=5, recipe={"batch_size": 8})
    weights = prunable(model)
    total = sum(weight.numel() for weight in weights.values())
    zeros = sum(int((weight == 0).sum()) for weight in weights.values())
    assert result.level == zeros / total
    assert abs(zeros - round(level * total)) <= tolerance(weights, make(method).structure)
    if method != "ssl":
        assert zeros == round(level * total)
    assert all(weight.any() for weight in weights.values())


def test_all_start_from_the_same_weights_and_see_the_same_batches(network, run):
    """Weights at the first step, but for those that a method zeroes; images at every step."""
    seen = {}
    for method in ["dense", *METHODS]:
        model, images = network(), []
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        model.register_forward_pre_hook(lambda _, inputs, to=images: to.append(inputs[0].clone()))
        first = {}

        def keep(module, _inputs, _output, to=first):
            if not to:
                to.update({n: p.detach().clone() for n, p in module.named_parameters()})

        model.register_forward_hook(keep)
        run(model, method, level=0.0 if method == "dense" else 0.8, steps=15)
        for name, weight in first.items():
            assert torch.equal(weight[weight != 0], start[name][weight != 0])
        seen[method] = torch.stack(images)
    assert len(seen["dense"]) == 15
    assert all(torch.equal(images, seen["dense"]) for images in seen.values())


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_a_network_with_buffers_stay_in_order(network, run, method):
    model = network("convnet", widths=[6, 8])
    before = {name: tensor.shape for name, tensor in model.state_dict().items()}
    run(model, method, level=0.6, steps=3, recipe={"batch_size": 8, "optimiser": "adam"},
        learning_rate=1e-3)  # fmt: skip
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == before
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
