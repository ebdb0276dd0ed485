"""Train one network with one method to one level."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from robench.errors import LevelNotReachedError
from robench.measure.sparsity import sparsity_report
from robench.methods.base import make
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.network import fresh_network, parent_checkpoint
from robench.stages.quality import quality
from robench.training import loop
from robench.training.checkpoint import Checkpoint
from robench.training.evaluate import predict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robench.measure.sparsity import SparsityReport
    from robench.methods.base import Method
    from robench.models.base import Network

__all__ = ["train"]


def train(cell: Cell, context: Context) -> Outcome:
    """Train the cell's network; keep its weights and masks, and its answers on the test split.

    A level that the method cannot reach is a row that says so, with the level that it came to.
    """
    network = fresh_network(cell, context)
    if cell.parent is not None:
        parent_checkpoint(context).apply_to(network)
    try:
        result = _trained(cell, context, network)
    except LevelNotReachedError as error:
        return Outcome(
            status="not-applicable",
            reason=str(error),
            metrics=_levels(cell, achieved=error.achieved, is_reached=False),
        )
    data = context.data
    logits = predict(network, data.test.images)
    validation = predict(network, data.validation.images)
    report = sparsity_report(network)
    return Outcome(
        metrics=(
            *quality(data, logits, data.test),
            *quality(data, validation, data.validation, suffix="_validation"),
            *_levels(cell, achieved=report.level, is_reached=cell.role == "result"),
            Metric(name="level_native", value=result.native),
            *_denominators(report),
            *(Metric(name="loss_final", value=loss) for loss in result.losses[-1:]),
            Metric(name="steps", value=result.steps),
            Metric(name="train_s", value=result.train_s),
        ),
        details={"sparsity": report.to_json(), "loss": result.losses, "method": result.notes},
        arrays={
            "index": data.test.index.numpy(),
            "label": data.test.labels.numpy(),
            "logits": logits.cpu().numpy(),
        },
        checkpoint=Checkpoint.of(network, result.masks),
    )


def _trained(cell: Cell, context: Context, network: Network) -> loop.TrainResult:
    method = make(cell.method.name, cell.method.params)
    is_finished_only = method.trains_once and cell.role == "result"
    steps, learning_rate = _budget(cell, method, is_trained=is_finished_only)
    donor = context.donor().masks if context.donor is not None else None
    run = loop.finish if is_finished_only else partial(loop.train, donor=donor)
    return run(
        network,
        method,
        context.data,
        cell.recipe,
        level=cell.level,
        steps=steps,
        learning_rate=learning_rate,
        seeds={purpose: cell.seed_for(purpose) for purpose in ("order", "method", "distortion")},
        device=context.device,
    )


def _budget(cell: Cell, method: Method, *, is_trained: bool) -> tuple[int, float]:
    """Steps and learning rate; those that the parent had where the network is trained already.

    The phase that follows a dense network may have a learning rate of its own.
    """
    recipe = cell.recipe
    if cell.role == "start" and not method.trains_once:
        return recipe.dense_steps, recipe.learning_rate
    is_from_dense = cell.parent is not None
    if is_trained:
        is_from_dense = method.starts_from == "dense" and recipe.dense_steps > 0
    if not is_from_dense:
        return recipe.total_steps, recipe.learning_rate
    return recipe.sparse_steps, recipe.sparse_learning_rate or recipe.learning_rate


def _levels(cell: Cell, *, achieved: float, is_reached: bool) -> tuple[Metric, ...]:
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
