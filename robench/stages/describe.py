"""What the record of a network says, however the network came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.measure.sparsity import sparsity_report
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.quality import quality
from robench.training.checkpoint import Checkpoint
from robench.training.evaluate import predict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from robench.measure.sparsity import SparsityReport
    from robench.models.base import Network

__all__ = ["describe", "level_metrics"]


def describe(
    cell: Cell,
    context: Context,
    network: Network,
    masks: Mapping[str, Tensor],
    *,
    metrics: Iterable[Metric] = (),
    details: Mapping[str, object] | None = None,
) -> Outcome:
    """How good and how sparse a network is, its answers on the test split, and its checkpoint.

    Args:
        cell: the train cell.
        context: its data.
        network: in evaluation mode, zeros in place.
        masks: of its prunable weights.
        metrics: what else there is to say.
        details: likewise, at length.
    """
    data = context.data
    logits = predict(network, data.test.images)
    validation = predict(network, data.validation.images)
    report = sparsity_report(network)
    return Outcome(
        metrics=(
            *quality(data, logits, data.test),
            *quality(data, validation, data.validation, suffix="_validation"),
            *level_metrics(cell, achieved=report.level, is_reached=cell.role == "result"),
            *_denominators(report),
            *metrics,
        ),
        details={"sparsity": report.to_json(), **(details or {})},
        arrays={
            "index": data.test.index.numpy(),
            "label": data.test.labels.numpy(),
            "logits": logits.cpu().numpy(),
        },
        checkpoint=Checkpoint.of(network, masks),
    )


def level_metrics(cell: Cell, *, achieved: float, is_reached: bool) -> tuple[Metric, ...]:
    """The level that was asked for, the one that was reached, and whether that will do."""
    return (
        Metric(name="level_target", value=cell.level),
        Metric(name="level_achieved", value=achieved),
        Metric(name="reached", value=float(is_reached)),
    )


def _denominators(report: SparsityReport) -> Iterator[Metric]:
    """The level by the measures of the papers, each a share of its own whole."""
    yield Metric(name="params_total", value=report.parameters)
    yield Metric(name="params_nonzero", value=report.parameters_nonzero)
    yield Metric(name="params_removed", value=1 - report.parameters_nonzero / report.parameters)
    yield Metric(name="rows_zero", value=report.rows_zero)
    yield Metric(name="columns_zero", value=report.columns_zero)
    yield Metric(name="neurons_removed", value=report.neurons_removed)
    yield Metric(name="dead_inputs", value=report.dead_inputs_share)
    if report.level_convolutions is not None:
        yield Metric(name="level_convolutions", value=report.level_convolutions)
