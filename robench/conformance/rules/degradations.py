"""Rules of degradations, checked at each level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.common import (
    documented,
    globals_kept,
    imports_cleanly,
    tensors_kept,
)
from robench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from robench.conformance.subject import PluginSubject
    from robench.degradations.base import Degradation

__all__ = ["RULES"]

_SIDE = 24
_IMAGES = 5
_PRECISION = 1e-4


@rule("return a tensor of the same shape and dtype, clipped to [0, 1]")
def every_level_gives_images(subject: PluginSubject) -> str:
    """Every level gives finite images in [0, 1] of the same shape and dtype."""
    kind: Degradation = subject.value
    sizes = set()
    for images in _batches(kind):
        for level in kind.levels:
            out = _degraded(subject, images, level)
            at = f"at level {level:g}, of images {tuple(images.shape)}"
            if out.shape != images.shape or out.dtype != images.dtype:
                raise BrokenError(f"it gives {tuple(out.shape)}, {out.dtype} {at}", _line(subject))
            if not bool(((out >= 0) & (out <= 1)).all()):
                raise BrokenError(f"it leaves [0, 1] {at}", _line(subject))
        sizes.add("x".join(map(str, images.shape[1:])))
    return f"{len(kind.levels)} levels on {', '.join(sorted(sizes))}"


@rule("make the output depend on the level, and order levels from the mildest to the strongest")
def levels_matter(subject: PluginSubject) -> str:
    """The mildest and the strongest level give different images."""
    kind: Degradation = subject.value
    if len(set(kind.levels)) < 2:
        raise SkippedError("there is one level alone")
    mildest, strongest = kind.levels[0], kind.levels[-1]
    for images in _batches(kind):  # a grey image may look the same where a coloured one does not
        first, last = (_degraded(subject, images, level) for level in (mildest, strongest))
        if not torch.equal(first, last):
            moved = [float((out - images).square().mean().sqrt()) for out in (first, last)]
            return f"root mean square of the change {moved[0]:.3f} to {moved[1]:.3f}"
    raise BrokenError(f"levels {mildest:g} and {strongest:g} are the same picture")


@rule("draw random numbers from `noise` only, which is keyed by seed, level and image index")
def deterministic(subject: PluginSubject) -> str:
    """The same seed gives the same pixels; for stochastic kinds, another seed gives others."""
    kind: Degradation = subject.value
    images = next(_batches(kind))
    level = kind.levels[-1]
    first = _degraded(subject, images, level)
    torch.rand(5)
    if not torch.equal(first, _degraded(subject, images, level)):
        raise BrokenError("one seed gives different pixels", _line(subject))
    if not kind.stochastic:
        return "nothing is drawn"
    if torch.equal(first, _degraded(subject, images, level, seed=2)):
        raise BrokenError("two seeds give the same noise", _line(subject))
    return "by seed"


@rule("treat each image separately; key its noise by its index, not by its place in the batch")
def images_are_independent(subject: PluginSubject) -> str:
    """The pixels of an image do not depend on the batch or on its order."""
    kind: Degradation = subject.value
    for images in _batches(kind):
        level = kind.levels[-1]
        together = _degraded(subject, images, level)
        turned = list(reversed(range(_IMAGES)))
        apart = torch.cat([kind(images[i : i + 1], level, seed=1, index=[i]) for i in turned])
        far = float((apart.flip(0) - together).abs().max())
        if far > _PRECISION:
            raise BrokenError(f"alone, an image differs by {far:.2g}", _line(subject))
    return "alone and in another order"


@rule("write `pixels = pixels.clone()` before working in place")
def leaves_inputs_alone(subject: PluginSubject) -> str:
    """The input images are not modified."""
    kind: Degradation = subject.value
    for images in _batches(kind):
        with tensors_kept(subject, "it", {"the images": images}):
            _degraded(subject, images, kind.levels[-1])
    return "for every number of channels"


@rule("use torch functions that keep the dtype; create constants with `pixels.new_tensor`")
def takes_double_precision(subject: PluginSubject) -> str:
    """In double precision it gives the same pixels up to rounding."""
    kind: Degradation = subject.value
    if kind.stochastic:
        raise SkippedError("what draws may draw other numbers in another precision")
    images = next(_batches(kind))
    for level in kind.levels:
        single = _degraded(subject, images, level)
        far = float((_degraded(subject, images.double(), level) - single).abs().median())
        if far > _PRECISION:
            raise BrokenError(f"at level {level:g} it differs by {far:.2g}", _line(subject))
    return "to rounding"


@rule("declare `bounds`; robench checks them")
def refuses_impossible_levels(subject: PluginSubject) -> str:
    """NaN and levels outside the bounds are rejected with an error."""
    kind: Degradation = subject.value
    bad = [math.nan]
    if kind.bounds is not None and math.isfinite(kind.bounds[1]):
        bad.append(kind.bounds[1] + 1)
    images = next(_batches(kind))
    for level in bad:
        try:
            kind(images, level)
        except InputError:
            continue
        raise BrokenError(f"it takes the level {level!r}", _line(subject))
    return ", ".join(f"{level:g}" for level in bad)


@rule("restore what it changes: generators, default dtype, threads, grad mode")
def restores_globals(subject: PluginSubject) -> str:
    """It leaves generators, default dtype, threads and grad mode unchanged."""
    kind: Degradation = subject.value
    with globals_kept(subject, "it"):
        _degraded(subject, next(_batches(kind)), kind.levels[-1])
    return "all as before"


RULES = (
    documented,
    imports_cleanly,
    every_level_gives_images,
    levels_matter,
    deterministic,
    images_are_independent,
    leaves_inputs_alone,
    takes_double_precision,
    refuses_impossible_levels,
    restores_globals,
)


def _batches(kind: Degradation) -> Iterator[Tensor]:
    """Smooth random images of every number of channels that is taken, square and not."""
    generator = torch.Generator().manual_seed(6)
    side = max(_SIDE, kind.smallest)
    for channels in kind.channels:
        for width in (side,) if kind.square else (side, side + 5):
            rough = torch.rand((_IMAGES, channels, 6, 6), generator=generator)
            yield torch.nn.functional.interpolate(
                rough, (side, width), mode="bilinear", align_corners=False
            )


def _degraded(subject: PluginSubject, images: Tensor, level: float, seed: int = 1) -> Tensor:
    subject.note(f"level {level:g}")
    out: Tensor = subject.value(images, level, seed=seed)
    return out


def _line(subject: PluginSubject) -> str | None:
    return subject.line_of()
