"""Inference forms on disk: plain weights as safetensors, the recipe as JSON; never pickle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from robench.deploy.inference import folded
from robench.deploy.inference_module import InferenceForm
from robench.deploy.recipe import Recipe
from robench.errors import InputError
from robench.graph.weights import opened, resize, sizes_of, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["load_inference_form", "save_inference_form"]

_FORMAT = "robench-inference-1"


def save_inference_form(form: nn.Module, path: str | Path) -> None:
    """Write an inference form to one file, which is there whole or not at all.

    Args:
        form: what :func:`robench.deploy.inference_form` or :func:`load_inference_form`
            returned.
        path: the file, by custom ``*.safetensors``; one that is there is replaced.

    Raises:
        InputError: it is no inference form.
        StoreError: the file cannot be written.
    """
    if not isinstance(form, InferenceForm):
        raise InputError(
            f"a {type(form).__name__} is no inference form",
            allowed="what robench.deploy.inference_form or load_inference_form returned",
        )
    metadata = {
        "format": _FORMAT,
        "recipe": json.dumps(form.recipe.to_json()),
        "sizes": json.dumps(sizes_of(form.network)),
    }
    write_file(path, form.network, metadata)


def load_inference_form(path: str | Path, template: nn.Module) -> InferenceForm:
    """Read an inference form.

    Executables are rebuilt at the first call, by the recipe in the file. On another machine they
    may not be the fastest ones, and executions that this machine lacks are replaced by eager torch:
    the function is the same.

    Args:
        path: a file that :func:`save_inference_form` wrote.
        template: a network of the steps that the form was made of; its weights do not matter, and
            it stays as it is. The architecture, such as :func:`robench.models.build` gives, also
            for a network that was compacted, unless steps of its graph changed (branches or inputs
            left out, cropped kernels): then what :func:`robench.compaction.load` gives.

    Returns:
        The form in evaluation mode, on the template's device.

    Raises:
        StoreError: the file is missing, damaged, of another kind or of another architecture.
    """
    hint = "build the template with the parameters of the network that the form was made of"
    what = f"inference form of this {type(template).__name__}"
    with (
        opened(path, _FORMAT, what=what, hint=hint) as (metadata, tensors),
        torch.inference_mode(mode=False),
    ):
        recipe = Recipe.from_json(json.loads(metadata["recipe"]))
        weight = next(template.parameters())
        network = folded(template, weight.new_zeros(1, *recipe.input_shape)).network
        resize(network, json.loads(metadata["sizes"]), tensors)
        network.load_state_dict(tensors, assign=True)
        form = InferenceForm(network, recipe).eval()
        return form.to(weight.device)
