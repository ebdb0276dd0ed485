"""Inference forms on disk: plain weights as safetensors, the recipe as JSON; never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save as serialise

from robench.compaction.inference import folded
from robench.compaction.inference_module import InferenceForm
from robench.compaction.recipe import Recipe
from robench.compaction.storage import read_file, resize, sizes_of
from robench.errors import InputError, StoreError
from robench.files import write_atomically

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_inference_form", "save_inference_form"]

_FORMAT = "robench-inference-1"


def save_inference_form(form: nn.Module, path: str | Path) -> None:
    """Write an inference form to one file, which is there whole or not at all.

    Args:
        form: what :func:`robench.compaction.inference_form` or :func:`load_inference_form`
            returned.
        path: the file, by custom ``*.safetensors``; one that is there is replaced.

    Raises:
        InputError: it is no inference form.
        StoreError: the file cannot be written.
    """
    if not isinstance(form, InferenceForm):
        raise InputError(
            f"a {type(form).__name__} is no inference form",
            allowed="what robench.compaction.inference_form or load_inference_form returned",
        )
    metadata = {
        "format": _FORMAT,
        "recipe": json.dumps(form.recipe.to_json()),
        "sizes": json.dumps(sizes_of(form.network)),
    }
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in form.network.state_dict().items()
    }
    try:
        write_atomically(Path(path), serialise(tensors, metadata))
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written: {error}", hint="check the folder and its permissions"
        ) from error


def load_inference_form(path: str | Path, template: nn.Module) -> InferenceForm:
    """Read an inference form.

    Quicker ways to execute it are made anew at the first call, as the file names them. On another
    machine these may not be the quickest, and what this one lacks torch computes step by step: the
    function is the same.

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
    metadata, tensors = read_file(path)
    try:
        if metadata["format"] != _FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}, not {_FORMAT!r}")
        recipe = Recipe.from_json(json.loads(metadata["recipe"]))
        with torch.inference_mode(mode=False):
            network = folded(template).network
            resize(network, json.loads(metadata["sizes"]), tensors)
            network.load_state_dict(tensors, assign=True)
            form = InferenceForm(network, recipe).eval()
            return form.to(next(template.parameters()).device)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"{str(path)!r} holds no inference form of this {type(template).__name__}: {error}",
            where=str(path),
            hint="build the template with the parameters of the network that the form was made of",
        ) from error
