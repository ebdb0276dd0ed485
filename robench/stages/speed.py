"""Compact a trained network and time it against the network as it was trained."""

from __future__ import annotations

from collections.abc import Iterator

from robench.compaction.compactor import compact
from robench.compaction.report import report_of
from robench.data.base import to_float
from robench.measure.speed import BatchSpeed, SpeedReport, measure_speed
from robench.spec import Cell, Metric, SpeedOptions
from robench.stages.base import Context, Outcome
from robench.stages.network import trained_network

__all__ = ["speed"]

_EXAMPLES = 32
"""Real inputs on which the compacted network is proven equal, and with which batches are filled."""


def speed(cell: Cell, context: Context) -> Outcome:
    """Operations, bytes and latency of the network, before and after compaction."""
    options = SpeedOptions.model_validate(cell.options)
    network = trained_network(cell, context)
    validation = context.data.validation.first(_EXAMPLES)
    example = to_float(validation.images.to(context.device))
    compacted = compact(network, example)
    compaction = report_of(compacted)
    report = measure_speed(
        network,
        compacted,
        example,
        context.device,
        batch_sizes=options.batch_sizes,
        repeats=options.repeats,
    )
    noisy = [str(batch.batch_size) for batch in report.batches if batch.status == "noisy"]
    difference = compaction.differences.logits_float32
    return Outcome(
        metrics=(
            *_counts(report),
            Metric(name="max_abs_logit_difference", value=difference),
            Metric(name="units_removed", value=compaction.units_removed),
            *(metric for batch in report.batches for metric in _times(batch)),
        ),
        details={"compaction": compaction.to_json(), "speed": report.to_json()},
        status="noisy" if noisy else "ok",
        reason=f"latency varied too much at batch size {', '.join(noisy)}" if noisy else None,
    )


def _counts(report: SpeedReport) -> Iterator[Metric]:
    yield Metric(name="macs_dense", value=report.original.macs)
    yield Metric(name="macs_nonzero", value=report.original.macs_nonzero)
    yield Metric(name="macs_compacted", value=report.compacted.macs)
    yield Metric(name="operation_ratio", value=report.macs_ratio)
    yield Metric(name="operation_ratio_nonzero", value=report.macs_nonzero_ratio)
    yield Metric(name="bytes_dense", value=report.original.bytes)
    yield Metric(name="bytes_compacted", value=report.compacted.bytes)


def _times(batch: BatchSpeed) -> Iterator[Metric]:
    """Latency and speed-up; none at all where the machine was too busy for them to be true."""
    if batch.status == "noisy":
        return
    size = batch.batch_size
    for network, latency in (("dense", batch.original), ("compacted", batch.compacted)):
        for name, value in (
            ("latency_ms", latency.median_ms),
            ("latency_iqr_ms", latency.iqr_ms),
        ):
            condition = {"batch_size": size, "network": network}
            yield Metric(name=name, value=value, n=latency.repeats, condition=condition)
    yield Metric(
        name="speedup",
        value=batch.speed_up.value,
        n=batch.speed_up.blocks,
        low=batch.speed_up.low,
        high=batch.speed_up.high,
        condition={"batch_size": size},
    )
