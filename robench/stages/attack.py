"""Push each test image until the network's answer changes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.evaluation.metrics import Distances
from robench.attacks.evaluation.scales import curve_radii
from robench.attacks.suite.minimal import minimal_l2
from robench.data.base import to_float
from robench.errors import AttackError
from robench.spec import Cell, Metric
from robench.stages.attack_members import guests, members
from robench.stages.base import Context, Outcome
from robench.stages.declarations.attack import ResolvedAttackOptions
from robench.stages.network import fresh_network, trained_network

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from robench.data.base import Data, Split
    from robench.models.base import Network

__all__ = ["attack"]

_LENDER = "l2-quick"
"""The suite that looks for adversarials of the dense control, to be tried on other networks."""
_REFERENCES = 2000
"""Training images that attacks may start from."""
_REFERENCE_VALUES = 2**25
"""So many pixels of these at most, which bounds the memory."""


def attack(cell: Cell, context: Context) -> Outcome:
    """The closest verified adversarial of each image, over all attacks of the frozen suite.

    The images are the same for all networks of a data set. The adversarials are kept, so that
    anyone can check the figures with one forward pass. Guests run beside the suite, on the same
    images and with as many passes as all of the suite, and do not count in the figures.

    The passes of the suite and those of its checks, which run on some of the images, are told
    apart; both are means over all images of the record.

    Raises:
        InputError: the network cannot be attacked, since it returns NaN, for instance.
        AttackError: every attack of the suite raised: a failed row, and not a robust network.
        PluginError: an attack of the suite needs a package that is not installed.
    """
    options = cell.options_as(ResolvedAttackOptions)
    seed = cell.seed_for("evaluate")
    network = trained_network(cell, context)
    test = context.data.test.first(options.samples)
    images, labels = to_float(test.images.to(context.device)), test.labels.to(context.device)
    references = _references(context.data, context.device)
    report = minimal_l2(
        network,
        images,
        labels,
        suite=options.suite,
        seed=seed,
        references=references,
        transferred=_lent(cell, context, images, labels, references),
        progress=False,
    )
    of_estimates, faults = _deepfool_of_estimates(network, images, seed)
    others = guests(options.extra, report, network, images, labels, references)
    table = {**members(report), **others}
    distances = Distances(
        distance=report.distance.cpu().numpy(),
        correct=report.correct.cpu().numpy(),
        norm=report.norm.cpu().numpy(),
        of_estimates=of_estimates,
    )
    winners = sorted(set(report.winner))
    return Outcome(
        metrics=(
            *_shares(distances, options),
            *_figures(distances, options.area_limit, seed),
            Metric(
                name="passes_per_image",
                value=float(report.passes.double().mean()),
                n=len(test),
            ),
            Metric(
                name="check_passes_per_image",
                value=report.checks.passes / len(test) if report.checks is not None else 0.0,
                n=len(test),
            ),
        ),
        details={
            "suite": report.suite,
            "seed": seed,
            "box": report.box,
            "views": report.views,
            "passes_allowed": report.allowed,
            "images_sha256": _identity(test),
            "flags": [asdict(flag) for flag in report.flags.values()],
            "checks": report.checks.told() if report.checks is not None else None,
            "notes": [*report.notes, *faults],
            "attacks": {name: member.told for name, member in table.items()},
            "winners": winners,
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            "correct": distances.correct,
            "distance": distances.distance,
            "adversarial": report.adversarial.cpu().numpy(),
            "winner": np.array([winners.index(name) for name in report.winner], dtype=np.int16),
            "passes": report.passes.cpu().numpy(),
            "member_distance": _stacked([member.distance for member in table.values()]),
        },
    )


def _lent(
    cell: Cell,
    context: Context,
    images: torch.Tensor,
    labels: torch.Tensor,
    references: torch.Tensor,
) -> torch.Tensor | None:
    """Adversarials of the dense control of the same seed, where the suite tries these."""
    if context.donor is None:
        return None
    dense = fresh_network(cell, context)
    context.donor().apply_to(dense)
    seed = cell.seed_for("evaluate")
    report = minimal_l2(
        dense.eval(),
        images,
        labels,
        suite=_LENDER,
        seed=seed,
        references=references,
        progress=False,
    )
    return report.adversarial


def _references(data: Data, device: torch.device) -> torch.Tensor:
    """Training images: an attacker may have them, and those under attack are not touched."""
    features = math.prod(data.train.images.shape[1:])
    count = min(_REFERENCES, max(1, _REFERENCE_VALUES // features))
    return to_float(data.train.first(count).images.to(device))


def _deepfool_of_estimates(
    network: Network, images: torch.Tensor, seed: int
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """DeepFool's distances as its authors take them: estimated labels, all images, no box."""
    try:
        found = DeepFool()(network, images, None, box=False, seed=seed)
    except AttackError as error:
        return None, [f"DeepFool without a box: {error.what}"]
    return found.distance.cpu().numpy(), []


def _shares(distances: Distances, options: ResolvedAttackOptions) -> Iterator[Metric]:
    """Accuracies with Wilson's intervals, which hold at 0 and 1 too, where the bootstrap fails."""
    distance, correct = distances.distance, distances.correct
    kept = distance[correct]
    yield Metric.share("accuracy", len(kept), len(distance))
    yield Metric.share("attack_success", int(np.isfinite(kept).sum()), len(kept))
    for radius in curve_radii(options.area_limit, options.radii):
        yield Metric.share(
            "accuracy_at", int((distance > radius).sum()), len(distance), radius=radius
        )
    for radius in options.radii:
        robust = int((kept > radius).sum())
        yield Metric.share("accuracy_of_correct_at", robust, len(kept), radius=radius)


def _figures(distances: Distances, limit: float, seed: int) -> Iterator[Metric]:
    n, correct = len(distances.distance), int(distances.correct.sum())
    for name, figure in distances.figures(limit, seed).items():
        of_correct = name.endswith("_of_correct") or name in ("median_l2", "rho_adv")
        yield Metric(
            name=name,
            value=_finite(figure.value),
            n=correct if of_correct else n,
            low=_finite(figure.low),
            high=_finite(figure.high),
            condition={"limit": limit} if name.startswith("l2_area") else {},
        )


def _finite(value: float) -> float | None:
    """A figure that does not exist, since too many images withstood, is none."""
    return value if math.isfinite(value) else None


def _stacked(distances: list[torch.Tensor]) -> NDArray[np.float32]:
    """Of each attack alone, after bisection along the ray, float32 [attacks, N]."""
    return np.stack([distance.cpu().numpy() for distance in distances]).astype(np.float32)


def _identity(test: Split) -> str:
    """Which images these are: two networks compare where they agree."""
    content = test.index.numpy().tobytes() + test.labels.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()
