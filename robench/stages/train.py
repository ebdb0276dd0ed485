"""Train one network with one method to one level."""

from __future__ import annotations

from robench.measure.sparsity import sparsity_report
from robench.methods.base import make
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.network import fresh_network, parent_checkpoint
from robench.training.checkpoint import Checkpoint
from robench.training.evaluate import predict
from robench.training.loop import train as run_loop

__all__ = ["train"]


def train(cell: Cell, context: Context) -> Outcome:
    """Train the cell's network; keep its weights and masks, and its answers on the test split."""
    data = context.data
    network = fresh_network(cell, context)
    if cell.parent is not None:
        parent_checkpoint(context).apply_to(network)
    result = run_loop(
        network,
        make(cell.method.name, cell.method.params),
        data,
        cell.recipe,
        level=cell.level,
        steps=_steps(cell),
        learning_rate=_learning_rate(cell),
        seeds={purpose: cell.seed_for(purpose) for purpose in ("order", "method", "distortion")},
        device=context.device,
    )
    logits = {
        name: predict(network, split.images)
        for name, split in (("test", data.test), ("validation", data.validation))
    }
    correct = logits["test"].argmax(1).cpu() == data.test.labels
    correct_validation = logits["validation"].argmax(1).cpu() == data.validation.labels
    report = sparsity_report(network)
    return Outcome(
        metrics=(
            Metric.share("accuracy", int(correct.sum()), len(correct)),
            Metric.share(
                "accuracy_validation", int(correct_validation.sum()), len(correct_validation)
            ),
            Metric(name="level_target", value=cell.level),
            Metric(name="level_achieved", value=report.level),
            Metric(name="params_total", value=report.parameters),
            Metric(name="params_nonzero", value=report.parameters_nonzero),
            Metric(name="loss_final", value=result.loss_final),
            Metric(name="steps", value=result.steps),
            Metric(name="train_s", value=result.train_s),
        ),
        details={"sparsity": report.to_json(), "loss": result.losses},
        arrays={
            "index": data.test.index.numpy(),
            "label": data.test.labels.numpy(),
            "logits": logits["test"].cpu().numpy(),
        },
        checkpoint=Checkpoint.of(network, result.masks),
    )


def _steps(cell: Cell) -> int:
    if cell.role == "start":
        return cell.recipe.dense_steps
    return cell.recipe.sparse_steps if cell.parent is not None else cell.recipe.total_steps


def _learning_rate(cell: Cell) -> float:
    """The sparse phase may have a learning rate of its own; training from scratch has none."""
    own = cell.recipe.sparse_learning_rate
    return own if own is not None and cell.parent is not None else cell.recipe.learning_rate
