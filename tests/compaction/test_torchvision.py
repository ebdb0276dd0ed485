"""torchvision's networks with random structured zeros: the same function and the same gradients."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from robench.compaction import compact, load, report_of, save
from robench.models import build

NAMES = (
    "alexnet", "densenet121", "googlenet", "mobilenet_v2", "resnet18", "resnet50", "vgg16_bn",
)  # fmt: skip
IMAGES = 4


def network(name: str) -> nn.Module:
    side_px = 64 if name == "alexnet" else 32
    return build(
        f"torchvision:{name}", input_shape=(3, side_px, side_px), classes=5,
        mean=(0.4,) * 3, std=(0.3,) * 3, seed=0,
    )  # fmt: skip


def with_zeros(model: nn.Module, images: Tensor, share: float, seed: int) -> nn.Module:
    """BatchNorms that know their maps, and a share of all filters, norms and biases at zero."""
    generator = torch.Generator().manual_seed(seed)

    def gone(units: int) -> Tensor:
        return torch.rand(units, generator=generator) < share

    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.3, 0.3, generator=generator)
                part.momentum = 1.0
        for part in model.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        model.train()(images)
        for part in model.eval().modules():
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
                dead = gone(len(part.weight))
                part.weight[dead] = 0
                if part.bias is not None:
                    # Some of those that are dead remain as constants.
                    part.bias[dead & gone(len(dead))] = 0
            elif isinstance(part, nn.Linear):
                part.weight[:, gone(part.in_features)] = 0
    return model


def logits_and_gradients(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    leaf = images.double().requires_grad_()
    logits = copy.deepcopy(model).double()(leaf)
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    return logits.detach(), gradient


@pytest.mark.parametrize(
    ("name", "share", "seed"),
    [
        ("mobilenet_v2", 0.3, 0),
        *(
            pytest.param(name, share, seed, marks=pytest.mark.slow)
            for name in NAMES
            for share, seed in ((0.2, 1), (0.4, 2))
        ),
    ],
)
def test_the_compacted_network_is_the_same(
    name: str, share: float, seed: int, tmp_path: Path
) -> None:
    model = network(name)
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(IMAGES, *model.input_shape, generator=generator)
    model = with_zeros(model, images, share, seed)
    compacted = compact(model, images)
    report = report_of(compacted)
    assert report.units_removed > 0.2 * share * sum(one.units_before for one in report.layers)
    other = torch.rand(2, *model.input_shape, generator=generator)
    (logits, gradient), (found, gradient_found) = (
        logits_and_gradients(one, other) for one in (model, compacted)
    )
    scale, gradient_scale = logits.abs().amax(), gradient.abs().amax()
    assert scale > 0
    assert gradient_scale > 0
    # Constants that went into biases were rounded to single precision.
    assert float((logits - found).abs().amax() / scale) < 1e-4
    assert float((gradient - gradient_found).abs().amax() / gradient_scale) < 1e-2
    save(compacted, tmp_path / "network.safetensors")
    loaded = load(tmp_path / "network.safetensors", network(name))
    with torch.no_grad():
        torch.testing.assert_close(loaded(other), compacted(other))
