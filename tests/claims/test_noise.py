"""The judge of the statements on noise training, on figures that it should know."""

from __future__ import annotations

import numpy as np
import pytest

from robench.claims import claim
from robench.claims.base import Evidence
from robench.reference.published_transfer import PUBLISHED_LEVELS, published_matrix
from robench.spec import Cell, Distortion, Metric, PluginRef, Recipe, Record

SHARES = ("(2)", "(3)", "(5)")


def logits(_: str, __: object = None) -> dict[str, np.ndarray]:
    """Sixteen classes."""
    return {"logits": np.zeros((4, 16))}


def cell(distortion: Distortion | None, seed: int, method: str = "dense", level: float = 0.0):
    return Cell(
        stage="train",
        suite="trial",
        suite_version=1,
        data=PluginRef(name="sixteen", version=1),
        data_sha256="0",
        model=PluginRef(name="mlp", version=1),
        method=PluginRef(name=method, version=1),
        level=level,
        seed=seed,
        recipe=Recipe(distortion=distortion),
    )


def records_of(
    train: Cell, clean: float, stages: dict[str, list[tuple[str, float, float]]]
) -> list[Record]:
    """The records of one network; stage → kind, level and accuracy."""
    metrics = (Metric(name="accuracy", value=clean), Metric(name="steps", value=800))
    found = [Record(id=train.id, cell=train, status="ok", metrics=metrics)]
    for stage, graded in stages.items():
        other = train.model_copy(update={"stage": stage, "parent": train.id})
        step = "test_level" if stage == "degrade" else "severity"
        of = [
            Metric(name="accuracy", value=value, condition={"kind": kind, step: level})
            for kind, level, value in graded
        ]
        if stage == "worst_noise":
            of = [Metric(name="worst_noise_l2", value=value) for *_, value in graded]
        found.append(Record(id=other.id, cell=other, status="ok", metrics=tuple(of)))
    return found


def distortion_of(trained_on: str) -> Distortion | None:
    if trained_on == "clean":
        return None
    left_out = trained_on.removeprefix("all but ")
    if left_out != trained_on:
        return Distortion.model_validate({"kind": f"all-but:{left_out}"})
    return Distortion(kinds=tuple(trained_on.split(" + ")))


def published(seeds: int = 3) -> list[Record]:
    """The twenty networks of the paper, a little different for each seed."""
    found = []
    for _, row in published_matrix().drop(index="A9").iterrows():
        for seed in range(seeds):
            graded = [
                (kind, level, row[kind] / 100 + seed / 1000)
                for kind, level in PUBLISHED_LEVELS.items()
            ]
            train = cell(distortion_of(row["trained_on"]), seed)
            found += records_of(train, row["clean"] / 100 + seed / 1000, {"degrade": graded})
    return found


def verdicts(name: str, records: list[Record]) -> dict[str, tuple[float | None, str]]:
    return {
        statement.name: (statement.interval.value, statement.verdict)
        for _, statements in claim(name).judge(Evidence(records, logits))
        for statement in statements
    }


def test_what_the_paper_found_holds_of_its_own_figures() -> None:
    found = verdicts("noise-generalisation", published())
    assert {name.partition(" ")[0] for name in found} == set(SHARES)
    assert {verdict for _, verdict in found.values()} == {"holds"}
    value, _ = found["(2) salt-and-pepper to uniform-noise: share gained"]
    assert value == pytest.approx((10.2 - 6.2) / (89.8 - 6.2))
    value, _ = found["(5) salt-and-pepper alone, on clean images: share kept"]
    assert value == pytest.approx((10.4 - 6.25) / (96.7 - 6.25), abs=2e-3)
    value, _ = found["(3) all but uniform-noise: least accuracy on what it saw"]
    assert value == pytest.approx(0.747 + 0.001)


def test_networks_that_do_generalise_are_told_from_those() -> None:
    def robust(record: Record) -> Record:
        if record.cell.recipe.distortion is None:
            return record
        metrics = tuple(
            metric.model_copy(update={"value": 0.9}) if metric.name == "accuracy" else metric
            for metric in record.metrics
        )
        return record.model_copy(update={"metrics": metrics})

    found = verdicts("noise-generalisation", [robust(record) for record in published()])
    assert found["(2) salt-and-pepper to uniform-noise: share gained"][1] == "does not hold"
    assert found["(3) all but uniform-noise, on uniform-noise: share gained"][1] == "does not hold"
    assert found["(5) uniform-noise alone, on clean images: share kept"][1] == "does not hold"
    assert found["(3) all but uniform-noise: least accuracy on what it saw"][1] == "holds"


def test_few_seeds_leave_it_open() -> None:
    found = verdicts("noise-generalisation", published(seeds=2))
    assert {verdict for _, verdict in found.values()} == {"open: fewer than 3 seeds"}


GAUSSIAN = Distortion(kinds=("gaussian-noise",), clean_share=0.5)
ADVERSARIAL = Distortion(kinds=("adversarial-noise",), clean_share=0.5)


def noise_trained(gaussian: float, adversarial: float) -> list[Record]:
    """Accuracy on unseen noise: 0.3 of clean-trained networks, and of the other two as given."""
    found = []
    for training, value in ((None, 0.3), (GAUSSIAN, gaussian), (ADVERSARIAL, adversarial)):
        for seed in range(3):
            at = value + seed / 100
            stages = {
                "degrade": [
                    ("uniform-noise", 0.1, at + 0.1),
                    ("uniform-noise", 0.35, at - 0.1),
                    ("salt-and-pepper", 0.2, at),
                    ("gaussian-noise", 0.2, 1.0),
                ],
                "corrupt": [("shot-noise", 1, at), ("impulse-noise", 5, at), ("fog", 1, 0.0)],
                "worst_noise": [("", 0.0, 10 * at)],
            }
            found += records_of(cell(training, seed), 0.99, stages)
    return found


def test_the_ordering_is_on_noise_that_nobody_saw() -> None:
    found = verdicts("noise-ordering", noise_trained(gaussian=0.5, adversarial=0.6))
    above, further = (
        found["(order) unseen noise: gaussian-noise (0.5 clean) less clean"],
        found[
            "(order) unseen noise: adversarial-noise (0.5 clean) less gaussian-noise (0.5 clean)"
        ],
    )
    assert above == (pytest.approx(0.2), "holds")
    assert further == (pytest.approx(0.1), "holds")
    radius = found["(order) radius of the worst noise: adversarial-noise (0.5 clean) less clean"]
    assert radius == (pytest.approx(3.0), "holds")


def test_an_ordering_the_other_way_round_does_not_hold() -> None:
    found = verdicts("noise-ordering", noise_trained(gaussian=0.5, adversarial=0.4))
    name = "(order) unseen noise: adversarial-noise (0.5 clean) less gaussian-noise (0.5 clean)"
    assert found[name] == (pytest.approx(-0.1), "does not hold")


def test_sparse_networks_are_reported() -> None:
    noise = Distortion(kinds=("uniform-noise",))
    found = []
    for method, level, own, other in (("dense", 0.0, 0.9, 0.5), ("halo", 0.9, 0.8, 0.2)):
        for seed in range(3):
            graded = [("uniform-noise", 0.35, own), ("contrast", 0.05, other)]
            found += records_of(cell(noise, seed, method, level), 0.99, {"degrade": graded})
    assert verdicts("sparse-noise", found) == {
        "halo at 0.9 less dense, own": (pytest.approx(-0.1), "reported"),
        "halo at 0.9 less dense, others": (pytest.approx(-0.3), "reported"),
        "halo at 0.9 less dense, gap": (pytest.approx(0.2), "reported"),
    }
