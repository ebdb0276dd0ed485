"""Proof by evaluation that two networks compute the same function and have the same gradients.

A robustness benchmark attacks the compacted network, so its input gradients must be those of the
original as well. The inputs are the given ones and random ones over their range. Gradients are
taken beside the given inputs, a thousandth of their range away: on flat image regions max-pooling
windows tie exactly, and the gradient of a tie is whichever pixel rounding prefers.
"""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robench.compaction.observe import observe, run
from robench.compaction.report import Differences
from robench.errors import CompactionError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["prove_equal"]

_TOLERANCE_FLOAT64 = 1e-9
_TOLERANCE_FLOAT32 = 1e-4
_RANDOM_SAMPLES = 16
_DITHER = 1e-3
# Below these, differences count absolutely: a share of nothing means nothing.
_LEAST_LOGIT = 1.0
_LEAST_GRADIENT = 1e-6
# In a large network every input sits on some unit's kink within single precision. Gradients may
# then differ by as much as the original's own rounding, of which two networks have a share each.
_ROUNDING_MARGIN = 4

_ALL = slice(None)
_Pair = tuple[nn.Module, nn.Module]


def prove_equal(
    original: nn.Module, compacted: nn.Module, kept: Mapping[str, Tensor], example: Tensor
) -> Differences:
    """Compare logits and input gradients, in double and in single precision.

    Args:
        original: float64, evaluation mode.
        compacted: float64, evaluation mode; neither network is changed.
        kept: layer → bool [units], which of its units the compacted network has.
        example: real inputs, float64[N, …].

    Returns:
        The differences. All are within 1e-9 (float64) and 1e-4 (float32), those of the logits
        relative to the largest logit where that exceeds 1; gradients in float32 may also differ by
        four times what rounding alone does to those of the original.

    Raises:
        CompactionError: a difference is larger, or not a number; names the first layer in whose
            outputs it shows.
    """
    outputs_at, gradients_at = _probes(example)
    doubles = (original, compacted)
    singles = (copy.deepcopy(original).float(), copy.deepcopy(compacted).float())
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        logits = _logits(doubles, outputs_at)
        logits_single = _logits(singles, outputs_at.float())
        gradients = _gradients(doubles, gradients_at)
        gradients_single = _gradients(singles, gradients_at.float())
    found = Differences(
        logits_float64=_largest(logits[0] - logits[1]),
        logits_float32=_largest(logits_single[0] - logits_single[1]),
        gradients_float64=_largest(gradients[0] - gradients[1])
        / max(_largest(gradients[0]), _LEAST_GRADIENT),
        gradients_float32=_typical_gap(*gradients_single),
    )
    scale = max(_largest(logits[0]), _LEAST_LOGIT)
    rounding = _typical_gap(gradients[0].float(), gradients_single[0])
    allowed = Differences(
        logits_float64=_TOLERANCE_FLOAT64 * scale,
        logits_float32=_TOLERANCE_FLOAT32 * scale,
        gradients_float64=_TOLERANCE_FLOAT64,
        gradients_float32=max(_TOLERANCE_FLOAT32, _ROUNDING_MARGIN * rounding),
    )
    for name, tolerance in asdict(allowed).items():
        difference = getattr(found, name)
        if not difference <= tolerance:  # not a number exceeds everything
            layer = _first_difference(doubles, kept, outputs_at)
            raise _refusal(name, difference, tolerance, layer)
    return found


def _refusal(name: str, difference: float, tolerance: float, layer: str) -> CompactionError:
    what, precision = name.split("_")
    return CompactionError(
        f"compaction changed the network at {layer!r}: {what} differ by {difference:.3g} "
        f"in {precision}",
        where=layer,
        allowed=f"differences up to {tolerance:.3g}",
        hint="the network must be deterministic in evaluation mode; the original is unchanged",
    )


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


def _logits(pair: _Pair, inputs: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return run(pair[0], inputs), run(pair[1], inputs)


def _gradients(pair: _Pair, inputs: Tensor) -> tuple[Tensor, Tensor]:
    return _input_gradient(pair[0], inputs), _input_gradient(pair[1], inputs)


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


def _largest(values: Tensor) -> float:
    return float(values.abs().amax())


def _typical_gap(expected: Tensor, got: Tensor) -> float:
    """Median over samples of the relative l2 difference."""
    norms = torch.linalg.vector_norm(expected.flatten(1), dim=1).clamp(min=_LEAST_GRADIENT)
    gaps = torch.linalg.vector_norm((expected - got).flatten(1), dim=1)
    return float((gaps / norms).median())


def _first_difference(pair: _Pair, kept: Mapping[str, Tensor], inputs: Tensor) -> str:
    """Name of the first layer whose remaining outputs differ, else of the last layer."""
    expected, got = (observe(model, kept, inputs) for model in pair)
    for name, units in kept.items():
        # Linear has its features last, whatever lies before them.
        own = (..., units) if isinstance(pair[0].get_submodule(name), nn.Linear) else (_ALL, units)
        before = expected[name][1][own]
        gap = _largest(before - got[name][1])
        if not gap <= _TOLERANCE_FLOAT64 * max(_largest(before), _LEAST_LOGIT):
            return name
    return list(kept)[-1]
