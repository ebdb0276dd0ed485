"""Multiply-accumulates, parameters and bytes of a network.

The usual tools ignore zeros: a network with 90 % zeros gets the same number. Here a zero weight is
skipped wherever it is used, which is what a perfect sparse kernel would do and a dense one does
not. The unit is the multiply-accumulate (MAC), half of what others call a FLOP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import Tensor, nn

from robench.measure.activations import peak_activation_bytes
from robench.measure.checks import answer, check_example, check_network
from robench.measure.multiplications import multiplications

__all__ = ["LayerOperations", "Operations", "count_operations", "file_bytes", "model_bytes"]


@dataclass(frozen=True)
class LayerOperations:
    """Multiply-accumulates of one module for one input, those of its own parts left out.

    Attributes:
        name: qualified name; ``""`` for what the network computes outside of its parts.
        macs: zeros included.
        macs_nonzero: without those whose weight is zero.
    """

    name: str
    macs: int
    macs_nonzero: int


@dataclass(frozen=True)
class Operations:
    """What one forward pass of one input costs, and what the network weighs.

    Attributes:
        macs: multiply-accumulates of all products and convolutions, zeros included.
        macs_nonzero: without those whose weight is zero.
        parameters: biases and BatchNorm included; a shared parameter counts once.
        parameters_nonzero: those that are not zero.
        bytes: parameters and buffers in memory.
        file_bytes: of the safetensors file that holds them.
        peak_activation_bytes: of all activations that live at one time, at most, while one input
            goes through; see :func:`robench.measure.activations.peak_activation_bytes`.
        layers: one entry for each module that multiplies, in the order of the calls.
        uncounted: operator of torch → calls of it that may multiply, and that are not in `macs`.
    """

    macs: int
    macs_nonzero: int
    parameters: int
    parameters_nonzero: int
    bytes: int
    file_bytes: int
    peak_activation_bytes: int
    layers: tuple[LayerOperations, ...]
    uncounted: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as JSON takes it."""
        return asdict(self)


def count_operations(model: nn.Module, example: Tensor) -> Operations:
    """Count what a network multiplies and adds up for one input.

    Convolutions, transposed ones too, and products of matrices, whether a module, a function or an
    operator asks for them: recurrent layers, attention, ``einsum``, ``@``. Biases, normalisation,
    activations, pooling and resizing are not counted, as is the custom of the papers on pruning. At
    a padded border every kernel position counts. Zeros are those of a factor that comes from the
    parameters alone. What torch's own counter does not know either is listed as `uncounted`.

    Args:
        model: in evaluation mode, on the device of the example.
        example: a batch as the network takes it; only its first input is used.

    Raises:
        InputError: the network is in training mode, does not take the example or gives no tensor.
    """
    check_network(model)
    check_example(example)
    answer(model, example[:1])
    found = multiplications(model, example[:1])
    layers = tuple(
        LayerOperations(name, macs, found.macs_nonzero[name]) for name, macs in found.macs.items()
    )
    return Operations(
        macs=sum(layer.macs for layer in layers),
        macs_nonzero=sum(layer.macs_nonzero for layer in layers),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        parameters_nonzero=sum(int(value.count_nonzero()) for value in model.parameters()),
        bytes=model_bytes(model),
        file_bytes=file_bytes(model),
        peak_activation_bytes=peak_activation_bytes(model, example[:1]),
        layers=layers,
        uncounted=dict(found.uncounted),
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
