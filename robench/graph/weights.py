"""Files of weights: safetensors with metadata; never pickle.

A pruned network is loaded into one of the original size, whose layers are resized first.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import nn

from robench.errors import InputError, StoreError
from robench.files import write_atomically
from robench.graph.norms import NUM_FEATURES, TENSORS
from robench.graph.operations import BatchNorm, Transposed, Weighted, unit_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

__all__ = ["make_room", "opened", "resize", "sizes_of", "write_file"]

_Sized = Weighted | BatchNorm
_AlwaysSized = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d
"""Layers whose sizes are in every file; older files omit the sizes of other layers."""


def write_file(path: str | Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Write the tensors of a network, with metadata.

    Raises:
        StoreError: the file cannot be written.
    """
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    try:
        write_atomically(Path(path), serialise(tensors, metadata))
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written: {error}", hint="check the folder and its permissions"
        ) from error


@contextmanager
def opened(
    path: str | Path, form: str, *, what: str, hint: str
) -> Iterator[tuple[dict[str, str], dict[str, Tensor]]]:
    """Metadata and tensors of a file; errors in the block become a :class:`StoreError`.

    Args:
        path: the file.
        form: the expected format, as in its metadata.
        what: kind of network, for the message.
        hint: what to do if it holds none, for the message.

    Raises:
        StoreError: the file is missing, damaged, of another kind or of another architecture.
    """
    metadata, tensors = _read_file(path)
    try:
        if metadata["format"] != form:
            raise ValueError(f"its format is {metadata['format']!r}, not {form!r}")
        yield metadata, tensors
    except (AttributeError, InputError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise StoreError(
            f"{str(path)!r} holds no {what}: {error}", where=str(path), hint=hint
        ) from error


def _read_file(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file.

    Raises:
        StoreError: it is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names: list[str] = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{str(path)!r} is no readable safetensors file: {error}", where=str(path)
        ) from error


def sizes_of(model: nn.Module) -> dict[str, dict[str, int]]:
    """Sizes that a compaction may change, by qualified name of the module."""
    return {name: _sizes(part) for name, part in _sized(model).items()}


def _sized(model: nn.Module) -> dict[str, _Sized]:
    """The modules whose size a compaction may change, by qualified name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, _Sized)}


def _sizes(module: _Sized) -> dict[str, int]:
    if isinstance(module, BatchNorm):
        return {"num_features": module.num_features}
    if isinstance(module, nn.Linear):
        return {"in_features": module.in_features, "out_features": module.out_features}
    return {
        "in_channels": module.in_channels,
        "out_channels": module.out_channels,
        "groups": module.groups,
    }


def resize(
    network: nn.Module, sizes: Mapping[str, Mapping[str, int]], tensors: Mapping[str, Tensor]
) -> None:
    """Resize every layer and BatchNorm to its size in the file, and allocate its tensors."""
    parts = {
        name: part
        for name, part in _sized(network).items()
        if name in sizes or isinstance(part, _AlwaysSized)
    }
    if set(parts) != set(sizes):
        raise ValueError(f"its layers are {sorted(sizes)}, not {sorted(parts)}")
    for name, part in parts.items():
        if set(sizes[name]) != set(_sizes(part)):
            raise ValueError(f"{name!r} is no {type(part).__name__}")
        for attribute, size in sizes[name].items():
            setattr(part, attribute, int(size))
        make_room(name, part, tensors)
    for name, module in network.named_modules():
        if name not in parts and isinstance(getattr(module, "running_mean", None), torch.Tensor):
            _make_room_for_norm(name, module, tensors)


def _make_room_for_norm(name: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Allocate the tensors of a BatchNorm with the sizes in the file.

    The sizes may differ: if forward() normalises without the weight, the weight is not pruned.
    """
    for tensor in TENSORS:
        own = getattr(module, tensor, None)
        stored = tensors.get(f"{name}.{tensor}" if name else tensor)
        if stored is not None and own is not None and stored.ndim == own.ndim == 1:
            own.data = own.detach().new_empty(stored.shape)
    statistics = getattr(module, "running_mean", None)
    if statistics is not None and isinstance(getattr(module, NUM_FEATURES, None), int):
        setattr(module, NUM_FEATURES, len(statistics))


def make_room(name: str, module: _Sized, tensors: Mapping[str, Tensor]) -> None:
    """Allocate parameters of the module's sizes for the tensors that the file has."""
    trainable = module.weight is None or module.weight.requires_grad
    if isinstance(module, BatchNorm):
        _make_room_for_norm(name, module, tensors)
        return
    units, shape = unit_count(module), _weight_shape(module)
    # A layer without a bias may have got one, to absorb constants.
    for parameter, extent in (("weight", shape), ("bias", (units,))):
        if f"{name}.{parameter}" in tensors:
            room = nn.Parameter(torch.empty(extent), requires_grad=trainable)
            setattr(module, parameter, room)


def _weight_shape(layer: Weighted) -> tuple[int, ...]:
    if isinstance(layer, nn.Linear):
        return (layer.out_features, layer.in_features)
    sides = layer.in_channels, layer.out_channels
    whole, parted = sides if isinstance(layer, Transposed) else sides[::-1]
    return (whole, parted // layer.groups, *layer.kernel_size)
