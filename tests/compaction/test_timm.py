"""Networks of timm, whose MLPs are Linear layers of tokens or of maps with their channels last."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from robench.compaction import compact, report_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("convnext_atto", {}),
        ("convnext_atto", {"conv_mlp": False}),
        ("vit_tiny_patch16_224", {"img_size": 64, "depth": 4}),
        ("deit_tiny_patch16_224", {"img_size": 64, "depth": 4}),
        ("swin_tiny_patch4_window7_224", {"img_size": 64, "window_size": 4}),
        ("mixer_s32_224", {"img_size": 64}),
    ],
)
def test_mlps_of_timms_transformers_lose_their_dead_units(
    name: str, options: dict[str, Any]
) -> None:
    """Dead units, half of them with a constant of their own: inputs, biases and outputs go."""
    from robench._torchvision import import_torchvision

    import_torchvision()
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10, **options).eval()
    gone = 0
    for layer, part in model.named_modules():
        if layer.endswith("fc1"):
            after = model.get_submodule(f"{layer.removesuffix('fc1')}fc2")
            dead = torch.rand(len(part.weight)) < 0.55
            with torch.no_grad():
                part.weight[dead] = 0
                part.bias.normal_(0, 0.3)
                part.bias[dead & (torch.rand(len(dead)) < 0.5)] = 0
            gone += int(dead.sum()) * (part.weight.shape[1] + 1 + len(after.weight))
    size = options.get("img_size", 64)
    compacted = compact(model, torch.rand(2, 3, size, size), columns=False)
    report = report_of(compacted)
    assert type(compacted) is type(model)
    assert report.parameters_after == report.parameters_before - gone
    assert gone > 0.3 * report.parameters_before
    inputs = torch.rand(2, 3, size, size).double()
    before, after = copy.deepcopy(model).double(), copy.deepcopy(compacted).double()
    torch.testing.assert_close(after(inputs), before(inputs), atol=1e-4, rtol=1e-4)
