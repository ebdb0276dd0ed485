"""Push each test image until the network's answer changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from robench.attacks import metrics
from robench.attacks.minimal import minimal_l2
from robench.data.base import to_float
from robench.spec import AttackOptions, Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.network import trained_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.attacks.report import AttackReport

__all__ = ["attack"]

_RADII = (0.25, 0.5, 1.0, 2.0, 3.0)


def attack(cell: Cell, context: Context) -> Outcome:
    """The closest verified adversarial of each image, over all attacks of the frozen suite.

    The images are the same for all networks of a data set; the adversarials are kept, so that
    anyone can check the figures with one forward pass.
    """
    options = AttackOptions.model_validate(
        {key: value for key, value in cell.options.items() if key != "version"}
    )
    network = trained_network(cell, context)
    test = context.data.test.first(options.samples)
    report = minimal_l2(
        network,
        to_float(test.images.to(context.device)),
        test.labels.to(context.device),
        suite=options.suite,
        seed=cell.seed_for("evaluate"),
    )
    winners = sorted(set(report.winner))
    return Outcome(
        metrics=tuple(_figures(report, options.area_limit, cell.seed_for("evaluate"))),
        details={
            "suite": report.suite,
            "flags": [asdict(flag) for flag in report.flags.values()],
            "notes": report.notes,
            "attacks": {name: _member(report, name) for name in report.attacks},
            "winners": winners,
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            "distance": report.distance.cpu().numpy(),
            "adversarial": report.adversarial.cpu().numpy(),
            "winner": np.array([winners.index(name) for name in report.winner], dtype=np.int16),
            "passes": report.passes.cpu().numpy(),
        },
    )


def _figures(report: AttackReport, area_limit: float, seed: int) -> Iterator[Metric]:
    distance: NDArray[np.float64] = report.distance.cpu().numpy()
    correct: NDArray[np.bool_] = report.correct.cpu().numpy()
    n = len(distance)
    yield Metric.share("accuracy", int(correct.sum()), n)
    found = np.isfinite(distance[correct])
    yield Metric.share("attack_success", int(found.sum()), len(found))
    interval = metrics.bootstrap_median(distance, correct, np.random.default_rng(seed))
    yield Metric(
        name="median_l2",
        value=_finite(metrics.median_distance(distance, correct)),
        n=int(correct.sum()),
        low=_finite(interval.low),
        high=_finite(interval.high),
    )
    yield Metric(
        name="mean_l2_area",
        value=metrics.area_under_accuracy(distance, area_limit),
        n=n,
        condition={"limit": area_limit},
    )
    norm = report.norm.cpu().numpy()
    yield Metric(
        name="rho_adv",
        value=_finite(metrics.rho_adv_of_correct(distance, norm, correct)),
        n=int(correct.sum()),
    )
    for radius in _RADII:
        robust = int((distance > radius).sum())
        yield Metric.share("accuracy_at", robust, n, radius=radius)
    yield Metric(name="passes_per_image", value=float(report.passes.double().mean()), n=n)


def _member(report: AttackReport, name: str) -> dict[str, object]:
    """How well one attack did by itself, on the images that the network puts in their class."""
    member = report.attacks[name]
    distance = member.distance_on_ray[report.correct]
    wins = sum(winner == name for winner in report.winner)
    return {
        "median_l2": float(distance.median()) if len(distance) else None,
        "wins": wins,
        "forwards": float(member.forwards.double().mean()),
        "backwards": float(member.backwards.double().mean()),
        "seconds": member.seconds,
        "error": member.error,
    }


def _finite(value: float) -> float | None:
    """A figure that does not exist, since too many images withstood, is none."""
    return value if math.isfinite(value) else None
