"""Proof by evaluation that two networks compute the same function and have the same gradients.

A robustness benchmark attacks the compacted network, so its input gradients must be those of the
original as well. The inputs are the given ones and random ones over their range; some that are
dark, inverted, negative or larger than any given one; and random ones of other image sizes, since
equality at one size, scale or sign does not imply it at others. Gradients are compared at the given
inputs plus noise of a thousandth of their range: in flat image regions the pixels of a max-pooling
window tie exactly, and rounding decides which of them gets the gradient.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import asdict, astuple
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robench.errors import CompactionError, InputError
from robench.graph.budget import shown
from robench.graph.differences import Differences
from robench.graph.observe import input_gradient, observe, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["prove_equal", "prove_equal_at_sizes", "worst"]

_TOLERANCE_FLOAT64 = 1e-9
_TOLERANCE_FLOAT32 = 1e-4
_RANDOM_SAMPLES = 16
_FEWEST_RANDOM_SAMPLES = 4
_RANDOM_NUMBERS = 2**18
"""Largest number of elements of all random inputs together. Fewer large images are drawn, since
a proof in double precision would take too long."""
_NUMBERS_AT_ONCE = 2**20
"""Largest number of elements of the inputs of one pass, which limits the memory."""
_DITHER = 1e-3
_DARK = 0.05
"""Contrast of a dark image, as a share of the original contrast."""
_BRIGHT = 4.0
# Below these values, differences are absolute, since relative ones would be meaningless.
_LEAST_LOGIT = 1.0
_LEAST_GRADIENT = 1e-6
# In a large network every input is at some ReLU's kink within single precision. Gradients may
# then differ by the rounding error of the original, to which both networks contribute.
_ROUNDING_MARGIN = 4

_ALL = slice(None)
_Pair = tuple[nn.Module, nn.Module]


def prove_equal(
    original: nn.Module,
    compacted: nn.Module,
    kept: Mapping[str, Tensor],
    example: Tensor,
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
        four times what rounding alone does to those of the original. Other scales and signs are
        compared in double precision.

    Raises:
        InputError: the original has no gradient.
        CompactionError: a difference is larger, or not a number, or the compacted network does not
            run; names the first layer in whose outputs it shows.
    """
    outputs_at, gradients_at = _probes(example)
    doubles = (original, compacted)
    singles = (copy.deepcopy(original).float(), copy.deepcopy(compacted).float())
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        # The longest step last, so that the progress bar appears early.
        steps = [
            *(
                partial(_compare_doubles, doubles, kept, inputs)
                for inputs in _scaled_probes(example)
            ),
            partial(_compare, doubles, singles, kept, outputs_at, gradients_at),
        ]
        return worst([step() for step in shown(steps, "comparing the networks")])


def prove_equal_at_sizes(
    original: nn.Module,
    compacted: nn.Module,
    kept: Mapping[str, Tensor],
    example: Tensor,
    sizes: Iterable[tuple[int, ...]],
) -> Differences:
    """Compare logits and input gradients of images of other sizes, in double precision.

    Args:
        original: float64, evaluation mode.
        compacted: float64, evaluation mode; neither network is changed.
        kept: layer → bool [units], which of its units the compacted network has.
        example: real inputs, float64[N, …], whose range is taken.
        sizes: [H, W] each, that the original takes.

    Raises:
        CompactionError: as :func:`prove_equal`.
    """
    pair, none = (original, compacted), Differences(0.0, 0.0, 0.0, 0.0)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        probes = shown(list(_sized_probes(example, sizes)), "comparing the networks at other sizes")
        return worst([none, *(_compare_doubles(pair, kept, inputs) for inputs in probes)])


def worst(found: Sequence[Differences]) -> Differences:
    """The largest of each difference."""
    return Differences(*map(max, zip(*map(astuple, found), strict=True)))


def _compare(
    doubles: _Pair,
    singles: _Pair,
    kept: Mapping[str, Tensor],
    outputs_at: Tensor,
    gradients_at: Tensor,
) -> Differences:
    logits = _logits(doubles, outputs_at)
    logits_single = _logits(singles, outputs_at.float())
    gradients = _gradients(doubles, gradients_at)
    gradients_single = _gradients(singles, gradients_at.float())
    scale = max(_largest(logits[0]), _LEAST_LOGIT)
    rounding = _typical_gap(gradients[0].float(), gradients_single[0])
    found = Differences(
        logits_float64=_largest(logits[0] - logits[1]),
        logits_float32=_largest(logits_single[0] - logits_single[1]),
        gradients_float64=_share(*gradients),
        gradients_float32=_typical_gap(*gradients_single),
    )
    allowed = Differences(
        logits_float64=_TOLERANCE_FLOAT64 * scale,
        logits_float32=_TOLERANCE_FLOAT32 * scale,
        gradients_float64=_TOLERANCE_FLOAT64,
        gradients_float32=max(_TOLERANCE_FLOAT32, _ROUNDING_MARGIN * rounding),
    )
    _refuse_larger(found, allowed, doubles, kept, outputs_at)
    return found


def _compare_doubles(doubles: _Pair, kept: Mapping[str, Tensor], inputs: Tensor) -> Differences:
    """Compare where the original is finite: it may be undefined far from its usual inputs."""
    logits, gradients = _logits(doubles, inputs), _gradients(doubles, inputs)
    defined, steep = logits[0].isfinite(), gradients[0].isfinite()
    scale = max(_largest(logits[0][defined]), _LEAST_LOGIT)
    found = Differences(
        logits_float64=_largest((logits[0] - logits[1])[defined]),
        logits_float32=0.0,
        gradients_float64=_share(gradients[0][steep], gradients[1][steep]),
        gradients_float32=0.0,
    )
    allowed = Differences(_TOLERANCE_FLOAT64 * scale, 0.0, _TOLERANCE_FLOAT64, 0.0)
    _refuse_larger(found, allowed, doubles, kept, inputs)
    return found


def _refuse_larger(
    found: Differences,
    allowed: Differences,
    pair: _Pair,
    kept: Mapping[str, Tensor],
    inputs: Tensor,
) -> None:
    for name, tolerance in asdict(allowed).items():
        difference = getattr(found, name)
        if difference <= tolerance:  # NaN fails this comparison
            continue
        layer, (what, precision) = _first_difference(pair, kept, inputs), name.split("_")
        raise CompactionError(
            f"compaction changed the network at {layer!r}: {what} differ by {difference:.3g} "
            f"in {precision} on inputs of shape {tuple(inputs.shape[1:])}",
            where=layer,
            allowed=f"differences up to {tolerance:.3g}",
            hint=f"{_cause(pair[0], inputs)}; the original is unchanged",
        )


def _cause(original: nn.Module, inputs: Tensor) -> str:
    """Likely cause of a difference, from the original alone."""
    first, second = _logits((original, original), inputs)
    if not torch.equal(first.nan_to_num(), second.nan_to_num()):
        return (
            f"the original itself differs by {_largest(first - second):.3g} from one pass to the "
            "next: make it deterministic in evaluation mode"
        )
    return (
        "the original is deterministic, so look into forward() for something that cannot be "
        "followed through its steps, such as a number of channels (x.shape[1]) or a weight of "
        "another layer that it reads"
    )


def _probes(example: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs at which to compare logits, and inputs at which to compare gradients."""
    generator = torch.Generator().manual_seed(0)
    low, span = _range(example)
    drawn = low + span * _uniform(generator, example, _random_samples(example))
    dithered = example + _DITHER * span * (_uniform(generator, example, len(example)) - 0.5)
    return torch.cat([example, drawn]), torch.cat([dithered, drawn])


def _random_samples(example: Tensor) -> int:
    fitting = _RANDOM_NUMBERS // example[0].numel()
    return min(max(fitting, _FEWEST_RANDOM_SAMPLES), _RANDOM_SAMPLES)


def _scaled_probes(example: Tensor) -> Iterator[Tensor]:
    """An example and a random input: dark, inverted, negative, and brighter than any given one."""
    generator = torch.Generator().manual_seed(2)
    low, span = _range(example)
    one = example[:1] + _DITHER * span * (_uniform(generator, example, 1) - 0.5)
    for base in (one, low + span * _uniform(generator, example, 1)):
        dark, inverted = low + _DARK * (base - low), 2 * low + span - base
        yield torch.cat([dark, inverted, -base, _BRIGHT * base])


def _sized_probes(example: Tensor, sizes: Iterable[tuple[int, ...]]) -> Iterator[Tensor]:
    """Random images of other sizes, one of them dark."""
    generator = torch.Generator().manual_seed(3)
    low, span = _range(example)
    for size in sizes:
        like = example.new_empty(1, example.shape[1], *size)
        drawn = low + span * _uniform(generator, like, 2)
        yield torch.cat([drawn, low + _DARK * (drawn[:1] - low)])


def _range(example: Tensor) -> tuple[Tensor, float]:
    low = example.amin()
    return low, float(example.amax() - low) or 1.0


def _uniform(generator: torch.Generator, like: Tensor, count: int) -> Tensor:
    shape = (count, *like.shape[1:])
    return torch.rand(shape, generator=generator, dtype=like.dtype).to(like.device)


def _logits(pair: _Pair, inputs: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        expected = _in_parts(run, pair[0], inputs)
        with _running(pair[1]):
            return expected, _in_parts(run, pair[1], inputs)


def _gradients(pair: _Pair, inputs: Tensor) -> tuple[Tensor, Tensor]:
    expected = _in_parts(input_gradient, pair[0], inputs)
    with _running(pair[1]):
        return expected, _in_parts(input_gradient, pair[1], inputs)


def _in_parts(
    answer: Callable[[nn.Module, Tensor], Tensor], model: nn.Module, inputs: Tensor
) -> Tensor:
    count = max(1, _NUMBERS_AT_ONCE // inputs[0].numel())
    answers = [answer(model, part) for part in torch.split(inputs, count)]
    return torch.cat(answers) if len(answers) > 1 else answers[0]


@contextmanager
def _running(compacted: nn.Module) -> Iterator[None]:
    """Turn a failure of the compacted network alone into a :class:`CompactionError`."""
    try:
        yield
    except InputError as error:
        raise CompactionError(
            f"the compacted {type(compacted).__name__} does not run where the original does: "
            f"{error.__cause__ or error.what}",
            hint="forward() probably has a width written into it; ask the tensors, as in "
            "x.flatten(1); the original is unchanged",
        ) from error


def _share(expected: Tensor, got: Tensor) -> float:
    """Largest difference, relative to the largest gradient."""
    return _largest(expected - got) / max(_largest(expected), _LEAST_GRADIENT)


def _largest(values: Tensor) -> float:
    return float(values.abs().amax()) if values.numel() else 0.0


def _typical_gap(expected: Tensor, got: Tensor) -> float:
    """Median over samples of the relative l2 difference."""
    norms = torch.linalg.vector_norm(expected.flatten(1), dim=1).clamp(min=_LEAST_GRADIENT)
    gaps = torch.linalg.vector_norm((expected - got).flatten(1), dim=1)
    return float((gaps / norms).median())


def _first_difference(pair: _Pair, kept: Mapping[str, Tensor], inputs: Tensor) -> str:
    """Name of the first layer whose kept outputs differ, else the last layer, else the network."""
    expected, got = (observe(model, kept, inputs) for model in pair)
    for name, units in kept.items():
        # Linear has its features last, whatever lies before them.
        own = (..., units) if isinstance(pair[0].get_submodule(name), nn.Linear) else (_ALL, units)
        before = expected[name][1][own]
        gap = _largest(before - got[name][1])
        if not gap <= _TOLERANCE_FLOAT64 * max(_largest(before), _LEAST_LOGIT):
            return name
    return list(kept)[-1] if kept else type(pair[0]).__name__
