"""Trained on one distortion, tested on another: what carries over, and what sparsity does to it.

Everything starts from the matrix of `transfer_matrix`, one row for each network and test. The
experiment is that of Geirhos et al. 2018 (arXiv 1808.08750).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robench.analysis.frame import trainings
from robench.analysis.levels import shows_own_picture, shows_reference_alone
from robench.analysis.seeds import over_seeds
from robench.spec import is_dense as method_is_dense
from robench.spec.distortion import CLEAN
from robench.stats.intervals import Bounds, difference, fieller, wilson

if TYPE_CHECKING:
    from robench.spec import Distortion, Record

__all__ = [
    "NETWORK",
    "UNDISTORTED",
    "contrast_control",
    "distortions_of",
    "generalisation_gap",
    "mean_transfer_scores",
    "side_of_gap",
    "sparse_against_dense",
    "specialists",
    "trained_kinds",
    "transfer_matrix",
    "transfer_scores",
]

NETWORK = ("data", "model", "recipe", "method", "is_dense", "level", "training", "seed")
"""Columns that tell trained networks apart."""
UNDISTORTED = (CLEAN, "greyscale")
"""Tests that are no noise: they count neither as a network's own noise nor as another."""
CONTRAST_OF_NOISE = 0.3
"""To this contrast images are reduced before uniform noise and salt-and-pepper are put on them."""
LEAST_GAIN = 0.05
"""What training on the tested noise must gain over clean training, so that a share of it says
something: of five points, a test on 1,000 images leaves a standard error of about two."""

Distortions = Mapping[str, "Distortion | None"]


def distortions_of(records: Iterable[Record]) -> dict[str, Distortion | None]:
    """What stands behind each name in the column ``training``; clean images are ``none``."""
    return trainings(records)


def trained_kinds(distortion: Distortion | None) -> tuple[str, ...]:
    """What a network saw in training: kinds, and ``clean`` where images stayed as they are."""
    if distortion is None:
        return (CLEAN,)
    some_clean = distortion.clean_share > 0 and CLEAN not in distortion.kinds
    return (*distortion.kinds, *([CLEAN] if some_clean else ()))


def transfer_matrix(
    frame: pd.DataFrame,
    *,
    network: Sequence[str] = NETWORK,
    at: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Accuracy of each network on each kind of degradation, and on clean images.

    Args:
        frame: the long table of `robench.stats.table`.
        network: columns that tell networks apart; ``training`` and ``seed`` are among them.
        at: kind → the level to test at, such as those of
            `robench.reference.published_transfer`; kinds that it does not name
            are left out. `None` means the mean over all levels that were tested, but for pictures
            that are not degraded or that other kinds show as well: see
            `robench.analysis.levels.shows_own_picture`. A kind that shows nothing else,
            ``greyscale``, keeps them.

    Returns:
        One row for each network and test: the columns `network`, ``test`` (a kind, or ``clean``),
        ``value``, a fraction, ``n`` (images), and ``low`` and ``high``, Wilson's interval over
        these images, which for a mean over levels is an upper bound. Clean accuracy is that of the
        whole test split. Networks that were tested on no degradation are left out.
    """
    columns = [*network, "test", "value", "n", "low", "high"]
    is_result = (frame["role"] == "result") & (frame["metric"] == "accuracy")
    degraded = frame[is_result & (frame["stage"] == "degrade")]
    if degraded.empty:
        return pd.DataFrame(columns=columns)
    if at is not None:
        degraded = degraded[degraded["test_level"] == degraded["kind"].map(dict(at))]
    else:
        is_reference = degraded["kind"].map(shows_reference_alone).astype(bool)
        degraded = degraded[is_reference | shows_own_picture(degraded)]
    tests = degraded.groupby([*network, "kind"], sort=False)
    tested = tests.agg(value=("value", "mean"), n=("n", "min")).reset_index()
    clean = frame[is_result & (frame["stage"] == "train")].assign(test=CLEAN)
    clean = clean.merge(tested[list(network)].drop_duplicates())
    names = [*network, "test", "value", "n"]
    both = [tested.rename(columns={"kind": "test"})[names], clean[names]]
    matrix = pd.concat([part for part in both if len(part)] or both, ignore_index=True)
    return _with_intervals(matrix)


def _with_intervals(matrix: pd.DataFrame) -> pd.DataFrame:
    """With ``low`` and ``high`` of the shares in the column ``value``, where ``n`` is known."""
    if "n" not in matrix.columns:
        return matrix
    share = matrix["value"].to_numpy(np.float64)
    bounds = wilson(share, matrix["n"].to_numpy(np.float64, na_value=np.nan))
    return matrix.assign(low=bounds.low, high=bounds.high)


def generalisation_gap(
    matrix: pd.DataFrame, distortions: Distortions, *, network: Sequence[str] = NETWORK
) -> pd.DataFrame:
    """How much better a network is on the noise that it was trained on than on other noise.

    Args:
        matrix: of `transfer_matrix`.
        distortions: of `distortions_of`.
        network: as for the matrix.

    Returns:
        One row for each network: the columns `network`, ``own`` and ``others``, the mean accuracies
        over its own and over all other kinds (`UNDISTORTED` are neither), ``gap``, the one less
        the other, and ``n``, images of each test, if the matrix has it. What does not exist is NaN:
        a network that was trained on clean images has no noise of its own, nor has one whose own
        noise was not tested.
    """
    noises = matrix[~matrix["test"].isin(UNDISTORTED)]
    is_own = _is_own(noises, distortions)
    keys = list(network)
    means = {
        name: noises[chosen].groupby(keys)["value"].mean()
        for name, chosen in (("own", is_own), ("others", ~is_own))
    }
    networks = pd.MultiIndex.from_frame(noises[keys].drop_duplicates())
    found = pd.DataFrame({name: mean.reindex(networks) for name, mean in means.items()})
    found["gap"] = found["own"] - found["others"]
    if "n" in noises.columns:
        found["n"] = noises.groupby(keys)["n"].min().reindex(networks)
    return found.reset_index()


def side_of_gap(gaps: pd.DataFrame, side: str) -> pd.DataFrame:
    """One of the columns ``own`` and ``others`` of `generalisation_gap` as ``value``.

    Returns:
        The rows with ``value`` and, where ``n`` is known, ``low`` and ``high``: what `over_seeds`
        reads.
    """
    return _with_intervals(gaps.assign(value=gaps[side]))


def specialists(distortions: Distortions) -> dict[str, str]:
    """For each kind the training that is on this kind alone.

    Where there are several, the one on all levels, with the fewest clean images, from scratch.

    Args:
        distortions: of `distortions_of`.
    """
    alone = {
        label: distortion
        for label, distortion in distortions.items()
        if distortion is not None and len(distortion.kinds) == 1
    }

    def purity(label: str) -> tuple[object, ...]:
        distortion = alone[label]
        is_tuned = distortion.trains == "fine-tuned"
        return len(distortion.levels), distortion.clean_share, is_tuned, label

    return {alone[label].kinds[0]: label for label in sorted(alone, key=purity, reverse=True)}


def contrast_control(distortions: Distortions) -> str | None:
    """The training on less contrast alone; `None` where there is none.

    Uniform noise and salt-and-pepper both lie on images of 30 % contrast, so that what carries over
    between them may be the contrast. Of several such trainings, the one on just this contrast;
    else the one that `specialists` gives.

    Args:
        distortions: of `distortions_of`.
    """
    exact = {
        label: distortion
        for label, distortion in distortions.items()
        if distortion is not None and distortion.levels == (CONTRAST_OF_NOISE,)
    }
    return specialists(exact).get("contrast") or specialists(distortions).get("contrast")


def transfer_scores(
    matrix: pd.DataFrame,
    distortions: Distortions,
    *,
    network: Sequence[str] = NETWORK,
    least_gain: float = LEAST_GAIN,
) -> pd.DataFrame:
    """Of what training on the tested noise itself would have gained, the share that was gained.

    A network that was trained on A and is tested on B scores (a − c) / (b − c): a is its accuracy,
    c that of the network which was trained on clean images, b that of the one trained on B alone;
    all three are of one seed, method and level. 0 means no transfer, 1 as good as training on B,
    below 0 harm. Beside it stands what the `contrast_control` scores on B: where that is as much,
    it is the loss of contrast that carries over, and not the noise.

    Args:
        matrix: of `transfer_matrix`.
        distortions: of `distortions_of`.
        network: as for the matrix.
        least_gain: b − c below which there is nothing to share, so that the score is not defined.

    Returns:
        The matrix with the columns ``clean`` (c), ``specialist`` (b), ``control`` (accuracy of the
        contrast control), ``gain`` (a − c), ``score`` and ``control_score``; NaN where they do not
        exist.
    """
    same = [column for column in network if column != "training"] + ["test"]
    chosen = matrix["test"].map(specialists(distortions))
    references = {
        "clean": matrix[matrix["training"] == "none"],
        "specialist": matrix[matrix["training"] == chosen],
        "control": matrix[matrix["training"] == contrast_control(distortions)],
    }
    found = matrix
    for name, rows in references.items():
        found = found.merge(rows.rename(columns={"value": name})[[*same, name]], how="left")
    possible = found["specialist"] - found["clean"]
    divisor = possible.where(possible >= max(least_gain, np.finfo(float).tiny))
    gain = found["value"] - found["clean"]
    return found.assign(
        gain=gain,
        score=gain / divisor,
        control_score=(found["control"] - found["clean"]) / divisor,
    )


def mean_transfer_scores(
    scores: pd.DataFrame,
    *,
    network: Sequence[str] = NETWORK,
    least_gain: float = LEAST_GAIN,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The scores over seeds: mean gain over mean possible gain, with Fieller's interval.

    The mean of the seeds' own scores would be ruled by the seed that had the least to gain.

    Args:
        scores: of `transfer_scores`.
        network: as for the matrix.
        least_gain: mean possible gain below which there is no score.
        confidence: of the interval, in (0, 1).

    Returns:
        One row for each training, test, method and level: the columns of `network` but ``seed``,
        ``test``, ``score`` with ``low`` and ``high``, ``control_score`` with ``control_low`` and
        ``control_high``, and ``seeds``. NaN where a seed lacks one of the networks, where there is
        too little to gain, or, of the bounds, for one seed.
    """
    by = [column for column in network if column != "seed"] + ["test"]
    rows = []
    for key, of in scores.groupby(by, sort=False, dropna=False):
        possible = of["specialist"] - of["clean"]
        figures = [
            _ratio_over_seeds(of[name] - of["clean"], possible, least_gain, confidence)
            for name in ("value", "control")
        ]
        rows.append((*key, *figures[0], *figures[1], len(of)))
    names = ["score", "low", "high", "control_score", "control_low", "control_high", "seeds"]
    return pd.DataFrame(rows, columns=[*by, *names]).astype(dict.fromkeys(names[:-1], "float64"))


def _ratio_over_seeds(
    gain: pd.Series, possible: pd.Series, least_gain: float, confidence: float
) -> tuple[float | None, float | None, float | None]:
    known = gain.notna().all() and possible.notna().all()
    if not known or possible.mean() < least_gain:
        return None, None, None
    found = fieller(gain, possible, confidence=confidence)
    return found.value, found.low, found.high


def sparse_against_dense(
    matrix: pd.DataFrame, *, network: Sequence[str] = NETWORK, confidence: float = 0.95
) -> pd.DataFrame:
    """Each cell of the matrix of a sparse network, less that of its dense control.

    The two have the seed, the training and the budget in common, so that the difference is paired.

    Args:
        matrix: of `transfer_matrix`, or any frame like it.
        network: as for the matrix.
        confidence: of the interval, in (0, 1).

    Returns:
        One row for each cell of a method at a level: the columns of `network` but ``seed``,
        ``test``, ``value`` (the mean difference of accuracies), ``low`` and ``high`` (over seeds
        and, where the matrix has intervals, over images; missing for one seed), ``seeds`` and
        ``without``.
    """
    own = ("method", "is_dense", "level")
    same = [column for column in network if column not in own] + ["test"]
    is_dense = matrix["is_dense"] if "is_dense" in matrix else matrix["method"].map(method_is_dense)
    figures = [name for name in ("value", "low", "high") if name in matrix.columns]
    both = matrix[~is_dense].merge(
        matrix[is_dense][[*same, *figures]], on=same, suffixes=("", "_b")
    )
    by = [column for column in network if column != "seed"] + ["test"]
    differences = both[[*by, "seed"]].assign(value=both["value"] - both["value_b"])
    if len(figures) == len(Bounds._fields):
        sparse, dense = (
            Bounds(*(both[f"{name}{end}"].to_numpy(np.float64) for name in Bounds._fields))
            for end in ("", "_b")
        )
        differences = differences.assign(**difference(sparse, dense)._asdict())
    return over_seeds(differences, by, bounds=(-1.0, 1.0), confidence=confidence)


def _is_own(matrix: pd.DataFrame, distortions: Distortions) -> pd.Series:
    """Whether each row tests what its network was trained on."""
    kinds = {label: trained_kinds(distortion) for label, distortion in distortions.items()}
    places = zip(matrix["training"], matrix["test"], strict=True)
    own = [test in kinds[training] for training, test in places]
    return pd.Series(own, index=matrix.index, dtype=bool)
