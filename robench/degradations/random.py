"""Noise that depends on what it is for, and on nothing else.

The numbers are those of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
number generators"), used as a counter-based generator: the n-th number of an image is a hash of n
and of the image's own key. No state is carried along, so an image gets the same noise alone, in
any batch, in any order, and on any device: all of it is integer arithmetic modulo 2**64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

__all__ = ["Noise", "mix"]

# The odd increment and the multipliers of SplitMix64, as torch's signed integers hold them.
_INCREMENT = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST_MULTIPLIER = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND_MULTIPLIER = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True)
class Noise:
    """Random numbers for the images of one batch.

    Args:
        key: what the noise is for, as one number in [0, 2**63): see `robench.spec.seed_for`.
        index: int64[N], the number of each image in its data set; its device is the noise's.
        seed: the user's own, for `legacy` alone.
    """

    key: int
    index: Tensor
    seed: int = 0

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers for each image, the same at every call.

        Args:
            shape: the shape wanted for one image. A shape with the same number of elements gets
                the same numbers; whoever needs several planes asks for them at once.

        Returns:
            float32[N, *shape], multiples of 2**-24 in [0, 1).
        """
        count = math.prod(shape)
        pairs = (count + 1) // 2
        images = mix(self.index * _INCREMENT + self.key)
        steps = torch.arange(1, pairs + 1, device=self.index.device) * _INCREMENT
        # One 64-bit hash serves two numbers: its lower half first, as little-endian memory has it.
        halves = mix(images[:, None] + steps).view(torch.int32)[:, :count]
        signed = (halves >> 8).to(torch.float32)  # 24 bits, the mantissa of float32
        return signed.mul_(2.0**-24).add_(0.5).view(-1, *shape)

    def normal(self, *shape: int) -> Tensor:
        """Numbers of the standard normal distribution, from those of `uniform` by its quantiles.

        Args:
            shape: as for `uniform`.

        Returns:
            float32[N, *shape], within ±5.7.
        """
        centred = self.uniform(*shape).mul_(2.0).add_(2.0**-24 - 1.0)
        return centred.erfinv_().mul_(math.sqrt(2.0))

    def stream(self, number: int) -> Noise:
        """Other random numbers for the same images; stream 0 is the noise itself.

        Args:
            number: at least 0.
        """
        return replace(self, key=self.key ^ number)

    def legacy(self) -> Iterator[np.random.RandomState]:
        """NumPy's legacy generator for each image, as after ``np.random.seed(seed + index)``.

        Released code that draws from it can so be followed number by number. Unlike the other
        numbers these are the same for every kind and level; sums are taken modulo 2**32.
        """
        for number in self.index.tolist():
            yield np.random.RandomState((self.seed + number) % (1 << 32))


def mix(counters: Tensor) -> Tensor:
    """The finaliser of SplitMix64: a bijection of 64-bit words that scatters their bits.

    Args:
        counters: int64, of any shape; overwritten.
    """
    _xor_shift(counters, 30).mul_(_FIRST_MULTIPLIER)
    _xor_shift(counters, 27).mul_(_SECOND_MULTIPLIER)
    return _xor_shift(counters, 31)


def _xor_shift(words: Tensor, bits: int) -> Tensor:
    # torch shifts signed integers arithmetically: mask the copies of the sign away.
    return words.bitwise_xor_((words >> bits).bitwise_and_((1 << (64 - bits)) - 1))
