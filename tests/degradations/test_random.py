from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from robench.degradations.random import Noise, mix

MASK = (1 << 64) - 1
INCREMENT = 0x9E3779B97F4A7C15


def split_mix(state: int) -> int:
    """One output of SplitMix64 in whole numbers, from the published description."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def expected_numbers(key: int, index: int, count: int) -> list[float]:
    image = split_mix((index * INCREMENT + key) & MASK)
    words = [
        split_mix((image + step * INCREMENT) & MASK) for step in range(1, (count + 1) // 2 + 1)
    ]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    # The 24 leading bits, in the order of two's complement: 0 is the middle.
    return [((half >> 8) ^ (1 << 23)) / (1 << 24) for half in halves[:count]]


def draw(key: int, count: int, *shape: int) -> torch.Tensor:
    return Noise(key, torch.arange(count)).uniform(*shape)


def test_mix_gives_the_published_sequence_of_splitmix64() -> None:
    # Seed 1234567, the test vector that implementations of SplitMix64 share.
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    counters = [signed((1234567 + step * INCREMENT) & MASK) for step in range(1, 6)]
    assert [word & MASK for word in mix(torch.tensor(counters)).tolist()] == expected


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (2, 3, 3)])
@pytest.mark.parametrize("key", [0, 1, 0x7FFFFFFFFFFFFFFF])
def test_uniform_against_whole_number_arithmetic(key: int, shape: tuple[int, ...]) -> None:
    index = [0, 7, 2**62]
    got = Noise(key, torch.tensor(index)).uniform(*shape)
    assert got.shape == (3, *shape)
    assert got.dtype == torch.float32
    for numbers, image in zip(got, index, strict=True):
        assert numbers.flatten().tolist() == expected_numbers(key, image, math.prod(shape))


def test_numbers_are_uniform() -> None:
    numbers = draw(12, 40, 100, 100).double().numpy().ravel()
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    counts = np.bincount((numbers * 1000).astype(int), minlength=1000)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.chisquare(counts).pvalue < 1 - 1e-3  # nor more even than chance


def test_each_of_the_24_bits_is_fair() -> None:
    whole = (draw(5, 40, 100, 100).double() * 2**24).to(torch.int64).flatten()
    for bit in range(24):
        ones = int(((whole >> bit) & 1).sum())
        assert stats.binomtest(ones, len(whole)).pvalue > 1e-4


def independent(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two streams pass a chi-squared test of independence on a 16 x 16 grid."""
    cells = (first.flatten() * 16).long() * 16 + (second.flatten() * 16).long()
    table = torch.bincount(cells, minlength=256).view(16, 16).numpy()
    return bool(stats.chi2_contingency(table).pvalue > 1e-3)


def test_neighbours_images_and_keys_are_independent() -> None:
    numbers = draw(8, 30, 100, 100)
    assert independent(numbers[:, :, :-1], numbers[:, :, 1:])  # beside
    assert independent(numbers[:, :-1], numbers[:, 1:])  # below
    assert independent(numbers[:-1], numbers[1:])  # the next image
    assert independent(numbers, draw(9, 30, 100, 100))  # the next key
    assert not independent(numbers, (numbers + 0.5) % 1.0)


def test_images_with_far_apart_keys_share_no_numbers() -> None:
    first, second = draw(1, 1, 300), draw(2, 1, 300)
    assert len(set(first.flatten().tolist()) & set(second.flatten().tolist())) < 3


def test_an_image_has_its_numbers_in_any_batch() -> None:
    whole = draw(3, 10, 5, 5)
    index = torch.tensor([9, 0, 4, 4])
    assert torch.equal(Noise(3, index).uniform(5, 5), whole[index])


@pytest.mark.gpu
def test_the_same_bits_on_cuda() -> None:
    index = torch.arange(9)
    assert torch.equal(
        Noise(3, index.cuda()).uniform(31, 33).cpu(), Noise(3, index).uniform(31, 33)
    )


def test_normal_numbers_are_the_quantiles_of_the_uniform_ones():
    from scipy.stats import norm

    noise = Noise(7, torch.arange(3))
    expected = norm.ppf(noise.uniform(500).double().numpy() + 2.0**-25)
    torch.testing.assert_close(
        noise.normal(500).double(), torch.from_numpy(expected), atol=1e-4, rtol=1e-4
    )


def test_legacy_numbers_are_those_after_seeding_with_seed_plus_index():
    noise = Noise(3, torch.tensor([0, 7, 2**32 - 1]), seed=5)
    expected = [np.random.RandomState(seed).random_sample(4) for seed in (5, 12, 4)]
    drawn = [random.random_sample(4) for random in noise.legacy()]
    np.testing.assert_array_equal(drawn, expected)


def test_streams_are_other_numbers_for_the_same_images() -> None:
    noise = Noise(7, torch.arange(2000))
    assert torch.equal(noise.stream(0).uniform(5), noise.uniform(5))
    one, two = noise.stream(1).uniform(5), noise.stream(2).uniform(5)
    for first, second in ((noise.uniform(5), one), (noise.uniform(5), two), (one, two)):
        correlation = np.corrcoef(first.flatten(), second.flatten())[0, 1]
        assert abs(correlation) < 4 / 10_000**0.5
    alone = Noise(7, torch.tensor([3])).stream(1).uniform(5)
    assert torch.equal(alone[0], one[3])
