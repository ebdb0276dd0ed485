"""Multiply-accumulates, parameters and bytes of a network.

The usual tools ignore zeros: a network with 90 % zeros gets the same number. Here the MACs without
zero weights are counted as well, which a perfect sparse kernel would compute. The unit is the
multiply-accumulate (MAC): two FLOPs.
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
    """Multiply-accumulates of one module for one input, without those of its submodules.

    Attributes:
        name: qualified name; ``""`` for operators in the network's own forward().
        macs: multiply-accumulates, zeros included.
        macs_nonzero: multiply-accumulates without zero weights.
    """

    name: str
    macs: int
    macs_nonzero: int


@dataclass(frozen=True)
class Operations:
    """Cost of one forward pass of one input, and size of the network.

    Attributes:
        macs: multiply-accumulates of all products and convolutions, zeros included.
        macs_nonzero: multiply-accumulates without zero weights.
        parameters: number of parameters, biases and BatchNorm included; shared ones count once.
        parameters_nonzero: number of nonzero parameters.
        bytes: size of parameters and buffers in memory.
        file_bytes: size of the safetensors file that holds them.
        peak_activation_bytes: peak memory of the activations in a forward pass of one input; see
            :func:`robench.measure.activations.peak_activation_bytes`.
        layers: one entry per module with MACs, in the order of the calls.
        uncounted: operator of torch → number of its calls, if it may have MACs that `macs` lacks.
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
    """Count the multiply-accumulates (MACs) of a network for one input.

    Convolutions, transposed convolutions and matrix products are counted, whether called as module,
    function or operator: also recurrent layers, attention, ``einsum``, ``@``. Biases,
    normalisation, activations, pooling and resizing are not counted, as usual in papers on pruning.
    At a padded border every kernel position counts. Zeros are those of a factor that depends on
    parameters only. Operators that torch's counter does not know either are listed as `uncounted`.

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
    """Bytes of all parameters and buffers in memory; shared tensors count once."""
    held = chain(model.parameters(), model.buffers())
    return sum(part.nbytes for value in held for part in _parts(value).values())


def file_bytes(model: nn.Module) -> int:
    """Bytes of a safetensors file of the state; shared tensors count once, zeros in full."""
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
    """The tensor itself, or the three tensors of compressed sparse rows."""
    if value.layout != torch.sparse_csr:
        return {"": value}
    return {
        ".rows": value.crow_indices(),
        ".columns": value.col_indices(),
        ".values": value.values(),
    }
