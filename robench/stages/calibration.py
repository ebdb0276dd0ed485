"""How far a network's confidence is to be trusted, on clean and on degraded images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from robench.blame import blamed_on
from robench.spec import Cell, Metric, json_number
from robench.spec.base import Frozen, without_missing_code
from robench.spec.options import NotEmpty, Samples, StageOptions, listed
from robench.stages.base import Context, MetricInfo, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import classes, classified_images
from robench.stages.declarations.kinds import (
    ResolvedDegradeOptions,
    kinds_in,
    named_kinds,
    resolve_degraded,
)
from robench.stages.scores import SCORES, other_scores, own_scores
from robench.stages.scores.base import Answers

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
    metrics: Annotated[tuple[str, ...], NotEmpty] | Literal["all"] = "all"
    """As `robench list metrics` shows them; ``all`` are robench's own."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _one_metric_or_many(cls, value: object) -> object:
        return value if value == "all" else listed(value)

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if isinstance(value, str) and value in ("all", "none") else listed(value)

    def plugins(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """The kinds and the metrics that it names."""
        yield from named_kinds(self.kinds)
        for place, name in enumerate(self.metrics if isinstance(self.metrics, tuple) else ()):
            yield ("metrics", place), "metrics", name

    def with_guests(self, found: Sequence[tuple[str, str]]) -> Self:
        """The metrics of a run's own plug-in files are measured beside those that it names."""
        asked = own_scores() if self.metrics == "all" else self.metrics
        new = [name for kind, name in found if kind == SCORES.kind and name not in asked]
        return self.model_copy(update={"metrics": (*asked, *new)}) if new else self


class ResolvedScore(Frozen):
    """A metric as a cell asks for it."""

    version: int
    code: str | None = None
    """Which code it is, where that is not robench's own."""

    @model_serializer(mode="wrap")
    def _without_missing_code(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_missing_code(dump(self))


_FIRST = {
    name: ResolvedScore(version=1)
    for name in ("ece", "adaptive_ece", "overconfidence", "brier", "nll")
}


class ResolvedCalibrationOptions(ResolvedDegradeOptions):
    """`CalibrationOptions` once it is known which kinds and levels there are."""

    bins: Bins
    metrics: dict[str, ResolvedScore] = _FIRST

    @model_serializer(mode="wrap")
    def _without_the_first(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Cells keep the ids that they had when these metrics were all that there was.
        dumped: dict[str, Any] = dump(self)
        if self.metrics == _FIRST:
            del dumped["metrics"]
        return dumped


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
    """Calibration of the network's confidence, on clean and on degraded images."""

    name = "calibration"
    Options = CalibrationOptions
    Details = CalibrationDetails
    imports = ("robench.measure.calibration", "robench.stages.degrade")
    metrics = tuple(SCORES.get(name).info() for name in own_scores())

    @classmethod
    def all_metrics(cls) -> tuple[MetricInfo, ...]:
        """Also those of plug-ins."""
        return (*cls.metrics, *other_scores())

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To data with classes."""
        return classes(data)

    def resolve(self, asked: CalibrationOptions, premises: Premises) -> ResolvedCalibrationOptions:
        """Kinds with their versions and levels; none where the inputs are no images."""
        names = own_scores() if asked.metrics == "all" else asked.metrics
        metrics = {
            name: ResolvedScore(version=SCORES.get(name).version, code=SCORES.code(name))
            for name in names
        }
        own: dict[str, Any] = {"bins": asked.bins, "metrics": metrics}
        if asked.kinds == "none" or classified_images(premises.data) is not True:
            return ResolvedCalibrationOptions(kinds={}, samples=asked.samples, **own)
        degraded = resolve_degraded(asked.kinds, asked.samples, premises.data)
        return ResolvedCalibrationOptions(**dict(degraded), **own)

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The kinds and the metrics."""
        yield from kinds_in(cell)
        metrics = cell.options.get("metrics")
        for name, of in metrics.items() if isinstance(metrics, dict) else ():
            code = of.get("code") if isinstance(of, dict) else None
            yield "metrics", name, code if isinstance(code, str) else None

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
            given = Answers(logits, labels, options.bins)
            metrics += _measured(given, options.metrics, condition)
            answers.append((_named(condition), given.confidence, given.correct))
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


def _measured(
    answers: Answers, names: Iterable[str], condition: dict[str, str | float]
) -> Iterator[Metric]:
    for name in names:
        score = SCORES.get(name)
        with blamed_on("metric", name, score):
            found = score().measure(answers)
            yield Metric(
                name=name,
                value=found.value,
                n=len(answers.labels),
                low=found.low,
                high=found.high,
                condition=condition,
            )


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
