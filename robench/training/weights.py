"""Weights that robench did not train, from a file to a network.

Only safetensors are read: other formats may run code when they are opened. Names need not be those
of robench's own networks: a common prefix on either side (``module.``, ``body.resnet18.``) is found
out, and the normalisation may be missing, which every network of robench does by itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from robench.errors import InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor, nn

__all__ = ["file_sha256", "fit_weights", "read_weights"]

_CHECKPOINT = "weight/"
"""In front of the names of the weights in a checkpoint of robench's own; masks lie beside them."""
_COUNTERS = "num_batches_tracked"
_NORMALISE = "normalise."


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name; of a checkpoint of robench the weights alone.

    Raises:
        StoreError: the file is missing, damaged or of another kind; says how to convert it.
    """
    file = Path(path)
    if file.suffix.lower() in (".pt", ".pth", ".ckpt", ".bin", ".pkl"):
        target = file.with_suffix(".safetensors")
        raise StoreError(
            f"{file.name!r} is a pickle, which may run code when it is opened",
            where=str(file),
            allowed="*.safetensors",
            hint="convert it where you trust it: safetensors.torch.save_file(torch.load("
            f"{file.name!r}, weights_only=True), {target.name!r})",
        )
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {str(path)!r}", hint="check the path") from error
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{file.name!r} is no readable safetensors file: {error}", where=str(file)
        ) from error
    own = {
        name.removeprefix(_CHECKPOINT): tensor
        for name, tensor in tensors.items()
        if name.startswith(_CHECKPOINT)
    }
    return own or tensors


def file_sha256(path: str | Path) -> str:
    """Hexadecimal hash of a file's bytes.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be read: {error.strerror}",
            hint="give the path of a safetensors file",
        ) from error


def fit_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network these weights, in place.

    Args:
        model: a network of robench; what it normalises by stays where `weights` do not say.
        weights: tensors by name.

    Raises:
        InputError: a tensor is missing, left over or of another shape; names it.
    """
    own = model.state_dict()
    needed = {name for name in own if not name.startswith(_NORMALISE)}
    renamed = _renamed(weights, needed)
    optional = {name for name in own if name.startswith(_NORMALISE) or name.endswith(_COUNTERS)}
    kind = type(model).__name__
    if not renamed.keys() & needed:
        raise InputError(
            f"nothing in the file is of {kind}: it has {_first(weights)}, where the network has "
            f"{_first(needed)}",
            hint="choose the --model, with its parameters, that the weights were trained in",
        )
    for name in sorted(own.keys() - renamed.keys() - optional):
        raise InputError(
            f"the file has no tensor for {name!r} of {kind}",
            hint="choose the --model, with its parameters, that the weights were trained in",
        )
    for name in sorted(renamed.keys() - own.keys()):
        raise InputError(
            f"{kind} has no place for the tensor {name!r}",
            hint="choose the --model, with its parameters, that the weights were trained in",
        )
    for name, tensor in renamed.items():
        if tensor.shape != own[name].shape:
            raise InputError(
                f"{name!r} is {tuple(tensor.shape)} in the file and {tuple(own[name].shape)} in "
                f"{kind}",
                hint="look at the model's parameters, its classes and the size of its images",
            )
    model.load_state_dict({**own, **renamed})


def _first(names: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(names)[:2])) + (", …" if len(names) > 2 else "")


def _renamed(weights: Mapping[str, Tensor], needed: Collection[str]) -> dict[str, Tensor]:
    """The weights under the network's own names, as far as a prefix explains the difference."""
    theirs = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    best = theirs
    first = min(needed, default="")
    parts = first.split(".")
    for length in range(len(parts)):
        prefix = "".join(f"{part}." for part in parts[:length])
        renamed = {
            name if name.startswith(_NORMALISE) else prefix + name: tensor
            for name, tensor in theirs.items()
        }
        if len(renamed.keys() & set(needed)) > len(best.keys() & set(needed)):
            best = renamed
    return best
