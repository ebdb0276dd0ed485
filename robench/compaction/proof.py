"""Proof by evaluation that two networks compute the same function and have the same gradients.

A robustness benchmark attacks the compacted network, so its input gradients must be those of the
original as well. The inputs are the given ones and random ones over their range. Gradients are
taken beside the given inputs, a thousandth of their range away: on flat image regions max-pooling
windows tie exactly, and the gradient of a tie is whichever pixel rounding prefers.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from robench.compaction.observe import observe_outputs, run
from robench.compaction.report import Differences
from robench.errors import CompactionError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.compaction.plan import LayerPlan

__all__ = ["prove_equal"]

_TOLERANCE_FLOAT64 = 1e-9
_TOLERANCE_FLOAT32 = 1e-4
_RANDOM_SAMPLES = 16
_DITHER = 1e-3
# Below these, differences count absolutely: a share of nothing means nothing.
_LEAST_LOGIT = 1.0
_LEAST_GRADIENT = 1e-6


def prove_equal(
    original: nn.Module, compacted: nn.Module, plans: list[LayerPlan], example: Tensor
) -> Differences:
    """Compare logits and input gradients, in double and in single precision.

    Args:
        original: float64, evaluation mode.
        compacted: float64, evaluation mode; neither network is changed.
        plans: what was done, one a layer.
        example: real inputs, float64[N, …].

    Returns:
        The differences. All are within 1e-9 (float64) and 1e-4 (float32), those of the logits
        relative to the largest logit where that exceeds 1.

    Raises:
        CompactionError: a difference is larger, or not a number; names the first layer in whose
            outputs it shows.
    """
    probes = _probes(example)
    double = _differences((original, compacted), plans, probes, _TOLERANCE_FLOAT64)
    singles = (copy.deepcopy(original).float(), copy.deepcopy(compacted).float())
    probes = (probes[0].float(), probes[1].float())
    single = _differences(singles, plans, probes, _TOLERANCE_FLOAT32)
    return Differences(double[0], single[0], double[1], single[1])


def _probes(example: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs at which to compare logits, and inputs at which to compare gradients."""
    generator = torch.Generator().manual_seed(0)

    def uniform(count: int) -> Tensor:
        shape = (count, *example.shape[1:])
        return torch.rand(shape, generator=generator, dtype=example.dtype).to(example.device)

    low = example.amin()
    span = float(example.amax() - low) or 1.0
    drawn = low + span * uniform(_RANDOM_SAMPLES)
    dithered = example + _DITHER * span * (uniform(len(example)) - 0.5)
    return torch.cat([example, drawn]), torch.cat([dithered, drawn])


def _differences(
    pair: tuple[nn.Module, nn.Module],
    plans: list[LayerPlan],
    probes: tuple[Tensor, Tensor],
    tolerance: float,
) -> tuple[float, float]:
    """The differences of logits and gradients, refused where one exceeds the tolerance."""
    outputs_at, gradients_at = probes
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected, got = (run(model, outputs_at) for model in pair)
    logits = float((expected - got).abs().amax())
    scale = max(float(expected.abs().amax()), _LEAST_LOGIT)
    gradients = _gradient_difference(pair, gradients_at)
    if logits <= tolerance * scale and gradients <= tolerance:
        return logits, gradients
    layer = _first_difference(pair, plans, outputs_at, tolerance)
    raise CompactionError(
        f"compaction changed the network at {layer!r}: logits differ by {logits:.3g} "
        f"(largest logit {scale:.3g}), input gradients by {gradients:.3g} of their size",
        where=f"{layer}, {str(outputs_at.dtype).removeprefix('torch.')}",
        allowed=f"differences up to {tolerance:g}",
        hint="the network must be deterministic in evaluation mode; the original is unchanged",
    )


def _gradient_difference(pair: tuple[nn.Module, nn.Module], inputs: Tensor) -> float:
    """As :class:`robench.compaction.report.Differences` defines it for the precision."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected, got = (_input_gradient(model, inputs) for model in pair)
    if inputs.dtype == torch.float64:
        scale = max(float(expected.abs().amax()), _LEAST_GRADIENT)
        return float((expected - got).abs().amax()) / scale
    norms = torch.linalg.vector_norm(expected.flatten(1), dim=1).clamp(min=_LEAST_GRADIENT)
    gaps = torch.linalg.vector_norm((expected - got).flatten(1), dim=1)
    return float((gaps / norms).median())


def _input_gradient(model: nn.Module, inputs: Tensor) -> Tensor:
    """Gradient of a random projection of the logits, the same projection on each call."""
    with torch.enable_grad():
        leaf = inputs.clone().requires_grad_()
        logits = run(model, leaf)
        generator = torch.Generator().manual_seed(1)
        direction = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
        projected = (logits * direction.to(logits)).sum()
        (gradient,) = torch.autograd.grad(projected, leaf)
    return gradient


def _first_difference(
    pair: tuple[nn.Module, nn.Module], plans: list[LayerPlan], inputs: Tensor, tolerance: float
) -> str:
    """Name of the first layer whose remaining outputs differ, else of the last layer."""
    names = [plan.layer.name for plan in plans]
    expected, got = (observe_outputs(model, names, inputs) for model in pair)
    for plan in plans:
        before = expected[plan.layer.name][:, plan.kept]
        gap = float((before - got[plan.layer.name]).abs().amax())
        if not gap <= tolerance * max(float(before.abs().amax()), _LEAST_LOGIT):
            return plan.layer.name
    return names[-1]
