"""How far a network's confidence is to be trusted, on clean and on degraded images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from robench.spec import Cell, Metric, json_number
from robench.spec.base import Frozen
from robench.spec.options import NotEmpty, Samples, StageOptions, listed
from robench.stages.base import Context, MetricInfo, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import classes, classified_images
from robench.stages.declarations.kinds import (
    ResolvedDegradeOptions,
    kinds_in,
    named_kinds,
    resolve_degraded,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.data.base import Data
    from robench.measure.calibration import Reliability
    from robench.models.base import Network

__all__ = ["Bin", "Calibration", "CalibrationDetails", "CalibrationOptions"]

Bins = Annotated[int, Field(ge=1, le=1000)]


class CalibrationOptions(StageOptions):
    """Into how many bins confidences go, and which degradations the images go through besides."""

    kinds: Annotated[tuple[str, ...], NotEmpty] | Literal["all", "none"] = "all"
    """As of `degrade`; ``none`` asks for clean images alone, and tables have nothing else."""
    samples: Samples = None
    bins: Bins = 15
    """Guo et al. 2017 have 15; figures compare at equal numbers alone."""

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if isinstance(value, str) and value in ("all", "none") else listed(value)

    def plugins(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """The kinds that it names."""
        return named_kinds(self.kinds)


class ResolvedCalibrationOptions(ResolvedDegradeOptions):
    """`CalibrationOptions` once it is known which kinds and levels there are."""

    bins: Bins


class Bin(Frozen):
    """A bar of the reliability diagram, of clean inputs."""

    low: float
    high: float
    count: int
    confidence: float | None = None
    """Mean over its answers; `None` where there is none."""
    accuracy: float | None = None


class CalibrationDetails(Frozen):
    """What the record says beside the metrics."""

    reliability: tuple[Bin, ...]
    """Of clean inputs, bins of equal width."""
    conditions: tuple[str, ...]
    """Of each row of the arrays: ``clean``, then kind and level."""
    left_out: dict[str, str]
    """Kind → why these images cannot bear it."""


class Calibration(Stage[CalibrationOptions]):
    """Whether the network is right as often as it is sure, on clean and on degraded images."""

    name = "calibration"
    Options = CalibrationOptions
    Details = CalibrationDetails
    imports = ("robench.measure.calibration", "robench.stages.degrade")
    metrics = (
        MetricInfo(
            "ece",
            "calibration error",
            "Expected calibration error on clean test inputs: how far the share of right answers "
            "is from the network's confidence, mean over bins of equal width; less is better. "
            "Few inputs make it larger, so that rows compare at one number of inputs and bins.",
            unit="share",
            bounds=(0.0, 1.0),
            better="lower",
            shown="leaderboard",
        ),
        MetricInfo(
            "adaptive_ece",
            "adaptive calibration error",
            "The same over bins of equally many answers.",
            unit="share",
            bounds=(0.0, 1.0),
            better="lower",
        ),
        MetricInfo(
            "overconfidence",
            "overconfidence",
            "Mean confidence minus accuracy: above zero, the network is surer than it is right.",
            unit="share",
            bounds=(-1.0, 1.0),
        ),
        MetricInfo(
            "brier",
            "Brier score",
            "Mean squared distance of the probabilities of all classes from the truth.",
            bounds=(0.0, 2.0),
            better="lower",
        ),
        MetricInfo(
            "nll",
            "negative log-likelihood",
            "Mean of minus the logarithm of the probability of the right class, in nats.",
            bounds=(0.0, math.inf),
            better="lower",
        ),
    )

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To data with classes."""
        return classes(data)

    def resolve(self, asked: CalibrationOptions, premises: Premises) -> ResolvedCalibrationOptions:
        """Kinds with their versions and levels; none where the inputs are no images."""
        if asked.kinds == "none" or classified_images(premises.data) is not True:
            return ResolvedCalibrationOptions(kinds={}, samples=asked.samples, bins=asked.bins)
        degraded = resolve_degraded(asked.kinds, asked.samples, premises.data)
        return ResolvedCalibrationOptions(**dict(degraded), bins=asked.bins)

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The kinds."""
        return kinds_in(cell)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """Calibration errors, Brier score and log-likelihood under each condition.

        The degraded images are those that the stage ``degrade`` shows, with the same noise.
        """
        import numpy as np

        from robench.measure.calibration import equal_width
        from robench.stages.network import trained_network

        options = cell.options_as(ResolvedCalibrationOptions)
        test = context.data.test.first(options.samples)
        labels = test.labels.cpu().numpy()
        left_out = _unfit(options, context.data)
        metrics: list[Metric] = []
        answers: list[tuple[str, NDArray[np.float64], NDArray[np.bool_]]] = []
        shown = _outputs(cell, context, options, trained_network(cell, context), left_out)
        for condition, logits in shown:
            metrics += _metrics(logits, labels, options.bins, condition)
            answers.append((_named(condition), *_confidence(logits, labels)))
        _, confidence, correct = answers[0]
        clean = equal_width(confidence, correct, options.bins)
        return Outcome(
            metrics=tuple(metrics),
            details={
                "reliability": [bin_.model_dump() for bin_ in _bars(clean)],
                "conditions": [name for name, *_ in answers],
                "left_out": left_out,
            },
            arrays={
                "index": test.index.numpy(),
                "label": test.labels.numpy(),
                "confidence": np.stack([of for _, of, _ in answers]).astype(np.float32),
                "correct": np.stack([right for *_, right in answers]),
            },
        )


def _outputs(
    cell: Cell,
    context: Context,
    options: ResolvedCalibrationOptions,
    network: Network,
    left_out: dict[str, str],
) -> Iterator[tuple[dict[str, str | float], NDArray[np.float32]]]:
    """Condition and logits [N, classes]: of clean inputs, then of each kind and level."""
    import torch

    from robench.stages.degrade import shown_parts
    from robench.training.evaluate import predict

    yield {}, predict(network, context.data.test.first(options.samples).images).cpu().numpy()
    # The seed of `degrade`, so that both stages speak of the same images.
    seed = cell.model_copy(update={"stage": "degrade"}).seed_for("evaluate")
    for kind, declared in options.kinds.items():
        for level in declared.levels if kind not in left_out else ():
            parts = shown_parts(context.data, kind, level, options.samples, seed, context.device)
            logits = torch.cat([predict(network, part) for part in parts])
            yield {"kind": kind, "test_level": json_number(level)}, logits.cpu().numpy()


def _unfit(options: ResolvedCalibrationOptions, data: Data) -> dict[str, str]:
    from robench.stages.degrade import unfit_kinds

    return unfit_kinds(options.kinds, data) if options.kinds else {}


def _metrics(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    bins: int,
    condition: dict[str, str | float],
) -> Iterator[Metric]:
    from robench.measure.calibration import brier_scores, equal_mass, equal_width, log_losses
    from robench.stats.resampling import mean_figure

    confidence, correct = _confidence(logits, labels)
    n = len(labels)
    for name, value in (
        ("ece", equal_width(confidence, correct, bins).error),
        ("adaptive_ece", equal_mass(confidence, correct, bins).error),
        ("overconfidence", float(confidence.mean() - correct.mean())),
    ):
        yield Metric(name=name, value=value, n=n, condition=condition)
    for name, scores in (
        ("brier", brier_scores(logits, labels)),
        ("nll", log_losses(logits, labels)),
    ):
        mean, low, high = (bound if math.isfinite(bound) else None for bound in mean_figure(scores))
        yield Metric(name=name, value=mean, n=n, low=low, high=high, condition=condition)


def _confidence(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Largest probability and whether the answer is right, [N] each."""
    from robench.measure.calibration import probabilities

    return probabilities(logits).max(axis=1), logits.argmax(axis=1) == labels


def _bars(found: Reliability) -> Iterator[Bin]:
    bins = len(found.count)
    for place, count in enumerate(found.count.tolist()):
        own = (float(found.confidence[place]), float(found.accuracy[place])) if count else ()
        yield Bin(
            low=place / bins,
            high=(place + 1) / bins,
            count=count,
            **dict(zip(("confidence", "accuracy"), own, strict=False)),
        )


def _named(condition: dict[str, str | float]) -> str:
    return f"{condition['kind']} {float(condition['test_level']):g}" if condition else "clean"
