"""Made-up records of networks that were trained on noise."""

from __future__ import annotations

import numpy as np

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
