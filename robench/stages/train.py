"""Train one network with one method to one level, or take one that was trained elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from robench.errors import LevelNotReachedError, StoreError
from robench.methods.base import make
from robench.models.base import prunable
from robench.spec import Cell, Metric, starts_from_dense
from robench.stages.base import Context, Outcome
from robench.stages.describe import describe, level_metrics
from robench.stages.network import fresh_network, parent_checkpoint
from robench.training import loop
from robench.training.weights import file_sha256, fit_weights, normalise_by, read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from robench.methods.base import Method
    from robench.models.base import Network

__all__ = ["train"]


def train(cell: Cell, context: Context) -> Outcome:
    """Train the cell's network; keep its weights and masks, and its answers on the test split.

    A level that the method cannot reach is a row that says so, with the level that it came to.
    """
    network = fresh_network(cell, context)
    if cell.method.is_given:
        return _given(cell, context, network)
    if cell.parent is not None:
        parent_checkpoint(context).apply_to(network)
    try:
        result = _trained(cell, context, network)
    except LevelNotReachedError as error:
        return Outcome(
            status="not-applicable",
            reason=str(error),
            metrics=level_metrics(cell, achieved=error.achieved, is_reached=False),
        )
    return describe(
        cell,
        context,
        network,
        result.masks,
        metrics=(
            Metric(name="level_native", value=result.native),
            *(Metric(name="loss_final", value=loss) for loss in result.losses[-1:]),
            Metric(name="steps", value=result.steps),
            Metric(name="train_s", value=result.train_s),
        ),
        details={"loss": result.losses, "method": result.notes, **_about_noise(result)},
    )


def _about_noise(result: loop.TrainResult) -> dict[str, object]:
    """How long adversarial noise was, and whether it left anything of the images."""
    if result.noise is None or not result.noise.images:
        return {}
    return {"noise": result.noise.notes(), "flags": result.noise.flags()}


def _given(cell: Cell, context: Context, network: Network) -> Outcome:
    """A network whose weights lie in a file."""
    path = cell.method.location
    if path is None or file_sha256(path) != cell.method.params["sha256"]:
        raise StoreError(
            "the file of the weights is gone, or changed while it was being evaluated",
            where=path,
            hint="run `robench evaluate` again: its cells will be new ones",
        )
    weights = read_weights(path)
    fit_weights(network, weights)
    mean, std = (_numbers(cell.method.params, name) for name in ("mean", "std"))
    normalisation = normalise_by(network, weights, mean, std)
    network.eval()
    masks = {name: weight.detach() != 0 for name, weight in prunable(network).items()}
    return describe(cell, context, network, masks, details={"normalisation": asdict(normalisation)})


def _numbers(params: Mapping[str, JsonValue], name: str) -> list[float]:
    """A list of numbers among the parameters of a plug-in."""
    values = params[name]
    return [float(str(value)) for value in values] if isinstance(values, list) else []


def _trained(cell: Cell, context: Context, network: Network) -> loop.TrainResult:
    method = make(cell.method.name, cell.method.params)
    is_finished_only = method.shares_training and cell.role == "result"
    steps, learning_rate = _budget(cell, method, is_trained=is_finished_only)
    settings = loop.RunSettings(
        cell.recipe,
        level=cell.level,
        steps=steps,
        learning_rate=learning_rate,
        seeds={purpose: cell.seed_for(purpose) for purpose in ("order", "method", "distortion")},
        device=context.device,
    )
    if is_finished_only:
        return loop.finish(network, method, context.data, settings)
    donor = context.donor().masks if context.donor is not None else None
    return loop.train(network, method, context.data, settings, donor=donor)


def _budget(cell: Cell, method: Method, *, is_trained: bool) -> tuple[int, float]:
    """Steps and learning rate; those that the parent had where the network is trained already.

    The phase that follows a dense network may have a learning rate of its own.
    """
    recipe = cell.recipe
    if cell.role == "start" and not method.shares_training:
        return recipe.dense_steps, recipe.learning_rate
    is_from_dense = cell.parent is not None
    if is_trained:
        is_from_dense = starts_from_dense(method) and recipe.dense_steps > 0
    if not is_from_dense:
        return recipe.total_steps, recipe.learning_rate
    return recipe.sparse_steps, recipe.sparse_learning_rate or recipe.learning_rate
