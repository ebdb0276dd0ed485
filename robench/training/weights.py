"""Weights that robench did not train, from a file to a network.

Only safetensors are read: other formats may run code when they are opened. Names need not be those
of robench's own networks: a common prefix on either side (``module.``, ``body.resnet18.``) is found
out, and the normalisation may be missing, which every network of robench does by itself.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from robench.errors import InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor, nn

    from robench.models.base import Network

__all__ = ["Normalisation", "file_sha256", "fit_weights", "normalise_by", "read_weights"]

_CHECKPOINT = "weight/"
"""In front of the names of the weights in a checkpoint of robench's own; masks lie beside them."""
_COUNTERS = "num_batches_tracked"
_NORMALISE = "normalise."


_STATISTICS = ("mean", "std")


@dataclass(frozen=True)
class Normalisation:
    """What a network subtracts from its inputs in [0, 1], and what it divides them by.

    Attributes:
        mean: one value a channel or feature.
        std: likewise, positive.
        source: who says so: ``asked`` for, the ``file`` of the weights, or the ``data set``.
        also: names of tensors in the file that look as if the network normalised by itself as well.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str
    also: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """One sentence for people."""
        words = {
            "asked": "as asked for",
            "file": "as the file of the weights says",
            "data set": "those of the data set's training images",
        }
        said = f"inputs are normalised by mean {_few(self.mean)} and standard deviation "
        said += f"{_few(self.std)}, {words[self.source]}"
        if self.source != "data set":
            return said
        if self.also:
            return f"{said}; but the file holds {self.also[0]!r}: if the network normalises by " + (
                "itself, say --mean 0 --std 1"
            )
        return f"{said}; --mean and --std say otherwise, 0 and 1 that the network does it itself"


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


def normalise_by(
    model: Network,
    weights: Mapping[str, Tensor],
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Normalisation:
    """Have a network normalise as was asked for, else as its file says, else by its data set.

    Args:
        model: has its `weights`, and the statistics of its data set where these do not say.
        weights: as in the file.
        mean: one value a channel or feature, or one for all; empty where nothing was asked for.
        std: likewise.

    Raises:
        InputError: a number of values that does not fit, or a value that none can be.
    """
    is_in_file = any(name.startswith(_NORMALISE) for name in weights)
    source = "asked" if mean or std else "file" if is_in_file else "data set"
    for name, values in zip(_STATISTICS, (mean, std), strict=True):
        if values:
            _set_statistic(model, name, values)
    found = [getattr(model.normalise, name).flatten().tolist() for name in _STATISTICS]
    also = [
        name
        for name in sorted(weights)
        if name.rpartition(".")[2] in _STATISTICS and not name.startswith(_NORMALISE)
    ]
    return Normalisation(tuple(found[0]), tuple(found[1]), source, tuple(also))


def _set_statistic(model: Network, name: str, values: Sequence[float]) -> None:
    buffer: Tensor = getattr(model.normalise, name)
    if len(values) not in (1, buffer.numel()):
        raise InputError(
            f"{len(values)} values of the {name} do not go with {buffer.numel()} channels",
            allowed="1 value" if buffer.numel() == 1 else f"1 or {buffer.numel()} values",
        )
    for value in values:
        if not math.isfinite(value) or (name == "std" and value <= 0):
            raise InputError(
                f"the {name} {value!r} cannot be used",
                allowed="finite values, of std above 0",
            )
    with torch.no_grad():
        buffer.copy_(torch.tensor(values, dtype=buffer.dtype).view(-1, *buffer.shape[1:]))


def _few(values: Sequence[float]) -> str:
    """``(0.49, 0.48, 0.45)``; of many features the first few."""
    shown = [f"{value:.4g}" for value in values[:3]]
    rest = [f"… ({len(values)} in all)"] if len(values) > 3 else []
    return shown[0] if len(values) == 1 else f"({', '.join([*shown, *rest])})"


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
