"""Inference forms on disk: weights and recipe, whatever machine reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from robench.compaction import compact, load, save
from robench.deploy import inference_form, load_inference_form, save_inference_form
from robench.deploy.inference import folded
from robench.deploy.inference_module import InferenceForm
from robench.deploy.recipe import Recipe
from robench.errors import InputError, StoreError

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(*, width: int = 6, zeros: bool = False) -> nn.Sequential:
    model = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(width, 5, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(),
        nn.Linear(20, 4),
    )  # fmt: skip
    nn.init.normal_(model[1].weight)
    nn.init.normal_(model[1].bias)
    nn.init.uniform_(model[1].running_var, 0.5, 2)
    if zeros:
        with torch.no_grad():
            for part in (model[0], model[1], model[4]):
                part.weight[1:4] = 0
            model[1].bias[1:4] = 0
            model[4].weight[:, :, 0] = 0
            model[4].bias[1:4] = 0
    return model.eval()


def close(found: nn.Module, expected: nn.Module) -> None:
    with torch.no_grad():
        for count in (1, 3):
            torch.testing.assert_close(
                found(IMAGES[:count]), expected(IMAGES[:count]), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe((3, 8, 8)),
        Recipe((3, 8, 8), "float32", "frozen", "optimised"),
        Recipe((3, 8, 8), "float32", "channels last", "planar", {"3": "rows", "0": "2 pixels"}),
        Recipe((3, 8, 8), "float32", "planar", "planar", {}, {"4": "gathered", "0": "direct"}),
    ],
    ids=lambda recipe: f"{recipe.one}, {recipe.many}",
)
def test_it_is_read_as_it_was_written(recipe: Recipe, tmp_path: Path) -> None:
    model, path = network(zeros=True), tmp_path / "form.safetensors"
    form = InferenceForm(folded(model, IMAGES).network, recipe).eval()
    save_inference_form(form, path)
    loaded = load_inference_form(path, network().train())
    assert loaded.recipe == recipe
    assert not loaded.training
    close(loaded, model)
    with torch.no_grad():
        assert torch.equal(loaded(IMAGES), form(IMAGES))
    with safe_open(path, framework="pt") as file:
        assert set(file.metadata()) == {"format", "recipe", "sizes"}


def test_a_compacted_network_is_read_into_its_architecture(tmp_path: Path) -> None:
    model, path = network(zeros=True), tmp_path / "form.safetensors"
    small = compact(model, IMAGES)
    form = inference_form(small, IMAGES)
    save_inference_form(form, path)
    for template in (network(), small):
        loaded = load_inference_form(path, template)
        assert loaded.get_submodule("0").out_channels == 3
        assert loaded.recipe == form.recipe
        close(loaded, model)
    save(small, tmp_path / "small.safetensors")
    close(load_inference_form(path, load(tmp_path / "small.safetensors", network())), model)


def test_another_machine_computes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without kernels, and without TorchScript."""
    model, path = network(zeros=True), tmp_path / "form.safetensors"
    recipe = Recipe((3, 8, 8), "float32", "frozen", "planar", {}, {"4": "direct", "0": "direct"})
    save_inference_form(InferenceForm(folded(model, IMAGES).network, recipe), path)
    monkeypatch.setenv("ROBENCH_KERNELS", "off")
    monkeypatch.delattr(torch.jit, "freeze")
    close(load_inference_form(path, network()), model)


def test_other_files_and_templates_are_refused(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "form.safetensors"
    with pytest.raises(InputError, match="a Sequential is no inference form"):
        save_inference_form(model, path)
    with pytest.raises(StoreError, match="no readable safetensors file"):
        load_inference_form(path, model)
    save(compact(model, IMAGES), path)
    with pytest.raises(StoreError, match="robench-compacted-1"):
        load_inference_form(path, model)
    save_inference_form(InferenceForm(folded(model, IMAGES).network, Recipe((3, 8, 8))), path)
    for template in (model[:6], nn.Sequential(nn.Linear(3, 2))):
        with pytest.raises(StoreError, match="no inference form of this Sequential"):
            load_inference_form(path, template)
    with pytest.raises(StoreError, match="cannot be written"):
        save_inference_form(load_inference_form(path, model), path / "x")


def test_a_damaged_recipe_is_refused(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "form.safetensors"
    save_inference_form(InferenceForm(folded(model, IMAGES).network, Recipe((3, 8, 8))), path)
    whole = path.read_bytes()
    assert b"plain" in whole
    for damaged in (whole.replace(b"plain", b"paint"), whole[:-8]):
        path.write_bytes(damaged)
        with pytest.raises(StoreError):
            load_inference_form(path, model)
