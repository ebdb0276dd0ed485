"""Time single convolutions at published sparsities against their dense selves."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn
from torch.nn import functional as F

from robench.compaction.surgery import shrink_layer
from robench.deploy.autotune import fastest, timed
from robench.deploy.backends import has_kernel
from robench.deploy.columns import apply_columns, choose_columns
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.errors import CompactionError
from robench.measure.latency import LatencySample, sample_latency, stopwatch_for
from robench.measure.machine import check_machine
from robench.reference.wen2016 import CONVOLUTIONS, ENTRIES, Convolution, Entry
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.declarations.layers import LayerOptions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["layers"]

Call: TypeAlias = Callable[[], object]

_TOLERANCE = 1e-3
_PAIRS = {"layer": ("dense", "sparse"), "product": ("dense product", "sparse product")}
"""What is compared: whole layers, and the matrix product alone, as the authors did."""


def layers(cell: Cell, context: Context) -> Outcome:
    """One convolution of AlexNet: dense, and sparse as one row of the authors' table has it.

    Weights and maps are drawn at random, and so is which rows, columns or weights are zero: how
    long dense kernels take does not depend on it.
    """
    options = cell.options_as(LayerOptions)
    check_machine(options.machine, cell.device)
    (shape,) = (shape for shape in CONVOLUTIONS if shape.name == options.layer)
    (entry,) = (entry for entry in ENTRIES if entry.row == options.row)
    generator = torch.Generator().manual_seed(cell.seed_for("evaluate"))
    conv, kept = sparse_convolution(shape, entry, generator)
    maps_shape = (options.batch_size, shape.channels, shape.maps_px, shape.maps_px)
    maps = torch.rand(maps_shape, generator=generator)
    conv, maps = conv.to(context.device), maps.to(context.device)
    with torch.inference_mode():
        layer, form = _sparse_layer(conv, kept, maps, entry)
        calls = {
            "dense": lambda: conv(maps),
            "sparse": layer,
            **_products(conv, kept, maps, entry),
        }
        stopwatch = stopwatch_for(context.device)
        sample = sample_latency(calls, repeats=options.repeats, stopwatch=stopwatch)
    is_noisy = sample.status == "noisy"
    return Outcome(
        metrics=(
            Metric(name="level_achieved", value=float((conv.weight == 0).float().mean())),
            *(() if is_noisy else _times(sample, options.batch_size)),
        ),
        details={"form": form, "noise": sample.noise},
        status=sample.status,
        reason="latency varied too much" if is_noisy else None,
    )


def sparse_convolution(
    shape: Convolution, entry: Entry, generator: torch.Generator
) -> tuple[nn.Conv2d, Tensor]:
    """A convolution with as many zeros as published, and bool [filters], which rows are left.

    Rows and columns are taken from each group alike, and rather too few than too many of them:
    columns are those of a group, as the authors formed them.
    """
    conv = nn.Conv2d(
        shape.channels, shape.filters, shape.kernel_px, shape.stride, shape.padding,
        groups=shape.groups, bias=False,
    ).eval()  # fmt: skip
    place = CONVOLUTIONS.index(shape)
    kept = torch.ones(shape.groups, shape.filters // shape.groups, dtype=torch.bool)
    with torch.no_grad():
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
        for matrix, rows in zip(_matrices(conv), kept, strict=True):
            rows[_some(rows.numel(), entry.rows[place], shape.groups, generator)] = False
            matrix[~rows] = 0
            matrix[:, _some(matrix.shape[1], entry.columns[place], shape.groups, generator)] = 0
        weights = conv.weight.view(-1)
        weights[_some(weights.numel(), entry.sparsity[place], 1, generator)] = 0
    return conv, kept.flatten()


def _some(count: int, percent: float, groups: int, generator: torch.Generator) -> Tensor:
    """Places 0 … count - 1 of a group, at random: its part of that share of all groups' places."""
    chosen = round(groups * count * percent / 100) // groups
    return torch.randperm(count, generator=generator)[:chosen]


def _matrices(conv: nn.Conv2d) -> Tensor:
    """The weight as a matrix for each group: [groups, rows, columns]."""
    return conv.weight.detach().view(conv.groups, conv.out_channels // conv.groups, -1)


def _sparse_layer(conv: nn.Conv2d, kept: Tensor, maps: Tensor, entry: Entry) -> tuple[Call, str]:
    """The whole layer as sparsity lets it be computed, and the name of that form."""
    if entry.method == "l1":
        return _layer_of_single_weights(conv, maps)
    smaller = copy.deepcopy(conv)
    shrink_layer(smaller, kept, torch.ones(conv.in_channels, dtype=torch.bool))
    network = nn.Sequential(smaller).eval()
    with torch.inference_mode(mode=False):
        choices = choose_columns(network, maps.clone(), narrowed={"0"})
        apply_columns(network, choices)
    _check_equal(network(maps), conv(maps)[:, kept], "the compacted layer")
    return lambda: network(maps), choices[0].form if choices else "dense"


def _layer_of_single_weights(conv: nn.Conv2d, maps: Tensor) -> tuple[Call, str]:
    """The layer by the quickest of what skips single zeros, and its name."""
    forms: dict[str, Callable[[Tensor], Tensor]] = {"csr": _csr_layer(conv)}
    if has_kernel(conv, maps):
        forms["scattered"] = ScatteredConv2d(conv, (maps.shape[1], maps.shape[2], maps.shape[3]))
    for name, form in forms.items():
        _check_equal(form(maps), conv(maps), f"the {name} layer")
    name = fastest(timed(forms, maps), least_gain=1.0) if len(forms) > 1 else "csr"
    best = forms[name]
    return lambda: best(maps), name


def _csr_layer(conv: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """The layer by lowering and a product of a sparse matrix."""
    weights = [_compressed(matrix) for matrix in _matrices(conv)]

    def call(maps: Tensor) -> Tensor:
        parts = [weight @ part for weight, part in zip(weights, _lowered(conv, maps), strict=True)]
        size = [
            (extent + 2 * beside - kernel) // stride + 1
            for extent, beside, kernel, stride in zip(
                maps.shape[2:], _padding(conv), conv.kernel_size, conv.stride, strict=True
            )
        ]
        return torch.cat(parts).view(conv.out_channels, len(maps), *size).transpose(0, 1)

    return call


def _compressed(matrix: Tensor) -> Tensor:
    """The matrix in compressed sparse rows, which torch calls beta at their first use."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return matrix.to_sparse_csr()


def _products(conv: nn.Conv2d, kept: Tensor, maps: Tensor, entry: Entry) -> dict[str, Call]:
    """The matrix products alone, of maps that were lowered before."""
    matrices, lowered = _matrices(conv), _lowered(conv, maps)
    dense = list(zip(matrices, lowered, strict=True))
    if entry.method == "l1":
        sparse = [(_compressed(matrix), part) for matrix, part in dense]
    else:
        rows, columns = kept.view(conv.groups, -1), (matrices != 0).any(1)
        sparse = [
            (matrix[own][:, used].contiguous(), part[used].contiguous())
            for (matrix, part), own, used in zip(dense, rows, columns, strict=True)
        ]
    return {
        "dense product": lambda: [matrix @ part for matrix, part in dense],
        "sparse product": lambda: [matrix @ part for matrix, part in sparse],
    }


def _lowered(conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """The maps as matrices [groups, columns, positions], to be multiplied by the weight."""
    unfolded = F.unfold(maps, conv.kernel_size, padding=_padding(conv), stride=conv.stride)
    matrix = unfolded.transpose(0, 1).flatten(1)
    return matrix.reshape(conv.groups, -1, matrix.shape[1])


def _padding(conv: nn.Conv2d) -> tuple[int, ...]:
    return (0, 0) if isinstance(conv.padding, str) else conv.padding


def _check_equal(found: Tensor, expected: Tensor, what: str) -> None:
    difference = float((found - expected).abs().amax())
    if difference > _TOLERANCE * max(1.0, float(expected.abs().amax())):
        raise CompactionError(f"{what} differs from the dense layer by {difference:.3g}")


def _times(sample: LatencySample, batch_size: int) -> Iterator[Metric]:
    for measure, (slow, quick) in _PAIRS.items():
        for network, name in (("dense", slow), ("sparse", quick)):
            latency = sample.latency(name)
            condition = {"measure": measure, "network": network, "batch_size": batch_size}
            for metric, value in (
                ("latency_ms", latency.median_ms),
                ("latency_iqr_ms", latency.iqr_ms),
            ):
                yield Metric(name=metric, value=value, n=latency.repeats, condition=condition)
        found = sample.speed_up(slow, quick)
        yield Metric(
            name="speedup",
            value=found.value,
            n=found.blocks,
            low=found.low,
            high=found.high,
            condition={"measure": measure, "batch_size": batch_size},
        )
