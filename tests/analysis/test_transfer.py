"""The train × test matrix and what follows from it, by hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from robench.analysis import table
from robench.analysis.levels import shows_own_picture, shows_reference_alone
from robench.analysis.transfer import (
    contrast_control,
    distortions_of,
    generalisation_gap,
    mean_transfer_scores,
    side_of_gap,
    sparse_against_dense,
    specialists,
    trained_kinds,
    transfer_matrix,
    transfer_scores,
)
from robench.reference.published_transfer import PUBLISHED_LEVELS
from robench.spec import Cell, Distortion, Metric, PluginRef, Recipe, Record
from robench.stats.proportion import wilson_interval

NETWORK = ["method", "level", "training", "seed"]
UNIFORM, SALT = "uniform-noise", "salt-and-pepper"
BOTH = Distortion(kinds=(UNIFORM, SALT))
DISTORTIONS = {
    "none": None,
    UNIFORM: Distortion(kinds=(UNIFORM,)),
    SALT: Distortion(kinds=(SALT,)),
    BOTH.label: BOTH,
}


def matrix_of(rows: list[tuple[str, str, float]], method: str = "dense", level: float = 0.0):
    """A matrix of (training, test, value), all of one seed."""
    return pd.DataFrame(
        [(method, level, training, 0, test, value) for training, test, value in rows],
        columns=[*NETWORK, "test", "value"],
    )


def one(frame: pd.DataFrame, **where: object) -> pd.Series:
    for column, value in where.items():
        frame = frame[frame[column] == value]
    [(_, row)] = frame.iterrows()
    return row


def records(distortion: Distortion | None = None, seed: int = 0, **cell: object) -> list[Record]:
    """A train record at 0.9, and its degrade record: 0.8 and 0.4 in noise, 0.5 in contrast."""
    train = Cell.model_validate(
        {
            "stage": "train",
            "suite": "trial",
            "suite_version": 1,
            "data": PluginRef(name="digits", version=1),
            "data_sha256": "0",
            "model": PluginRef(name="mlp", version=1),
            "method": PluginRef(name="dense", version=1),
            "level": 0.0,
            "seed": seed,
            "recipe": Recipe(distortion=distortion),
            **cell,
        }
    )
    degrade = train.model_copy(update={"stage": "degrade", "parent": train.id})
    graded = [(UNIFORM, 0.0, 8), (UNIFORM, 0.35, 4), ("contrast", 0.05, 5)]
    return [
        Record(id=train.id, cell=train, status="ok", metrics=(Metric.share("accuracy", 9, 10),)),
        Record(
            id=degrade.id,
            cell=degrade,
            status="ok",
            metrics=tuple(
                Metric.share("accuracy", right, 10, kind=kind, test_level=level)
                for kind, level, right in graded
            ),
        ),
    ]


def test_the_matrix_is_the_mean_over_levels_or_one_level() -> None:
    frame = table(records())
    means = transfer_matrix(frame).set_index("test")["value"]
    # Level 0 of uniform noise is a picture without noise, which salt-and-pepper shows as well.
    assert means.to_dict() == pytest.approx({UNIFORM: 0.4, "contrast": 0.5, "clean": 0.9})
    at_one = transfer_matrix(frame, at=PUBLISHED_LEVELS).set_index("test")["value"]
    assert at_one.to_dict() == {UNIFORM: 0.4, "contrast": 0.5, "clean": 0.9}


def test_the_matrix_has_the_intervals_of_its_images() -> None:
    matrix = transfer_matrix(table(records())).set_index("test")
    assert matrix["n"].to_dict() == {UNIFORM: 10, "contrast": 10, "clean": 10}
    assert matrix.loc[UNIFORM, ["low", "high"]].tolist() == pytest.approx(wilson_interval(4, 10))


def test_a_picture_that_two_kinds_share_does_not_count_for_either() -> None:
    """Salt-and-pepper training that knows nothing but its level 0 gains nothing on the others."""
    degraded = pd.DataFrame(
        [
            ("greyscale", 0.0, False), ("greyscale", 1.0, False),
            ("contrast", 1.0, False), ("contrast", 0.3, False), ("contrast", 0.5, True),
            (UNIFORM, 0.0, False), (UNIFORM, 0.03, True), (SALT, 0.0, False), (SALT, 0.95, True),
            ("low-pass", 0.0, False), ("low-pass", 1.0, True),
            ("high-pass", math.inf, False), ("high-pass", 0.4, True),
            ("rotation", 0.0, False), ("rotation", 180.0, True),
            ("opponent-colour", 0.0, False), ("opponent-colour", 1.0, True),
            ("gaussian-noise", 0.0, False), ("gaussian-noise", 0.1, True),
            ("eidolon-1", 1.0, True), ("kind-of-a-plug-in", 0.0, True),
        ],
        columns=["kind", "test_level", "own"],
    )  # fmt: skip
    assert shows_own_picture(degraded).tolist() == degraded["own"].tolist()
    assert shows_own_picture(degraded[:0]).empty
    assert shows_reference_alone("greyscale")
    assert not shows_reference_alone("kind-of-a-plug-in")


def test_only_results_that_were_degraded_are_in_the_matrix() -> None:
    start = records(role="start")
    bare = records(seed=7)[:1]
    matrix = transfer_matrix(table([*start, *bare, *records()]))
    assert set(matrix["seed"]) == {0}
    assert len(matrix) == 3


def test_nothing_tested_gives_an_empty_matrix_with_its_columns() -> None:
    empty = transfer_matrix(table(records()[:1]))
    assert empty.empty
    assert {"training", "seed", "test", "value"} <= set(empty.columns)


def test_the_names_of_trainings_lead_back_to_what_they_are() -> None:
    found = distortions_of([*records(), *records(BOTH)])
    assert found == {"none": None, "uniform-noise + salt-and-pepper": BOTH}


@pytest.mark.parametrize(
    ("distortion", "kinds"),
    [
        (None, ("clean",)),
        (BOTH, (UNIFORM, SALT)),
        (Distortion(kinds=(UNIFORM,), clean_share=0.5), (UNIFORM, "clean")),
        (Distortion(kinds=("clean", UNIFORM), clean_share=0.5), ("clean", UNIFORM)),
    ],
)
def test_what_a_network_saw(distortion: Distortion | None, kinds: tuple[str, ...]) -> None:
    assert trained_kinds(distortion) == kinds


def test_the_gap_is_own_noise_less_other_noise() -> None:
    tests = {"clean": 0.1, "greyscale": 0.2, UNIFORM: 0.9, SALT: 0.3, "contrast": 0.5}
    found = generalisation_gap(
        matrix_of(
            [
                (training, test, value)
                for training in (UNIFORM, BOTH.label, "none")
                for test, value in tests.items()
            ]
        ),
        DISTORTIONS,
        network=NETWORK,
    ).set_index("training")
    assert found.loc[UNIFORM, ["own", "others", "gap"]].tolist() == pytest.approx([0.9, 0.4, 0.5])
    # Each kind of a list is its own.
    assert found.loc[BOTH.label, ["own", "others"]].tolist() == pytest.approx([0.6, 0.5])
    assert math.isnan(found.loc["none", "gap"])
    assert found.loc["none", "others"] == pytest.approx((0.9 + 0.3 + 0.5) / 3)


def test_a_network_without_other_noise_has_no_gap() -> None:
    found = generalisation_gap(matrix_of([(UNIFORM, UNIFORM, 0.9)]), DISTORTIONS, network=NETWORK)
    assert found["own"].tolist() == [0.9]
    assert found["gap"].isna().all()


def test_the_transfer_score_shares_out_what_could_be_gained() -> None:
    found = transfer_scores(
        matrix_of(
            [
                ("none", SALT, 0.1),
                (SALT, SALT, 0.9),
                (UNIFORM, SALT, 0.3),
                (BOTH.label, SALT, 1.0),
            ]
        ),
        DISTORTIONS,
        network=NETWORK,
    ).set_index("training")
    assert found["score"].to_dict() == pytest.approx(
        {"none": 0.0, SALT: 1.0, UNIFORM: 0.25, BOTH.label: 1.125}
    )
    assert found.loc[UNIFORM, "gain"] == pytest.approx(0.2)


CONTRAST = Distortion(kinds=("contrast",))
EXACT = Distortion(kinds=("contrast",), levels=(0.3,))


def test_beside_a_score_stands_that_of_less_contrast_alone() -> None:
    distortions = DISTORTIONS | {CONTRAST.label: CONTRAST, EXACT.label: EXACT}
    rows = [("none", SALT, 0.1), (SALT, SALT, 0.9), (UNIFORM, SALT, 0.3), (EXACT.label, SALT, 0.26)]
    found = transfer_scores(matrix_of(rows), distortions, network=NETWORK)
    row = one(found, training=UNIFORM)
    # Three quarters of what uniform noise seems to teach is the loss of contrast.
    assert [row["score"], row["control_score"]] == pytest.approx([0.25, 0.2])
    assert row["control"] == 0.26


def test_the_control_is_the_contrast_of_the_noise_where_there_is_one() -> None:
    clean_half = Distortion(kinds=("contrast",), levels=(0.3,), clean_share=0.5)
    assert contrast_control(DISTORTIONS) is None
    assert contrast_control({CONTRAST.label: CONTRAST}) == CONTRAST.label
    every = {each.label: each for each in (CONTRAST, clean_half, EXACT)}
    assert contrast_control(every) == EXACT.label
    other = Distortion(kinds=(UNIFORM,), levels=(0.3,))
    assert contrast_control({other.label: other}) is None


def test_scores_over_seeds_are_a_ratio_of_means() -> None:
    def seeded(seed: int, best: float) -> pd.DataFrame:
        rows = [("none", SALT, 0.1), (SALT, SALT, best), (UNIFORM, SALT, 0.2)]
        return matrix_of(rows).assign(seed=seed)

    matrix = pd.concat([seeded(0, 0.2), seeded(1, 0.9), seeded(2, 0.9)], ignore_index=True)
    scores = transfer_scores(matrix, DISTORTIONS, network=NETWORK)
    # The seed whose specialist hardly gained would make a mean of scores of 0.42.
    assert scores[scores["training"] == UNIFORM]["score"].mean() == pytest.approx(1.25 / 3)
    found = one(mean_transfer_scores(scores, network=NETWORK), training=UNIFORM)
    assert found["score"] == pytest.approx(0.3 / 1.7)
    assert found["seeds"] == 3
    assert math.isnan(found["control_score"])
    # A seed that lacks its specialist leaves no score.
    lacking = matrix[~((matrix["training"] == SALT) & (matrix["seed"] == 1))]
    scores = transfer_scores(lacking, DISTORTIONS, network=NETWORK)
    found = one(mean_transfer_scores(scores, network=NETWORK), training=UNIFORM)
    assert math.isnan(found["score"])


def test_published_figures_hardly_transfer() -> None:
    """Geirhos et al. 2018: salt-and-pepper to uniform noise 10.2 %, of 6.2 and 80.3."""
    found = transfer_scores(
        matrix_of([("none", UNIFORM, 0.062), (UNIFORM, UNIFORM, 0.803), (SALT, UNIFORM, 0.102)]),
        DISTORTIONS,
        network=NETWORK,
    )
    assert one(found, training=SALT)["score"] == pytest.approx(0.04 / 0.741)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("none", SALT, 0.88), (SALT, SALT, 0.9), (UNIFORM, SALT, 0.5)], "nothing to gain"),
        ([("none", SALT, 0.9), (SALT, SALT, 0.9), (UNIFORM, SALT, 0.5)], "a division by zero"),
        ([("none", SALT, 0.9), (SALT, SALT, 0.5), (UNIFORM, SALT, 0.5)], "training harmed"),
        ([("none", SALT, 0.1), (UNIFORM, SALT, 0.5)], "no specialist"),
        ([(SALT, SALT, 0.9), (UNIFORM, SALT, 0.5)], "no clean-trained network"),
    ],
)
def test_a_score_that_does_not_exist_is_missing(rows, why: str) -> None:
    found = transfer_scores(matrix_of(rows), DISTORTIONS, network=NETWORK)
    assert len(found) == len(rows)
    assert math.isnan(one(found, training=UNIFORM)["score"]), why


def test_scores_compare_networks_of_one_method_and_level() -> None:
    dense = [("none", SALT, 0.1), (SALT, SALT, 0.9), (UNIFORM, SALT, 0.5)]
    sparse = [("none", SALT, 0.2), (SALT, SALT, 0.6), (UNIFORM, SALT, 0.3)]
    found = transfer_scores(
        pd.concat([matrix_of(dense), matrix_of(sparse, "halo", 0.9)], ignore_index=True),
        DISTORTIONS,
        network=NETWORK,
    )
    assert one(found, training=UNIFORM, method="dense")["score"] == pytest.approx(0.5)
    assert one(found, training=UNIFORM, method="halo")["score"] == pytest.approx(0.25)


def test_the_specialist_of_a_kind_is_the_purest_training_on_it() -> None:
    trainings = (
        Distortion(kinds=(UNIFORM,), levels=(0.2,)),
        Distortion(kinds=(UNIFORM,), clean_share=0.5),
        Distortion(kinds=(UNIFORM,)),
        Distortion(kinds=(SALT,), clean_share=0.5),
        Distortion(kinds=(SALT,), clean_share=0.5, trains="fine-tuned"),
        BOTH,
    )
    found = specialists({"none": None, **{each.label: each for each in trainings}})
    assert found == {UNIFORM: UNIFORM, SALT: "salt-and-pepper (0.5 clean)"}


def test_sparse_less_dense_is_paired_by_seed() -> None:
    def seeded(method: str, level: float, values: list[float]) -> list[tuple[object, ...]]:
        return [(method, level, SALT, seed, SALT, value) for seed, value in enumerate(values)]

    matrix = pd.DataFrame(
        seeded("dense", 0.0, [0.5, 0.7, 0.9]) + seeded("halo", 0.9, [0.4, 0.7, 0.8]),
        columns=[*NETWORK, "test", "value"],
    )
    found = one(sparse_against_dense(matrix, network=NETWORK), method="halo")
    differences = np.array([-0.1, 0.0, -0.1])
    half = 4.302652730 * differences.std(ddof=1) / math.sqrt(3)
    assert found["value"] == pytest.approx(-0.2 / 3)
    assert [found["low"], found["high"]] == pytest.approx([-0.2 / 3 - half, -0.2 / 3 + half])
    assert found["seeds"] == 3


def test_a_seed_without_its_dense_control_does_not_count() -> None:
    matrix = pd.concat(
        [
            matrix_of([(SALT, SALT, 0.5)]),
            matrix_of([(SALT, SALT, 0.4)], "halo", 0.9),
            matrix_of([(SALT, SALT, 0.9)], "halo", 0.9).assign(seed=1),
        ]
    )
    found = one(sparse_against_dense(matrix, network=NETWORK), method="halo")
    assert (found["value"], found["seeds"]) == (pytest.approx(-0.1), 1)


def test_differences_and_gaps_are_no_narrower_than_their_images() -> None:
    """Three seeds that agree by chance had intervals of no width."""

    def network(method: str, level: float, values: tuple[float, float]) -> pd.DataFrame:
        tests = [(SALT, SALT, values[0]), (SALT, UNIFORM, values[1])]
        return pd.concat([matrix_of(tests, method, level).assign(seed=seed) for seed in range(3)])

    matrix = pd.concat([network("dense", 0.0, (0.9, 0.3)), network("halo", 0.9, (0.8, 0.3))])
    low, high = zip(*(wilson_interval(500 * value, 500) for value in matrix["value"]), strict=True)
    matrix = matrix.assign(n=500, low=low, high=high).reset_index(drop=True)
    found = one(sparse_against_dense(matrix, network=NETWORK), method="halo", test=SALT)
    (a, b), (c, d) = wilson_interval(400, 500), wilson_interval(450, 500)
    assert found["value"] == pytest.approx(-0.1)
    assert found["low"] == pytest.approx(-0.1 - math.hypot(0.8 - a, d - 0.9))
    assert found["high"] == pytest.approx(-0.1 + math.hypot(b - 0.8, 0.9 - c))
    gaps = generalisation_gap(matrix, DISTORTIONS, network=NETWORK)
    own = one(side_of_gap(gaps, "own"), method="halo", seed=0)
    assert [own["value"], own["low"], own["high"]] == pytest.approx([0.8, a, b])
