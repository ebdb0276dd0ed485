"""Cells for a network that robench did not train: its weights take the place of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robench.blame import blamed_on
from robench.errors import UsageError
from robench.registry import all_registries
from robench.spec import GIVEN, Cell, PluginChoice, PluginRef, Suite
from robench.spec.plugins import resolve_plugin

if TYPE_CHECKING:
    from robench.data.base import Data
    from robench.models.base import Network
    from robench.training.weights import Normalisation

__all__ = ["ExternalModel", "plan_external"]


@dataclass(frozen=True)
class ExternalModel:
    """A trained network.

    Attributes:
        path: its weights, safetensors.
        model: its architecture.
        name: what the board calls it.
        dataset: of the suite's data sets, the one that it knows; `None` takes them all.
        mean: what it subtracts from each channel, in [0, 1], one value a channel or one for all;
            empty means what the file says, or else the mean of the data set.
        std: what it divides by, likewise.
    """

    path: Path
    model: PluginChoice
    name: str
    dataset: str | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def plan_external(
    suite: Suite,
    given: ExternalModel,
    *,
    data_root: Path | None = None,
    device: str = "cpu",
    note: Callable[[str], None] = lambda _: None,
) -> list[Cell]:
    """The evaluations of a suite for one network, after the cell that stands for its training.

    Args:
        suite: a checked suite; its data sets and evaluations count, not its models and methods.
        given: the network.
        data_root: where data sets lie that are not embedded.
        device: ``cpu`` or ``cuda``, resolved.
        note: is told what is being loaded.

    Raises:
        UsageError: the weights do not fit the model, or no data set is of that name.
    """
    from robench.engine.plan import evaluations, idle_stages, loader, tell_idle
    from robench.methods.masks import achieved_level
    from robench.models.base import prunable

    load, rooms = loader(data_root, note), all_registries()
    model = resolve_plugin(rooms["models"], given.model)
    method = _method(given)
    cells: dict[str, Cell] = {}
    idle: dict[str, str] = {}
    names: list[str] = []
    for grid in suite.grids:
        for choice in grid.data:
            data = resolve_plugin(rooms["datasets"], choice)
            names.append(data.label)
            if given.dataset is not None and given.dataset not in (data.label, data.name):
                continue
            loaded = load(data)
            idle.update(idle_stages(grid.evaluate, loaded))
            network, normalisation = _network(given, model, loaded)
            note(f"{data.label}: {normalisation.told}")
            train = Cell(
                stage="train",
                suite=suite.name,
                suite_version=suite.version,
                data=data,
                data_sha256=loaded.sha256,
                model=model,
                method=method,
                level=round(achieved_level(prunable(network)), 4),
                seed=grid.seeds[0],
                recipe=grid.recipe,
                device=device,
            )
            for cell in (train, *evaluations(train, grid.evaluate, loaded, data_root)):
                cells.setdefault(cell.id, cell)
    if not names:
        raise UsageError(
            f"the suite {suite.name!r} has no data sets, so that no network can be evaluated on it",
            hint="choose a suite that trains networks: `robench list suites`",
        )
    if not cells:
        raise UsageError(
            f"the suite {suite.name!r} has no data set {given.dataset!r}",
            allowed=sorted(set(names)),
        )
    tell_idle(suite, idle, cells.values(), note)
    return list(cells.values())


def _method(given: ExternalModel) -> PluginRef:
    from robench.training.weights import file_sha256

    params = {
        "weights": given.name,
        "sha256": file_sha256(given.path),
        "mean": list(given.mean),
        "std": list(given.std),
    }
    location = str(given.path.resolve())
    return PluginRef(name=GIVEN, version=2, params=params, changed=("weights",), location=location)


def _network(given: ExternalModel, model: PluginRef, data: Data) -> tuple[Network, Normalisation]:
    """The network with its weights, which tries whether they fit at all."""
    from robench.models import build
    from robench.training.weights import fit_weights, normalise_by, read_weights

    with blamed_on("model", model.name, all_registries()["models"].get(given.model.name)):
        network = build(
            model.location or model.name,
            input_shape=data.input_shape,
            classes=data.outputs,
            mean=data.mean,
            std=data.std,
            params=model.params,
        )
    weights = read_weights(given.path)
    fit_weights(network, weights)
    return network, normalise_by(network, weights, given.mean, given.std)
