"""Compact a trained network and time it against the network as it was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from robench.compaction.compactor import compact
from robench.compaction.report import report_of
from robench.data.base import to_float
from robench.deploy.inference import inference_form
from robench.deploy.inference_module import InferenceForm
from robench.deploy.sparse_forms import csr_form, two_of_four_form
from robench.errors import CompactionError, InputError, NotApplicableError
from robench.measure.execution_modes import ExecutionMode
from robench.measure.machine import check_machine
from robench.measure.speed import BatchSpeed, SpeedReport, measure_speed
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.declarations.speed import ResolvedSpeedOptions
from robench.stages.network import trained_network

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["speed"]

_EXAMPLES = 32
"""Real inputs on which the compacted network is proven equal, and with which batches are filled."""
_WAYS: tuple[ExecutionMode, ...] = ("compiled", "captured")
_KERNELS = ("csr", "2:4")
"""Forms whose second network is no compacted one, but the same with sparse kernels."""


def speed(cell: Cell, context: Context) -> Outcome:
    """Operations, bytes and latency of the network, before and after compaction."""
    options = cell.options_as(ResolvedSpeedOptions)
    check_machine(options.machine, cell.device)
    network = trained_network(cell, context)
    validation = context.data.validation.first(_EXAMPLES)
    example = to_float(validation.images.to(context.device))
    compacted = compact(network, example)
    compaction = report_of(compacted)
    pairs, notes = _pairs(options, network, compacted, example)
    report = measure_speed(
        network,
        compacted,
        example,
        context.device,
        batch_sizes=options.batch_sizes,
        repeats=options.repeats,
        ways=[mode for mode in _WAYS if mode in options.forms],
        pairs=pairs,
    )
    noisy = [str(batch.batch_size) for batch in report.batches if batch.status == "noisy"]
    difference = compaction.differences.logits_float32
    return Outcome(
        metrics=(
            *_counts(report),
            Metric(name="max_abs_logit_difference", value=difference),
            Metric(name="units_removed", value=compaction.units_removed),
            *(metric for batch in report.batches for metric in _times(batch)),
            *(
                metric
                for form, batches in report.forms.items()
                for batch in batches
                for metric in _form_times(form, batch)
            ),
        ),
        details={
            "compaction": compaction.to_json(),
            "speed": {**report.to_json(), "notes": {**report.notes, **notes}},
            "recipes": _recipes(pairs),
        },
        status="noisy" if noisy else "ok",
        reason=f"latency varied too much at batch size {', '.join(noisy)}" if noisy else None,
    )


def _pairs(
    options: ResolvedSpeedOptions, network: nn.Module, compacted: nn.Module, example: Tensor
) -> tuple[dict[str, tuple[nn.Module, nn.Module]], dict[str, str]]:
    """The forms that were asked for, each beside its dense network; why others are not there."""

    def two_of_four() -> tuple[nn.Module, nn.Module]:
        form = two_of_four_form(network, example)
        return form.dense, form.network

    makers: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
        "inference": lambda: (
            inference_form(network, example),
            inference_form(compacted, example),
        ),
        "csr": lambda: (network, csr_form(network, example).network),
        "2:4": two_of_four,
    }
    pairs: dict[str, tuple[nn.Module, nn.Module]] = {}
    notes: dict[str, str] = {}
    for form, make in makers.items():
        if form not in options.forms:
            continue
        try:
            pairs[form] = make()
        except (NotApplicableError, CompactionError, InputError) as error:
            notes[form] = str(error)
    return pairs, notes


def _recipes(pairs: Mapping[str, tuple[nn.Module, nn.Module]]) -> dict[str, dict[str, Any]]:
    """How inference forms are executed: name of the form → network → recipe."""
    return {
        form: {
            name: network.recipe.to_json()
            for name, network in zip(("dense", "compacted"), pair, strict=True)
            if isinstance(network, InferenceForm)
        }
        for form, pair in pairs.items()
        if any(isinstance(network, InferenceForm) for network in pair)
    }


def _counts(report: SpeedReport) -> Iterator[Metric]:
    yield Metric(name="macs_dense", value=report.original.macs)
    yield Metric(name="macs_nonzero", value=report.original.macs_nonzero)
    yield Metric(name="macs_compacted", value=report.compacted.macs)
    yield Metric(name="operation_ratio", value=report.macs_ratio)
    yield Metric(name="operation_ratio_nonzero", value=report.macs_nonzero_ratio)
    for network, counted in (("dense", report.original), ("compacted", report.compacted)):
        yield Metric(name=f"parameters_{network}", value=counted.parameters)
        yield Metric(name=f"bytes_{network}", value=counted.bytes)
        yield Metric(name=f"file_bytes_{network}", value=counted.file_bytes)
        peak = counted.peak_activation_bytes
        yield Metric(name=f"peak_activation_bytes_{network}", value=peak)


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


def _form_times(form: str, batch: BatchSpeed) -> Iterator[Metric]:
    """The same of another form, under names of its own, so that no table averages over forms."""
    second = form if form in _KERNELS else "compacted"
    for metric in _times(batch):
        network = "dense" if metric.condition.get("network") == "dense" else second
        condition = {**metric.condition, "form": form, "network": network}
        yield metric.model_copy(update={"name": f"form_{metric.name}", "condition": condition})
