"""Every interval that robench computes holds the truth as often as it says, and is no wider.

A nominal 95 % interval is to hold the truth in 93 % of samples at least, where networks are right
on half of the images, on nine in ten and on nearly all, on 20, 100 and 1,000 images. An interval
from −∞ to ∞ would do, too, so that each is also held against the width that is due to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, binom, norm

from robench.analysis.consistency import error_consistency
from robench.analysis.distances import Attacked, compare_distances
from robench.analysis.seeds import over_seeds
from robench.attacks.evaluation.metrics import Distances
from robench.measure.latency import median_interval
from robench.stats.error_ratio import LEAST_ERRORS, error_ratio
from robench.stats.intervals import Bounds, difference, fieller, student_t, wilson
from robench.stats.proportion import wilson_interval
from robench.stats.resampling import mean_figure, median_figure, ratio_of_bounded_means

LEAST = 0.93
RUNS = 300
"""Of 300 samples 95 % are held with a standard error of 1.3 points."""
ACCURACIES = (0.5, 0.9, 0.98)
SIZES = (20, 100, pytest.param(1000, marks=pytest.mark.slow))
FEW_SIZES = (20, *(pytest.param(n, marks=pytest.mark.slow) for n in (100, 1000)))
"""Where each sample is resampled."""


def held(low: NDArray[np.float64], truth: float, high: NDArray[np.float64]) -> float:
    """How often the truth lies within, less what chance may take from so many samples."""
    share = float(((low <= truth) & (truth <= high)).mean())
    return share + 2 * math.sqrt(0.05 * 0.95 / len(low))


def bounds_of(figures: Iterable[tuple[float, float, float]]) -> Iterator[NDArray[np.float64]]:
    table = np.array(list(figures), dtype=np.float64)
    yield from (table[:, 1], table[:, 2])


# -- shares -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 100, 1000])
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_wilson(accuracy: float, n: int) -> None:
    """Exactly, over all that can come; no wider than the exact interval."""
    successes = np.arange(n + 1)
    weight = binom.pmf(successes, n, accuracy)
    edges = np.array([wilson_interval(int(k), n) for k in successes])
    exact = [
        np.nan_to_num(beta.ppf(0.025, successes, n - successes + 1), nan=0),
        np.nan_to_num(beta.ppf(0.975, successes + 1, n - successes), nan=1),
    ]
    assert weight[(edges[:, 0] <= accuracy) & (accuracy <= edges[:, 1])].sum() >= LEAST
    assert weight @ np.ptp(edges, axis=1) <= weight @ (exact[1] - exact[0])


def trials_of(right: NDArray[np.bool_]) -> pd.DataFrame:
    """One condition for each row of answers [runs, n]."""
    runs, n = right.shape
    return pd.DataFrame(
        {
            "image": np.tile(np.arange(n), runs),
            "condition": np.repeat(np.arange(runs), n),
            "correct": right.ravel(),
        }
    )


def pairs(both: float, a: float, b: float, n: int, runs: int = RUNS) -> tuple[pd.DataFrame, ...]:
    """Trials of two networks, of accuracies a and b, that are right together so often."""
    shares = np.array([both, a - both, b - both, 1 - a - b + both]).clip(0)
    drawn = np.random.default_rng(0).choice(4, size=(runs, n), p=shares / shares.sum())
    return trials_of(drawn < 2), trials_of((drawn == 0) | (drawn == 2))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("kappa", [0.0, 0.3, 0.6, 0.9])
def test_kappa(accuracy: float, kappa: float, n: int) -> None:
    expected = accuracy**2 + (1 - accuracy) ** 2
    both = (expected + kappa * (1 - expected) + 2 * accuracy - 1) / 2
    runs = RUNS if n < 1000 else 150
    a, b = pairs(both, accuracy, accuracy, n, runs)
    found = error_consistency(a, b, resamples=400)
    known = found["low"].notna()
    # Where hardly any sample has enough errors, those that have are no fair choice of samples.
    if known.mean() < 0.5:
        return
    found = found[known]
    assert held(found["low"], kappa, found["high"]) >= LEAST
    # The standard error of κ (Fleiss, Cohen and Everitt 1969, for equal margins about this).
    error = math.sqrt((1 - kappa) * (1 + kappa) / n / min(1.0, 2 * (1 - expected)))
    assert (found["high"] - found["low"]).mean() <= 2.6 * 1.96 * max(error, 2 / n)


# -- distances --------------------------------------------------------------------------------

LIMIT = 2.0
TYPICAL = 1.0


def attacked(
    accuracy: float, n: int, found: float, seed: int, harder: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of two networks on the same images: wrong ones 0, some not found at all.

    The images that one network gets right tend to be those of the other.
    """
    generator = np.random.default_rng(seed)
    hard, strength = generator.normal(size=(2, n))
    pair = []
    for factor in (harder, 1.0):
        own = generator.normal(size=(3, n))
        distance = factor * TYPICAL * np.exp(0.5 * (0.8 * strength + 0.6 * own[0]))
        distance[norm.cdf(0.8 * hard + 0.6 * own[1]) > accuracy] = 0
        distance[(distance > 0) & (norm.cdf(own[2]) > found)] = math.inf
        pair.append(distance)
    return pair[0], pair[1]


def network(distance: NDArray[np.float64]) -> Distances:
    return Distances(distance, distance > 0, np.ones_like(distance))


@pytest.mark.parametrize("n", FEW_SIZES)
@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("limit", [0.3, LIMIT])
def test_areas(accuracy: float, limit: float, n: int) -> None:
    """Near the ceiling, too: up to a radius of 0.3 all that is right stays right."""
    runs = 200 if n < 1000 else 100
    truth = np.minimum(attacked(accuracy, 400_000, 0.9, 0)[0], limit).mean() / limit
    samples = [attacked(accuracy, n, 0.9, seed)[0] for seed in range(1, runs + 1)]
    figures = [network(of).figures(limit, 0, resamples=400)["l2_area_share"] for of in samples]
    low, high = bounds_of(figures)
    assert held(low, truth, high) >= LEAST
    # No share varies more than one of zeros and ones.
    widest = wilson(truth, n)
    assert (high - low).mean() <= 1.05 * (widest.high - widest.low)


@pytest.mark.parametrize("n", [8, *SIZES])
@pytest.mark.parametrize("found", [1.0, 0.6])
def test_medians_with_censoring(found: float, n: int) -> None:
    truth = np.median(attacked(1.0, 400_000, found, 0)[0])
    samples = [attacked(1.0, n, found, seed)[0] for seed in range(1, RUNS + 1)]
    low, high = bounds_of(median_figure(of) for of in samples)
    assert held(low, truth, high) >= LEAST
    # About √n values lie between the bounds: twice 0.98 · √n, and at most two more.
    between = [((of > a) & (of < b)).sum() for of, a, b in zip(samples, low, high, strict=True)]
    assert np.mean(between) <= 1.96 * math.sqrt(n) + 2


def test_a_median_of_a_handful_has_no_interval() -> None:
    for n in range(1, 6):
        figure = median_figure(np.arange(1.0, n + 1))
        assert figure.value == (n + 1) / 2
        assert math.isnan(figure.low)
        assert math.isnan(figure.high)
    assert median_figure(np.arange(1.0, 7.0)) == (3.5, 1, 6)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_mean_distances(accuracy: float, n: int) -> None:
    truth = attacked(accuracy, 400_000, 1.0, 0)[0].mean()
    samples = [attacked(accuracy, n, 1.0, seed)[0] for seed in range(1, RUNS + 1)]
    low, high = bounds_of(mean_figure(of) for of in samples)
    assert held(low, truth, high) >= LEAST
    plain = np.mean([2 * 1.96 * of.std(ddof=1) / math.sqrt(n) for of in samples])
    assert (high - low).mean() <= 1.25 * plain


@pytest.mark.parametrize("n", [20, 100])
def test_mean_squared_errors(n: int) -> None:
    drawn = np.random.default_rng(0).chisquare(1, size=(RUNS, n))
    low, high = bounds_of(mean_figure(of) for of in drawn)
    assert held(low, 1.0, high) >= LEAST


@pytest.mark.parametrize("n", FEW_SIZES)
@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("found", [1.0, 0.7])
def test_ratios_of_distances(accuracy: float, found: float, n: int) -> None:
    def ratios(seed: int, count: int) -> dict[str, float]:
        a, b = attacked(accuracy, count, found, seed, harder=0.8)
        both = (a > 0) & (b > 0)
        return {
            "ratio_of_medians": np.median(a[both]) / np.median(b[both]),
            "ratio_of_areas": np.minimum(a[both], LIMIT).mean() / np.minimum(b[both], LIMIT).mean(),
        }

    truth = ratios(0, 400_000)
    index, runs = np.arange(n), 200 if n < 1000 else 60
    hits = {name: [] for name in truth}
    widths = {name: [] for name in truth}
    for seed in range(1, runs + 1):
        pair = attacked(accuracy, n, found, seed, harder=0.8)
        compared = compare_distances(
            *(Attacked(index, of, of > 0) for of in pair),
            limit=LIMIT, over="both-correct", resamples=300,
        )  # fmt: skip
        assert compared is not None
        for name, true in truth.items():
            figure = getattr(compared, name)
            if not math.isnan(figure.low):
                hits[name].append(figure.low <= true <= figure.high)
                widths[name].append(figure.high - figure.low)
    for name, each in hits.items():
        assert np.mean(each) + 2 * math.sqrt(0.05 * 0.95 / len(each)) >= LEAST, name
        # About twice what independent log-normal distances of this spread give for medians; where
        # nearly half of the images are not found, the median has no upper end.
        if found == 1:
            assert np.median(widths[name]) <= 2 * 2 * 1.96 * 1.25 * 0.6 / math.sqrt(n * accuracy), (
                name
            )


@pytest.mark.parametrize("n", [20, 100])
def test_geometric_mean_ratios(n: int) -> None:
    index, hits = np.arange(n), []
    for seed in range(1, RUNS + 1):
        pair = attacked(1.0, n, 1.0, seed, harder=0.8)
        pair = [np.where(of > 0, of, 1.0) for of in pair]
        compared = compare_distances(
            *(Attacked(index, of, of > 0) for of in pair), limit=LIMIT, resamples=2
        )
        assert compared is not None
        figure = compared.geometric_mean_ratio
        hits.append(figure.low <= 0.8 <= figure.high)
    assert np.mean(hits) + 2 * math.sqrt(0.05 * 0.95 / RUNS) >= LEAST


# -- errors against a reference ---------------------------------------------------------------


def corrupted(
    shares: tuple[float, float], n: int, conditions: int, alike: float, seed: int
) -> NDArray[np.float64]:
    """Share of the conditions in which two networks err on each image, [2, n]."""
    generator = np.random.default_rng(seed)
    hard = generator.normal(size=(1, n, 1))
    own = generator.normal(size=(2, n, conditions))
    mixed = math.sqrt(alike) * hard + math.sqrt(1 - alike) * own
    return (mixed < norm.ppf(np.array(shares))[:, None, None]).mean(axis=2)


@pytest.mark.parametrize("shares", [(0.05, 0.05), (0.1, 0.05), (0.4, 0.3)])
@pytest.mark.parametrize("alike", [0.1, 0.8])
@pytest.mark.parametrize("by_image", [True, False])
def test_corruption_errors(shares: tuple[float, float], alike: float, by_image: bool) -> None:
    n, conditions, truth = 100, 15, shares[0] / shares[1]
    figures = []
    for seed in range(300):
        own, dense = corrupted(shares, n, conditions, alike, seed)
        if dense.sum() * conditions < LEAST_ERRORS:
            continue
        figures.append(
            ratio_of_bounded_means(own, dense, 1.0, 0, resamples=400)
            if by_image
            else error_ratio([own.mean()], [dense.mean()], n)
        )
    low, high = bounds_of(figures)
    assert held(low, truth, high) >= LEAST
    values = np.array([figure[0] for figure in figures])
    # A ratio of sums, unlike a mean of ratios, says of equal networks that they are equal.
    assert np.exp(np.log(values).mean()) == pytest.approx(truth, rel=0.06)
    if by_image:
        spread = np.log(values).std()
        assert np.median(np.log(high / low)) <= 2 * 2 * 1.96 * spread


# -- seeds ------------------------------------------------------------------------------------


def seeds_of(
    accuracy: float, n: int, between: float, seeds: int, alike: float, runs: int
) -> tuple[pd.DataFrame, float]:
    """Accuracies of networks of several seeds on the same images, and what they are on average.

    Args:
        accuracy: of the middle seed.
        n: images.
        between: standard deviation of the accuracy that seeds have on all images there are.
        seeds: how many.
        alike: how much the seeds agree on which images are hard, from 0 to 1.
        runs: how often.
    """
    generator = np.random.default_rng(0)
    of_seed = np.clip(accuracy + between * generator.normal(size=(runs, seeds)), 0.001, 0.999)
    truth = np.clip(accuracy + between * generator.normal(size=100_000), 0.001, 0.999).mean()
    right = np.empty((runs, seeds))
    for run in range(runs):
        hard = math.sqrt(alike) * generator.normal(size=n)
        own = math.sqrt(1 - alike) * generator.normal(size=(seeds, n))
        right[run] = (hard + own < norm.ppf(of_seed[run])[:, None]).mean(axis=1)
    bounds = wilson(right.ravel(), n)
    frame = pd.DataFrame(
        {"run": np.repeat(np.arange(runs), seeds), "seed": np.tile(np.arange(seeds), runs)}
    )
    return frame.assign(**bounds._asdict()), float(truth)


@pytest.mark.parametrize("alike", [pytest.param(0.5, marks=pytest.mark.slow), 0.95])
@pytest.mark.parametrize("between", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_over_seeds(accuracy: float, n: int, between: float, seeds: int, alike: float) -> None:
    frame, truth = seeds_of(accuracy, n, between, seeds, alike, runs=400)
    found = over_seeds(frame, ["run"], bounds=(0, 1))
    # Seeds that would spread past 1 pile up there: two of them may both come from the pile, and
    # Student's t, which asks for a normal distribution, then holds the truth in nine of ten.
    least = LEAST if between <= 1 - accuracy else 0.88
    assert held(found["low"], truth, found["high"]) >= least
    alone = over_seeds(frame[["run", "seed", "value"]], ["run"], bounds=(0, 1))
    images = frame.groupby("run")[["low", "high"]].mean()
    width = found["high"] - found["low"]
    # Never narrower than what the images leave open, never wider than both parts together.
    assert (width >= (images["high"] - images["low"]) - 1e-9).mean() > 0.99
    parts = (alone["high"] - alone["low"]) + (images["high"] - images["low"]).to_numpy()
    uncut = (found["high"] < 1) & (found["low"] > 0)
    assert (width[uncut] <= parts[uncut] + 0.1 * width[uncut] + 1e-9).all()


def test_seeds_that_agree_by_chance() -> None:
    low, high = wilson_interval(482, 500)
    frame = pd.DataFrame(
        {"method": "a", "seed": [0, 1, 2], "value": 0.964, "low": low, "high": high}
    )
    (row,) = over_seeds(frame, ["method"], bounds=(0, 1)).itertuples()
    assert (row.value, row.low, row.high) == pytest.approx((0.964, low, high))
    # Two of three bounds are not enough to say what the images leave open.
    (alone,) = over_seeds(
        frame.assign(low=[low, np.nan, low], high=np.nan), ["method"]
    ).itertuples()
    assert (alone.low, alone.high) == pytest.approx((0.964, 0.964))


@pytest.mark.parametrize("between", [0.0, 0.02])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_differences_over_seeds(between: float, seeds: int) -> None:
    sparse, low = seeds_of(0.9, 200, between, seeds, 0.8, 300)
    dense, high = seeds_of(0.95, 200, between, seeds, 0.8, 300)
    names = Bounds._fields
    parts = (Bounds(*(of[name].to_numpy() for name in names)) for of in (sparse, dense))
    frame = sparse.assign(**difference(*parts)._asdict())
    found = over_seeds(frame, ["run"], bounds=(-1, 1))
    assert held(found["low"], low - high, found["high"]) >= LEAST


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("score", [0.0, 0.1, 1.0])
def test_transfer_scores(score: float, seeds: int) -> None:
    generator = np.random.default_rng(0)
    possible = 0.5 + 0.03 * generator.normal(size=(RUNS, seeds))
    gain = score * 0.5 + 0.03 * generator.normal(size=(RUNS, seeds))
    found = [fieller(*each) for each in zip(gain, possible, strict=True)]
    known = [of for of in found if of.low is not None]
    assert len(known) > 0.9 * RUNS
    low, high = bounds_of((0.0, of.low, of.high) for of in known)
    assert held(low, score, high) >= LEAST
    if seeds > 2:
        plain = np.mean([np.ptp([of.low, of.high]) for of in map(student_t, gain / possible)])
        assert np.median(high - low) <= 1.3 * plain


@pytest.mark.parametrize("blocks", [6, 15, 30])
def test_medians_of_latencies(blocks: int) -> None:
    drawn = np.random.default_rng(0).lognormal(0, 0.1, size=(1000, blocks))
    low, high = np.array([median_interval(each) for each in drawn]).T
    assert held(low, 1.0, high) >= LEAST
    assert (high - low).mean() <= 4 * 1.96 * 1.25 * 0.1 / math.sqrt(blocks)


@pytest.mark.parametrize("geometric", [False, True])
def test_student(geometric: bool) -> None:
    drawn = np.random.default_rng(0).normal(size=(1000, 3))
    found = [student_t(np.exp(of) if geometric else of, geometric=geometric) for of in drawn]
    low, high = bounds_of((0.0, of.low, of.high) for of in found)
    assert held(low, 1.0 if geometric else 0.0, high) >= LEAST
