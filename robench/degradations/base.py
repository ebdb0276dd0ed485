"""What a degradation is: a function on images, and what is known about it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations.checks import (
    as_number,
    check_images,
    check_index,
    check_seed,
    check_shape,
)
from robench.degradations.levels import PUBLISHED, Reference
from robench.degradations.random import Noise
from robench.errors import InputError
from robench.spec.identity import json_number, seed_for

__all__ = ["Degradation", "applicable_kinds", "check_plugin", "in_fixed_batches", "to_grey"]

# Images are worked on in groups of about this many pixels, which bounds the memory whatever the
# batch, and on a CPU keeps the passes over a group in its cache.
_GROUP_PIXELS_CPU = 1 << 19
_GROUP_PIXELS_ELSEWHERE = 1 << 24
_FIXED_BATCH = 64
_SMALL_IMAGE_PIXELS = 64 * 64


@dataclass(frozen=True, eq=False)
class Degradation:
    """A way to make images harder to recognise, at graded levels.

    Made by decorating its function, so that a plug-in is one function::

        @partial(Degradation, name="contrast", unit="fraction of the contrast that is left",
                 levels=(1.0, 0.5, 0.1), neutral=1.0, bounds=(0.0, 1.0))
        def contrast(planes: Tensor, level: float) -> Tensor:
            return (1 - level) / 2 + level * planes

    The function must not change its argument. It takes a keyword ``noise`` (a `Noise`) when it
    draws random numbers, and a keyword ``variant`` when it declares variants.

    Args:
        function: ``function(pixels, level)`` → tensor of the same shape and type, in [0, 1].
            `pixels` is [N, H, W] when `reads` is ``"grey"``, else [N, C, H, W].
        name: the kind, as in suites.
        unit: what a level measures.
        levels: the published levels, from the mildest to the strongest.
        neutral: the level of the undegraded condition of the paper, or of its mildest one.
        references: levels whose picture is one that other kinds show as well, such as the image
            itself, and which picture that is. Such a level says nothing about the kind: means over
            levels, and comparisons between kinds, go by `undegraded_levels` and `shared_levels`.
        bounds: least and greatest level that is taken; `None` where only `levels` make sense. A
            published level outside the bounds is taken as well.
        reads: ``"grey"`` when the function sees the grey plane alone, which then goes to every
            channel of the output, as in all experiments of the paper but those on colour.
        variants: name → what it does; the first is the default.
        channels: the channel counts that are taken.
        smallest: the least height and width that are taken, in pixels.
        square: whether some levels need images as wide as they are high.
        working_planes: about how many planes the function holds at once for each image, so that
            fewer images are worked on together.
        version: raised whenever the pixels that come out change.
        fit: for a kind that depends on the data set: images → the degradation fitted to them; see
            `fitted`.
    """

    function: Callable[..., Tensor]
    name: str
    unit: str
    levels: tuple[float, ...]
    neutral: float
    references: Mapping[float, Reference] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    reads: Literal["grey", "colour"] = "grey"
    variants: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[int, ...] = (1, 3)
    smallest: int = 1
    square: bool = False
    working_planes: int = 1
    version: int = 1
    fit: Callable[[Tensor], Degradation] | None = None
    stochastic: bool = field(init=False)
    """Whether the function draws random numbers."""

    def __post_init__(self) -> None:
        # The registry finds a plug-in, its first line and its place by those of the function.
        vars(self).update(
            stochastic="noise" in inspect.signature(self.function).parameters,
            __doc__=self.function.__doc__,
            __module__=self.function.__module__,
            __wrapped__=self.function,
        )

    def __call__(
        self,
        images: Tensor,
        level: float,
        *,
        seed: int = 0,
        index: Tensor | Sequence[int] | None = None,
        variant: str | None = None,
    ) -> Tensor:
        """Degrade a batch of images.

        Args:
            images: float32 or float64 [N, C, H, W] in [0, 1], on any device.
            level: a published level, or any within `bounds`.
            seed: of the noise; deterministic kinds do without.
            index: whole numbers >= 0, one for each image: its number in the data set, by default
                0 … N-1. The noise of an image depends on the seed, the kind, the level and its
                index alone.
            variant: one of `variants`; by default the first.

        Returns:
            New images of the same shape, type and device, in [0, 1].

        Raises:
            InputError: an argument that is not as above.
        """
        where = f"degradation {self.name!r}"
        check_images(images, channels=self.channels, smallest=self.smallest, where=where)
        level = self.check_level(level)
        seed = check_seed(seed, where=where)
        key = seed_for(seed, self.name, json_number(level)) if self.stochastic else 0
        index = check_index(index, images, where=where)
        variant = self.check_variant(variant)
        options = {"variant": variant} if self.variants else {}
        out = torch.empty_like(images)
        pixels = _GROUP_PIXELS_CPU if images.device.type == "cpu" else _GROUP_PIXELS_ELSEWHERE
        group = max(1, pixels // (images[0, 0].numel() * self.working_planes))
        for start in range(0, len(images), group):
            part = slice(start, start + group)
            noise = {"noise": Noise(key, index[part], seed)} if self.stochastic else {}
            out[part] = self._degrade(images[part], level, **options, **noise)
        return out

    def fitted(self, images: Tensor) -> Degradation:
        """The degradation with what it takes from a data set, learnt from undistorted images.

        Kinds that take nothing from a data set return themselves.

        Args:
            images: all of them, float32 or float64 [N, C, H, W] in [0, 1], or uint8 in 0…255.

        Raises:
            InputError: images that are not as above.
        """
        if self.fit is None:
            return self
        where = f"fitting degradation {self.name!r}"
        if isinstance(images, Tensor) and images.dtype == torch.uint8:
            check_shape(images, channels=self.channels, smallest=self.smallest, where=where)
        else:
            check_images(images, channels=self.channels, smallest=self.smallest, where=where)
        return self.fit(images)

    def takes(self, channels: int, height: int, width: int) -> bool:
        """Whether images of this shape are taken at each of the published levels."""
        is_large_enough = min(height, width) >= self.smallest
        is_square_enough = height == width or not self.square
        return channels in self.channels and is_large_enough and is_square_enough

    def undegraded_levels(self, channels: int) -> tuple[float, ...]:
        """The levels that leave images of so many channels as they are, by `references`.

        A grey image is its own grey plane: ``greyscale`` leaves it alone at every level. Levels
        that happen to be too mild for images of some size, such as a blur much narrower than a
        pixel, are found by comparing pictures alone: see the stage ``degrade``.
        """
        unchanged = ("original", "grey") if channels == 1 else ("original",)
        return tuple(level for level, shown in self.references.items() if shown in unchanged)

    @property
    def shared_levels(self) -> tuple[float, ...]:
        """The levels whose picture other kinds show as well, by `references`.

        To do well there is to do well on those kinds too: level 0 of ``uniform-noise`` and that of
        ``salt-and-pepper`` are one picture, which ``contrast`` shows at level 0.3.
        """
        return tuple(self.references)

    def degrades(self, channels: int) -> bool:
        """Whether any of the published levels changes images of so many channels."""
        return not set(self.levels) <= set(self.undegraded_levels(channels))

    def _degrade(self, images: Tensor, level: float, **options: object) -> Tensor:
        if self.reads == "colour":
            return self.function(images, level, **options)
        return self.function(to_grey(images), level, **options).unsqueeze(1)

    def check_level(self, level: float) -> float:
        """The level as a float.

        Raises:
            InputError: it is neither published nor within the bounds.
        """
        number = as_number(level)
        if not self._takes(number):
            published = ", ".join(f"{known:g}" for known in self.levels)
            allowed = published
            if self.bounds is not None:
                low, high = self.bounds
                allowed = f"any from {low:g} to {high:g}; published: {published}"
            raise InputError(
                f"{level!r} is not a level of {self.name!r} ({self.unit})",
                allowed=allowed,
                hint="choose one of these"
                if number == number
                else f"a level is one real number, and this {type(level).__name__} is none",
            )
        return number + 0.0  # -0.0 is 0.0: the noise must not tell them apart

    def check_variant(self, variant: str | None) -> str | None:
        """The variant's name, the default one for `None`; `None` where there are no variants.

        Raises:
            InputError: there is no such variant.
        """
        if variant is None:
            return next(iter(self.variants), None)
        if variant not in self.variants:
            raise InputError(
                f"{variant!r} is not a variant of {self.name!r}",
                allowed=[f"{name!r} ({text})" for name, text in self.variants.items()] or "none",
                hint="leave variant out for the default",
            )
        return variant

    def convention(self, variant: str | None = None) -> str:
        """What a level means, in words for a record: the unit, and how the variant reads it.

        Raises:
            InputError: there is no such variant.
        """
        chosen = self.check_variant(variant)
        return self.unit if chosen is None else f"{self.unit}; {chosen}: {self.variants[chosen]}"

    def _takes(self, level: float) -> bool:
        if math.isnan(level):
            return False
        if level in self.levels:
            return True
        return self.bounds is not None and self.bounds[0] <= level <= self.bounds[1]


def to_grey(images: Tensor) -> Tensor:
    """The grey plane Y = 0.2125 R + 0.7154 G + 0.0721 B, of the encoded values as they are.

    The weights are those of Geirhos et al. 2018 (arXiv 1808.08750), by way of scikit-image.

    Args:
        images: [N, C, H, W] with one channel, which is its own grey plane, or three.

    Returns:
        [N, H, W]; white stays exactly white.
    """
    if images.shape[1] == 1:
        return images[:, 0]
    red, green, blue = images.unbind(1)
    # Products and sums rounded one by one, so that every device gives the same bits; in this
    # order the rounded weights sum to exactly 1.
    return (red * 0.2125).add_(blue * 0.0721).add_(green * 0.7154)


def in_fixed_batches(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Apply a function that goes through a Fourier transform; on a CPU to so many images at once.

    The transform of a batch rounds otherwise than that of one image or of a larger batch, and the
    product of complex numbers otherwise at the end of a tensor than within. Small images are
    therefore always transformed by 64, filled up with black ones, and large ones each alone: then
    the last bit of an image does not depend on the batch that it is in.

    Args:
        function: of batches of one size, to a batch [N, ...].
        batches: of N images, numbers, …

    Returns:
        What the function gives, in one batch.
    """
    if batches[0].is_cuda:
        return function(*batches)
    count = len(batches[0])
    size = _FIXED_BATCH if batches[0][0].numel() <= _SMALL_IMAGE_PIXELS else 1
    parts = []
    for start in range(0, count, size):
        # Copied, for the place in memory matters too.
        given = [batch[start : start + size].clone() for batch in batches]
        if len(given[0]) < size:
            given = [torch.cat([x, x.new_zeros(size - len(x), *x.shape[1:])]) for x in given]
        parts.append(function(*given))
    return torch.cat(parts)[:count]


def applicable_kinds(channels: int, height: int, width: int) -> tuple[str, ...]:
    """The built-in kinds for images of this shape.

    They take them at each of their published levels, and change them at one of these at least.
    """
    known = {kind: DEGRADATIONS_REGISTRY.get(kind) for kind in PUBLISHED}
    return tuple(
        kind
        for kind, degradation in known.items()
        if degradation.takes(channels, height, width) and degradation.degrades(channels)
    )


def check_plugin(value: object) -> str | None:
    """Why `value` is not a degradation that can be registered; `None` when it is one."""
    if not isinstance(value, Degradation):
        return "it is not a robench.degradations.base.Degradation"
    if not value.levels:
        return "it declares no levels"
    if (why := _wrong_levels(value) or _wrong_references(value)) is not None:
        return why
    takes_variant = "variant" in inspect.signature(value.function).parameters
    if takes_variant != bool(value.variants):
        return "its function must take a keyword `variant` if, and only if, it declares variants"
    return None


def _wrong_levels(value: Degradation) -> str | None:
    for level in value.levels:
        if math.isnan(as_number(level)):
            return f"{level!r} among its levels is no real number"
    bounds = tuple(map(as_number, value.bounds or (0.0, 1.0)))
    if len(bounds) != 2 or not bounds[0] <= bounds[1]:
        return f"its bounds {value.bounds!r} are no two numbers in order of size"
    try:
        value.check_level(value.neutral)
    except InputError as error:
        return f"its neutral level is not one that it takes: {error.what}"
    return None


def _wrong_references(value: Degradation) -> str | None:
    for level, shown in value.references.items():
        try:
            value.check_level(level)
        except InputError as error:
            return f"one of its references is not a level that it takes: {error.what}"
        if shown not in get_args(Reference):
            return f"its reference {shown!r} is none of {', '.join(get_args(Reference))}"
        if shown == "original" and value.reads == "grey":
            return "it reads the grey plane alone, so that its reference cannot be the original"
    return None
