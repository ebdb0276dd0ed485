from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import mean

import pytest

from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.model.rows import Row
from robench.spec import Metric, PluginRef, Record
from robench.stats.intervals import student_t
from robench.stats.proportion import wilson_interval

SHARED = {("greyscale", 1.0), ("contrast", 1.0), ("contrast", 0.3)}
"""Pictures that other kinds show at level 0, or at infinity; these are no degradation either."""
Make = Callable[..., list[Record]]


def row_of(board: Leaderboard, **wanted: object) -> Row:
    [row] = [
        row
        for row in board.rows
        if all(getattr(row, name) == value for name, value in wanted.items())
    ]
    return row


def of(records: list[Record], stage: str, method: str, level: float) -> list[Record]:
    return [
        record
        for record in records
        if (record.cell.stage, record.cell.method.label, record.cell.level)
        == (stage, method, level)
        and record.cell.role == "result"
        and record.cell.model.name == "mlp"
        and record.cell.recipe.distortion is None
    ]


def test_what_is_on_the_board(board: Leaderboard) -> None:
    assert board.panels == ("digits · convnet", "digits · mlp")
    assert board.methods[:4] == ("dense", "random", "magnitude", "magnitude[scope=layer]")
    assert board.trainings == ("none", "salt-and-pepper", "uniform-noise")
    assert board.levels == (0.5, 0.9, 0.99)


def test_a_row_averages_over_seeds(board: Leaderboard, records: list[Record]) -> None:
    row = row_of(board, panel="digits · mlp", method="halo", level=0.9, training="none")
    metrics = [record.metric("accuracy") for record in of(records, "train", "halo", 0.9)]
    expected = student_t([metric.value for metric in metrics])
    # What the seeds leave open and what the images do, in squares.
    below = math.hypot(expected.value - expected.low, mean(m.value - m.low for m in metrics))
    above = math.hypot(expected.high - expected.value, mean(m.high - m.value for m in metrics))
    assert row.accuracy is not None
    assert (row.accuracy.value, row.accuracy.low, row.accuracy.high) == pytest.approx(
        (expected.value, expected.value - below, min(1, expected.value + above))
    )
    assert (row.accuracy.seeds, row.accuracy.n, row.accuracy.interval) == (3, 360, "seeds")


def test_the_difference_to_dense_is_paired_by_seed(
    board: Leaderboard, records: list[Record]
) -> None:
    def values(method: str, level: float) -> dict[int, float]:
        return {
            record.cell.seed: metric.value
            for record in of(records, "train", method, level)
            if (metric := record.metric("accuracy")) and metric.value is not None
        }

    sparse, dense = values("ssl", 0.9), values("dense", 0.0)
    row = row_of(board, panel="digits · mlp", method="ssl", level=0.9, training="none")
    assert row.against_dense is not None
    expected = student_t([sparse[seed] - dense[seed] for seed in sorted(sparse)])
    assert row.against_dense.value == pytest.approx(expected.value)
    assert row.against_dense.low < expected.low
    assert row.against_dense.high > expected.high
    assert (
        row_of(board, panel="digits · mlp", method="dense", training="none").against_dense is None
    )


def test_each_kind_of_degradation_counts_alike(board: Leaderboard, records: list[Record]) -> None:
    def mean_of(record: Record) -> float:
        kinds: dict[object, list[float]] = {}
        for metric in record.metrics:
            place = (metric.condition.get("kind"), metric.condition.get("test_level"))
            if metric.name != "accuracy" or place in SHARED or place[1] in (0.0, "inf"):
                continue
            assert metric.value is not None
            kinds.setdefault(metric.condition["kind"], []).append(metric.value)
        return mean(mean(levels) for levels in kinds.values())

    row = row_of(board, panel="digits · mlp", method="halo", level=0.9, training="none")
    assert row.degraded is not None
    degraded = of(records, "degrade", "halo", 0.9)
    assert row.degraded.value == pytest.approx(mean(map(mean_of, degraded)))


def test_ratios_are_geometric_means_at_the_largest_batch(
    board: Leaderboard, records: list[Record]
) -> None:
    values = [
        metric.value
        for record in of(records, "speed", "halo", 0.9)
        if (metric := record.metric("speedup", batch_size=64)) and metric.value
    ]
    row = row_of(board, panel="digits · mlp", method="halo", level=0.9, training="none")
    assert row.batch_size == 64
    assert row.speedup is not None
    assert row.speedup.value == pytest.approx((values[0] * values[1] * values[2]) ** (1 / 3))


def test_flags_say_for_how_many_seeds_they_were_raised(board: Leaderboard) -> None:
    row = row_of(board, panel="digits · mlp", method="halo", level=0.99, training="none")
    [flag] = row.flags
    assert (flag.name, flag.seeds) == ("gradient-zero", 3)
    assert not row_of(board, panel="digits · mlp", method="ssl", level=0.9, training="none").flags


def test_the_order_of_the_records_does_not_matter(
    board: Leaderboard, records: list[Record]
) -> None:
    shuffled = leaderboard(random.Random(1).sample(records, len(records)))
    assert shuffled.rows == board.rows
    assert shuffled.records == board.records


def test_one_seed_has_the_interval_of_its_network(make: Make) -> None:
    records = make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        levels=(0.9,),
        seeds=1,
        distortions=(),
    )
    row = row_of(leaderboard(records), method="halo")
    metric = of(records, "train", "halo", 0.9)[0].metric("accuracy")
    assert metric is not None
    assert row.accuracy is not None
    assert (row.accuracy.low, row.accuracy.high) == (metric.low, metric.high)
    assert (row.accuracy.interval, row.accuracy.basis) == ("network", "1 seed, n = 360 each")
    # A mean over degradations is over the same images again and again: it varies no more than the
    # answers to one picture of each.
    assert row.degraded is not None
    bounds = wilson_interval(row.degraded.value * row.degraded.n, row.degraded.n)
    assert (row.degraded.low, row.degraded.high) == pytest.approx(bounds)


def test_a_median_that_one_seed_lacks_is_no_median(records: list[Record]) -> None:
    def without(record: Record) -> Record:
        if record.cell.stage != "attack" or record.cell.seed != 1:
            return record
        return record.model_copy(update={"metrics": (Metric(name="median_l2", value=None),)})

    attacked = (r for r in records if r.cell.stage == "attack" and r.cell.model.name == "mlp")
    row = row_of(leaderboard(map(without, attacked)), method="halo", level=0.9)
    assert row.median_l2 is not None
    assert row.median_l2.value is None
    assert row.median_l2.basis.startswith("3 seeds, 1 of them without a value")


def test_start_networks_are_no_results(records: list[Record]) -> None:
    starts = [record for record in records if record.cell.role == "start"]
    assert starts
    assert leaderboard(starts).rows == ()


def test_no_records_give_an_empty_board() -> None:
    board = leaderboard([])
    assert (board.rows, board.panels, board.methods) == ((), (), ())
    assert board.coverage.share == 1.0
