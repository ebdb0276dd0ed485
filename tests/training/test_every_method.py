"""What holds for all built-in methods alike."""

from __future__ import annotations

import pytest
import torch

from robench.errors import NotApplicableError
from robench.methods.base import make
from robench.methods.masks import magnitude_masks, tolerance
from robench.models.base import prunable

METHODS = [
    "random",
    "magnitude",
    "gradual-magnitude",
    "network-surgery",
    "noiseout",
    "rigl",
    "layer-shuffle",
    "small-dense",
    "ssl",
    "halo",
    "l1",
    "rln",
]
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
    donor = magnitude_masks(prunable(model), level)
    try:
        result = run(model, method, level=level, steps=5, recipe={"batch_size": 8}, donor=donor)
    except NotApplicableError:  # a unit in each layer may be more than the level leaves
        assert method in ("small-dense", "noiseout")
        assert level >= 0.98
        return
    weights = prunable(model)
    total = sum(weight.numel() for weight in weights.values())
    zeros = sum(int((weight == 0).sum()) for weight in weights.values())
    assert result.level == zeros / total
    assert abs(zeros - round(level * total)) <= tolerance(weights, make(method).structure)
    if make(method).structure == "unstructured":
        assert zeros == round(level * total)
    assert all(weight.any() for weight in weights.values())


def test_all_start_from_the_same_weights_and_see_the_same_batches(network, run):
    """Weights at the first step, but for those that a method zeroes; images at every step."""
    seen = {}
    for method in ["dense", *METHODS]:
        model, images = network(), []
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}

        def show(module, inputs, to=images):
            if module.training:  # a method may look at the network in between
                to.append(inputs[0].clone())

        model.register_forward_pre_hook(show)
        first = {}

        def keep(module, _inputs, _output, to=first):
            if module.training and not to:
                to.update({n: p.detach().clone() for n, p in module.named_parameters()})

        model.register_forward_hook(keep)
        donor = magnitude_masks(prunable(model), 0.8)
        run(model, method, level=0.0 if method == "dense" else 0.8, steps=15, donor=donor)
        for name, weight in first.items():
            kept, theirs = weight[weight != 0], start[name][weight != 0]
            if method == "small-dense":  # scaled as a network of fewer units would start
                kept, theirs = kept / kept.norm(), theirs / theirs.norm()
                assert torch.allclose(kept, theirs, atol=1e-6)
            else:
                assert torch.equal(kept, theirs)
        seen[method] = torch.stack(images)
    assert len(seen["dense"]) == 15
    assert all(torch.equal(images, seen["dense"]) for images in seen.values())


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_a_network_with_buffers_stay_in_order(network, run, method):
    model = network("convnet", widths=[6, 8])
    before = {name: tensor.shape for name, tensor in model.state_dict().items()}
    donor = magnitude_masks(prunable(model), 0.6)
    run(model, method, level=0.6, steps=3, recipe={"batch_size": 8, "optimiser": "adam"},
        learning_rate=1e-3, donor=donor)  # fmt: skip
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == before
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


@pytest.mark.parametrize("kind", ["adversarial-noise", "all-but:contrast"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_distorted_images(network, run, method, kind):
    """The images that it is trained on are other ones than those of the data set."""
    model, changed = network("convnet", widths=[12, 24]), []
    clean = run_images(network, run, method)

    def compare(module, inputs, to=changed):
        if module.training and len(to) < len(clean):
            to.append(not torch.equal(inputs[0], clean[len(to)]))

    model.register_forward_pre_hook(compare)
    distortion = {"kind": kind, "clean_share": 0.2}
    result = run(
        model,
        method,
        level=0.5,
        steps=5,
        recipe={"batch_size": 8, "distortion": distortion},
        seeds={"order": 1, "method": 2, "distortion": 3},
        donor=magnitude_masks(prunable(model), 0.5),
    )
    assert all(changed)
    assert result.level == pytest.approx(0.5, abs=0.02)


def run_images(network, run, method):
    """What the network sees at the first steps of a run on clean images."""
    model, images = network("convnet", widths=[12, 24]), []
    model.register_forward_pre_hook(
        lambda module, inputs: images.append(inputs[0].clone()) if module.training else None
    )
    donor = magnitude_masks(prunable(model), 0.5)
    run(model, method, level=0.5, steps=5, recipe={"batch_size": 8}, donor=donor)
    return images[:3]
