"""Cells for a network that robench did not train: its weights take the place of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robench.errors import UsageError
from robench.spec import GIVEN, Cell, PluginChoice, PluginRef, Suite

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["Given", "plan_given"]


@dataclass(frozen=True)
class Given:
    """A trained network.

    Attributes:
        path: its weights, safetensors.
        model: its architecture.
        name: what the board calls it.
        dataset: of the suite's data sets, the one that it knows; `None` takes them all.
        mean: what it subtracts from each channel, in [0, 1]; empty means that of the data set, or
            what the file says.
        std: what it divides by, likewise.
    """

    path: Path
    model: PluginChoice
    name: str
    dataset: str | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def plan_given(
    suite: Suite,
    given: Given,
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
    from robench.engine.plan import evaluations, loader
    from robench.engine.resolve import resolve_plugin
    from robench.registry import all_registries

    load, rooms = loader(data_root, note), all_registries()
    model = resolve_plugin(rooms["models"], given.model)
    method = _method(given)
    cells: dict[str, Cell] = {}
    names: list[str] = []
    for grid in suite.grids:
        for choice in grid.data:
            data = resolve_plugin(rooms["datasets"], choice)
            names.append(data.label)
            if given.dataset is not None and given.dataset not in (data.label, data.name):
                continue
            loaded = load(data)
            train = Cell(
                stage="train",
                suite=suite.name,
                suite_version=suite.version,
                data=data,
                data_sha256=loaded.sha256,
                model=model,
                method=method,
                level=_level(given, model, loaded),
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
    return list(cells.values())


def _method(given: Given) -> PluginRef:
    from robench.training.weights import file_sha256

    params = {
        "weights": given.name,
        "sha256": file_sha256(given.path),
        "mean": list(given.mean),
        "std": list(given.std),
    }
    location = str(given.path.resolve())
    return PluginRef(name=GIVEN, version=1, params=params, changed=("weights",), location=location)


def _level(given: Given, model: PluginRef, data: Data) -> float:
    """The share of prunable weights that are zero; also tries whether the weights fit at all."""
    from robench.methods.masks import achieved_level
    from robench.models import build
    from robench.models.base import prunable
    from robench.training.weights import fit_weights, read_weights

    network = build(
        model.name,
        input_shape=data.input_shape,
        classes=data.outputs,
        mean=given.mean or data.mean,
        std=given.std or data.std,
        params=model.params,
    )
    fit_weights(network, read_weights(given.path))
    return round(achieved_level(prunable(network)), 4)
