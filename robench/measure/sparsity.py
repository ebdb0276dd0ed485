"""Sparsity of a network, by the measures of the literature.

The main measure is the share of zeros among all prunable weights (pruning ratio). Others: per
layer, convolutions only, and groups in the matrix view of Wen et al. 2016 (arXiv:1608.03665), in
which a row is a filter or neuron and a column a shape fibre or an input feature.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from robench.models.base import prunable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

__all__ = ["LayerSparsity", "SparsityReport", "sparsity_report"]


@dataclass(frozen=True)
class LayerSparsity:
    """Zeros of one prunable weight, seen as a matrix: rows by columns.

    Attributes:
        name: qualified name of the parameter.
        weights: number of weights.
        zeros: number of exact zeros.
        rows: number of filters or neurons.
        zero_rows: rows of zeros only.
        columns: number of positions (channel, height, width) of a filter, or of input features.
        zero_columns: columns of zeros only.
        inputs: number of input channels or features.
        zero_inputs: inputs with zero weights only.
        is_convolution: whether the weight belongs to a convolution.
    """

    name: str
    weights: int
    zeros: int
    rows: int
    zero_rows: int
    columns: int
    zero_columns: int
    inputs: int
    zero_inputs: int
    is_convolution: bool

    @property
    def level(self) -> float:
        """Zeros over weights, in [0, 1]."""
        return self.zeros / self.weights


@dataclass(frozen=True)
class SparsityReport:
    """Zeros of a network.

    Attributes:
        level: share of zeros among all prunable weights; the canonical measure.
        level_convolutions: the same for convolutions only; ``None`` without convolutions.
        parameters: number of parameters, biases and BatchNorm included.
        parameters_nonzero: number of nonzero parameters.
        dead_inputs: inputs of the first prunable layer (pixels of an MLP, features of a table,
            channels of a convolution) that nothing reads.
        layers: one entry per prunable weight, in module order.
    """

    level: float
    level_convolutions: float | None
    parameters: int
    parameters_nonzero: int
    dead_inputs: int
    layers: tuple[LayerSparsity, ...]

    @property
    def rows_zero(self) -> float:
        """Share of all rows (filters and neurons) without any weight, in [0, 1]."""
        return _share((layer.zero_rows, layer.rows) for layer in self.layers)

    @property
    def columns_zero(self) -> float:
        """Share of all columns (shape fibres and inputs) that no row uses, in [0, 1]."""
        return _share((layer.zero_columns, layer.columns) for layer in self.layers)

    @property
    def neurons_removed(self) -> float:
        """Share of the filters and neurons below the last layer without any weight, in [0, 1]."""
        return _share((layer.zero_rows, layer.rows) for layer in self.layers[:-1])

    @property
    def dead_inputs_share(self) -> float:
        """`dead_inputs` over the inputs of the first prunable layer, in [0, 1]."""
        return _share((layer.zero_inputs, layer.inputs) for layer in self.layers[:1])

    def to_json(self) -> dict[str, Any]:
        """Plain data, as JSON takes it."""
        return asdict(self)


def sparsity_report(model: nn.Module) -> SparsityReport:
    """Count the exact zeros of a network by every measure.

    Args:
        model: any network; its prunable weights are those of
            :func:`robench.models.base.prunable`. With none, the level is 0.
    """
    layers = tuple(_layer(name, weight.detach()) for name, weight in prunable(model).items())
    convolutions = tuple(layer for layer in layers if layer.is_convolution)
    return SparsityReport(
        level=_level(layers),
        level_convolutions=_level(convolutions) if convolutions else None,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        parameters_nonzero=sum(int(value.count_nonzero()) for value in model.parameters()),
        dead_inputs=layers[0].zero_inputs if layers else 0,
        layers=layers,
    )


def _level(layers: tuple[LayerSparsity, ...]) -> float:
    return _share((layer.zeros, layer.weights) for layer in layers)


def _share(counts: Iterable[tuple[int, int]]) -> float:
    """Sum of the first numbers over sum of the second ones; 0 if there are none."""
    parts = list(counts)
    whole = sum(size for _, size in parts)
    return sum(part for part, _ in parts) / whole if whole else 0.0


def _layer(name: str, weight: Tensor) -> LayerSparsity:
    alive = weight != 0
    by_column = alive.flatten(1)
    by_input = alive.transpose(0, 1).flatten(1)
    return LayerSparsity(
        name=name,
        weights=weight.numel(),
        zeros=int((~alive).sum()),
        rows=len(weight),
        zero_rows=int((~by_column.any(1)).sum()),
        columns=by_column.shape[1],
        zero_columns=int((~by_column.any(0)).sum()),
        inputs=len(by_input),
        zero_inputs=int((~by_input.any(1)).sum()),
        is_convolution=weight.ndim > 2,
    )
