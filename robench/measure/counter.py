"""Multiply-accumulates, parameters and bytes of a network.

The usual tools ignore zeros: a network with 90 % zeros gets the same number. Here a zero weight is
skipped at every output position, which is what a perfect sparse kernel would do and a dense one
does not. The unit is the multiply-accumulate (MAC), half of what others call a FLOP.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import Tensor, nn

from robench.errors import InputError
from robench.measure.activations import peak_activation_bytes

__all__ = ["LayerOperations", "Operations", "count_operations", "file_bytes", "model_bytes"]

_Counted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


@dataclass(frozen=True)
class LayerOperations:
    """Multiply-accumulates of one layer for one input.

    Attributes:
        name: qualified name.
        macs: of the dense layer.
        macs_nonzero: without those whose weight is zero.
    """

    name: str
    macs: int
    macs_nonzero: int


@dataclass(frozen=True)
class Operations:
    """What one forward pass of one input costs, and what the network weighs.

    Attributes:
        macs: multiply-accumulates of all convolutions and linear layers, zeros included.
        macs_nonzero: without those whose weight is zero.
        parameters: biases and BatchNorm included; a shared parameter counts once.
        parameters_nonzero: those that are not zero.
        bytes: parameters and buffers in memory.
        file_bytes: of the safetensors file that holds them.
        peak_activation_bytes: of all activations that live at one time, at most, while one input
            goes through; see :func:`robench.measure.activations.peak_activation_bytes`.
        layers: one entry a layer, in the order of the calls.
    """

    macs: int
    macs_nonzero: int
    parameters: int
    parameters_nonzero: int
    bytes: int
    file_bytes: int
    peak_activation_bytes: int
    layers: tuple[LayerOperations, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as JSON takes it."""
        return asdict(self)


def count_operations(model: nn.Module, example: Tensor) -> Operations:
    """Count what the convolutions and linear layers of a network do for one input.

    Biases, BatchNorm, activations and pooling are not counted, as is the custom of the papers on
    pruning, nor is arithmetic outside Conv1d, Conv2d, Conv3d and Linear modules. At a padded
    border every kernel position counts.

    Args:
        model: in evaluation mode, on the device of the example.
        example: a batch as the network takes it; only its first input is used.

    Raises:
        InputError: the network is in training mode, or does not take the example.
    """
    if model.training:
        raise InputError(f"{type(model).__name__} is in training mode", hint="model.eval()")
    counted = {name: part for name, part in model.named_modules() if isinstance(part, _Counted)}
    layers = []
    for name, count in _output_positions(model, counted, example[:1]).items():
        weight = counted[name].weight
        macs, macs_nonzero = weight.numel() * count, int(weight.count_nonzero()) * count
        layers.append(LayerOperations(name, macs, macs_nonzero))
    return Operations(
        macs=sum(layer.macs for layer in layers),
        macs_nonzero=sum(layer.macs_nonzero for layer in layers),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        parameters_nonzero=sum(int(value.count_nonzero()) for value in model.parameters()),
        bytes=model_bytes(model),
        file_bytes=file_bytes(model),
        peak_activation_bytes=peak_activation_bytes(model, example[:1]),
        layers=tuple(layers),
    )


def model_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers in memory; what is shared counts once."""
    held = chain(model.parameters(), model.buffers())
    return sum(part.nbytes for value in held for part in _parts(value).values())


def file_bytes(model: nn.Module) -> int:
    """Bytes of a safetensors file of the state; what is shared counts once, zeros count in full."""
    seen: set[int] = set()
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        for part, tensor in _parts(value).items():
            place = tensor.untyped_storage().data_ptr()
            if not tensor.numel() or place not in seen:
                tensors[name + part] = tensor.detach().cpu().contiguous()
            seen.add(place)
    return len(serialise(tensors))


def _parts(value: Tensor) -> dict[str, Tensor]:
    """What a tensor lies in: itself, or the three tensors of compressed sparse rows."""
    if value.layout != torch.sparse_csr:
        return {"": value}
    return {
        ".rows": value.crow_indices(),
        ".columns": value.col_indices(),
        ".values": value.values(),
    }


def _output_positions(
    model: nn.Module, counted: dict[str, _Counted], inputs: Tensor
) -> Counter[str]:
    """How many output positions each layer computes: height times width for a Conv2d."""
    positions: Counter[str] = Counter()

    def watch(name: str, layer: _Counted) -> None:
        def note(_: nn.Module, __: tuple[Tensor, ...], written: Tensor) -> None:
            positions[name] += written.numel() // len(layer.weight)

        hooks.callback(layer.register_forward_hook(note).remove)

    with ExitStack() as hooks, torch.no_grad():
        for name, layer in counted.items():
            watch(name, layer)
        try:
            model(inputs.clone())
        except (RuntimeError, ValueError, IndexError) as error:
            raise InputError(
                f"{type(model).__name__} does not take an example of shape "
                f"{tuple(inputs.shape)}: {error}",
                hint="give a batch as the network was trained on, batch first, on its device",
            ) from error
    return positions
