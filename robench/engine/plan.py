"""From a suite to its cells: every input resolved, parents before children."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.blame import blamed_on
from robench.engine.resolve import own_options, resolve_options
from robench.errors import InputError, SuiteError
from robench.registry import Registry, all_registries
from robench.spec import (
    CONTROLS,
    DENSE,
    LABELLED,
    Cell,
    Distortion,
    Evaluations,
    Grid,
    PluginChoice,
    PluginRef,
    Suite,
    starts_from_dense,
)
from robench.spec.plugins import resolve_plugin
from robench.stages import STAGES, place_of, stage
from robench.stages.base import Premises
from robench.stages.declarations.train import resolve_drawn

if TYPE_CHECKING:
    from robench.data.base import Data
    from robench.methods.base import Method

__all__ = ["evaluations", "idle_stages", "loader", "plan", "select", "tell_idle"]


@dataclass(frozen=True)
class _Network:
    """What the cells of one trained network have in common."""

    suite: Suite
    data: PluginRef
    loaded: Data
    model: PluginRef
    seed: int
    device: str
    data_root: Path | None

    def train_cell(self, grid: Grid, distortion: Distortion | None, **own: Any) -> Cell:
        """A train cell of this network under one recipe."""
        recipe = grid.recipe.model_copy(update={"distortion": distortion})
        return Cell(
            stage="train",
            suite=self.suite.name,
            suite_version=self.suite.version,
            data=self.data,
            data_sha256=self.loaded.sha256,
            model=self.model,
            seed=self.seed,
            recipe=recipe,
            device=self.device,
            options={
                **(resolve_drawn(distortion) if distortion is not None else {}),
                **own_options("train"),
            },
            **own,
        )


def plan(
    suite: Suite,
    *,
    data_root: Path | None = None,
    device: str = "cpu",
    guests: Sequence[str] = (),
    note: Callable[[str], None] = lambda _: None,
) -> list[Cell]:
    """All cells of a suite, each once, parents before children.

    Args:
        suite: a checked suite.
        guests: methods that join every grid, for instance those of a plug-in file.
        data_root: where data sets lie that are not embedded.
        device: ``cpu`` or ``cuda``, resolved.
        note: is told what is being loaded, since large data sets take a while.

    Raises:
        ParameterError: a plug-in was given a parameter that it does not take.
        DataError: a data set is missing or corrupt.
        SuiteError: nothing that the suite evaluates applies to its data.
    """
    load = loader(data_root, note)
    cells: dict[str, Cell] = {}
    idle: dict[str, str] = {}
    for index, grid in enumerate(suite.grids):
        at = () if suite.is_flat else ("grids", index)
        for cell in _cells_of_grid(suite, grid, at, load, device, guests, data_root, idle):
            cells.setdefault(cell.id, cell)
    _check_labels(suite, cells.values())
    tell_idle(suite, idle, cells.values(), note)
    for name in sorted(STAGES.names(), key=place_of):
        if not (declared := stage(name)).needs_network:
            cells |= {cell.id: cell for cell in declared.cells(suite, device)}
    return list(cells.values())


def _check_labels(suite: Suite, cells: Iterable[Cell]) -> None:
    """One label cannot stand for two things.

    Raises:
        SuiteError: names the label and what it stands for.
    """
    for kind, key in zip(LABELLED, ("data", "models", "methods"), strict=True):
        known: dict[str, PluginRef] = {}
        for cell in cells:
            plugin: PluginRef = getattr(cell, kind)
            other = known.setdefault(plugin.label, plugin)
            if (plugin.own_label or other.own_label) and plugin.model_dump() != other.model_dump():
                raise SuiteError(
                    f"the label {plugin.label!r} stands for {other.plain_label!r} and for "
                    f"{plugin.plain_label!r}",
                    where=suite.locate(*(() if suite.is_flat else ("grids", 0)), key),
                    hint="give each a label of its own",
                )


def select(cells: Iterable[Cell], pattern: str) -> list[Cell]:
    """The cells that a pattern names, and the cells that these hang off.

    A pattern names a cell by its id, or by a part of its label, in which ``*`` and ``?`` stand for
    anything: ``lenet-300-100``, ``mnist/* halo``.
    """
    cells = list(cells)
    by_id = {cell.id: cell for cell in cells}
    chosen: set[str] = set()
    waiting = [cell.id for cell in cells if matches(cell, pattern)]
    while waiting:
        cell = by_id[waiting.pop()]
        chosen.add(cell.id)
        waiting += cell.needs
    return [cell for cell in cells if cell.id in chosen]


def matches(cell: Cell, pattern: str) -> bool:
    """Whether a pattern names this cell itself."""
    if cell.id.startswith(pattern.casefold()):
        return True
    glob = f"*{pattern.casefold()}*".replace("[", "[[]")
    labels = {cell.label.casefold(), cell.plain_label.casefold()}
    return any(fnmatch.fnmatchcase(label, glob) for label in labels)


def loader(root: Path | None, note: Callable[[str], None]) -> Callable[[PluginRef], Data]:
    """Loads data sets, and says so once of each."""
    from robench.data import load

    told: set[str] = set()

    def load_and_tell(data: PluginRef) -> Data:
        if data.label not in told:
            told.add(data.label)
            note(f"loading {data.label}")
        return load(data.location or data.name, data.params, root=root)

    return load_and_tell


def _cells_of_grid(
    suite: Suite,
    grid: Grid,
    at: tuple[str | int, ...],
    load: Callable[[PluginRef], Data],
    device: str,
    guests: Sequence[str],
    data_root: Path | None,
    idle: dict[str, str],
) -> Iterator[Cell]:
    rooms = all_registries()

    def resolved(room: str, key: str) -> list[PluginRef]:
        found: list[PluginRef] = []
        for place, choice in enumerate(getattr(grid, key)):
            where = suite.locate(*at, key, place)
            plugin = resolve_plugin(rooms[room], choice, where=where)
            if plugin.model_dump() in [other.model_dump() for other in found]:
                raise SuiteError(
                    f"{key}: {plugin.label!r} is given twice, once with its defaults spelt out",
                    where=where,
                    hint="keep one of them",
                )
            found.append(plugin)
        return found

    _check_stages(suite, grid, at)

    for place, distortion in enumerate(grid.distortions):
        if distortion is not None:
            where = suite.locate(*at, "distortions", place)
            _check_levels(distortion, rooms["degradations"], where)
    methods = _completed(resolved("methods", "methods"), guests, rooms["methods"])
    _check_donors(methods, suite.locate(*at, "methods"))
    models = resolved("models", "models")
    for data in resolved("datasets", "data"):
        loaded = load(data)
        idle.update(idle_stages(grid.evaluate, loaded))
        for place, distortion in enumerate(grid.distortions):
            if distortion is not None:
                where = suite.locate(*at, "distortions", place)
                _check_bearable(distortion, loaded, rooms["degradations"], where)
        for model, distortion, seed in itertools.product(models, grid.distortions, grid.seeds):
            network = _Network(suite, data, loaded, model, seed, device, data_root)
            yield from _cells_of_network(network, grid, distortion, methods, rooms["methods"])


def _check_stages(suite: Suite, grid: Grid, at: tuple[str | int, ...]) -> None:
    """What stages find wrong with their options is found before anything is trained."""
    for name, asked in grid.evaluate.options.items():
        declared = stage(name)
        with blamed_on("stage", name, declared):
            declared.check(asked, partial(suite.locate, *at, "evaluate", name))


def tell_idle(
    suite: Suite, idle: dict[str, str], cells: Iterable[Cell], note: Callable[[str], None]
) -> None:
    """Say which stages the suite asks for in vain.

    Args:
        suite: that was planned.
        idle: stages that do not apply to some of its data, and why.
        cells: all that was planned.
        note: is told of each stage that no data set is fit for.

    Raises:
        SuiteError: this holds for all of them.
    """
    planned = {cell.stage for cell in cells}
    in_vain = {name: why for name, why in idle.items() if name not in planned}
    asked = {name for grid in suite.grids for name in grid.evaluate.options}
    if asked and asked <= in_vain.keys():
        at = () if suite.is_flat else ("grids", 0)
        reasons = "; ".join(f"{name}: {why}" for name, why in in_vain.items())
        raise SuiteError(
            f"nothing that the suite evaluates applies to its data ({reasons})",
            where=suite.locate(*at, "evaluate"),
            hint="ask for other stages (`robench list stages`), take other data, or leave "
            "`evaluate` out to train alone",
        )
    for name, why in in_vain.items():
        note(f"the stage {name} applies to none of the suite's data and is left out: {why}")


def _check_levels(distortion: Distortion, registry: Registry[Any], where: str | None) -> None:
    """A level that its kind does not take is found before anything is trained."""
    for kind, level in itertools.product(distortion.degradations, distortion.levels):
        degradation = registry.get(kind)
        try:
            with blamed_on("degradation", kind, degradation):
                degradation.check_level(level)
        except InputError as error:
            raise SuiteError(error.what, where=where, allowed=error.allowed) from None


def _check_bearable(
    distortion: Distortion, data: Data, registry: Registry[Any], where: str | None
) -> None:
    """What the images of a data set cannot go through is found before anything is trained."""
    shape = data.train.images.shape[1:]
    if len(shape) != 3:
        raise SuiteError(
            f"{distortion.label} distorts images, and {data.name} has rows of {shape[0]} features",
            where=where,
            hint="give the tabular data a grid of its own, with `distortions: [none]`",
        )
    for kind in distortion.degradations:
        if not registry.get(kind).takes(*shape):
            raise SuiteError(
                f"{kind} does not take the images of {data.name}, which are "
                + " x ".join(map(str, shape)),
                where=where,
                allowed=[known for known in registry.names() if registry.get(known).takes(*shape)],
                hint="leave it out for this data set",
            )


def _completed(
    methods: list[PluginRef], guests: Sequence[str], registry: Registry[Any]
) -> list[PluginRef]:
    """The controls that are missing, the methods of the suite, and the guests."""

    def missing(names: Sequence[str]) -> list[PluginRef]:
        present = {method.name for method in methods}
        return [
            resolve_plugin(registry, PluginChoice(name=name))
            for name in names
            if name not in present
        ]

    return [*missing(CONTROLS), *methods, *missing(guests)]


def _cells_of_network(
    network: _Network,
    grid: Grid,
    distortion: Distortion | None,
    methods: list[PluginRef],
    registry: Registry[Any],
) -> Iterator[Cell]:
    """One network under one recipe and seed, made sparse by each method, and its evaluations."""
    is_scratch = distortion is None or distortion.trains == "from-scratch"
    start = network.train_cell(
        grid,
        distortion if is_scratch else None,
        role="start",
        level=0.0,
        method=next(method for method in methods if method.is_dense),
    )
    if grid.recipe.dense_steps:
        yield start
    trained: dict[tuple[str, float], Cell] = {}
    for method in _donors_first(methods):
        kind: type[Method] = registry.get(method.name)
        parent = start.id if starts_from_dense(kind) and grid.recipe.dense_steps else None
        if kind.shares_training:
            shared = network.train_cell(
                grid, distortion, role="start", level=0.0, method=method, parent=parent
            )
            yield shared
            parent = shared.id
        for level in (0.0,) if method.is_dense else grid.levels:
            donor = trained[method_of, level] if (method_of := _donor_of(method)) else None
            if donor is not None:
                parent = _start_of(donor, registry, start)
            train = network.train_cell(
                grid,
                distortion,
                method=method,
                level=level,
                parent=parent,
                donor=donor.id if donor is not None else None,
            )
            trained.setdefault((method.name, level), train)
            yield train
            dense = trained.get((DENSE, 0.0))
            yield from evaluations(train, grid.evaluate, network.loaded, network.data_root, dense)


def _donor_of(method: PluginRef) -> str | None:
    """The name of the method whose masks this one asks for."""
    from robench.methods.base import make

    kind = all_registries()["methods"].get(method.name)
    with blamed_on("method", method.name, kind):
        return make(kind, method.params).mask_source()


def _donors_first(methods: list[PluginRef]) -> list[PluginRef]:
    # The dense control is first of all: attacks on the others may start from its adversarials.
    return sorted(methods, key=lambda m: (_donor_of(m) is not None, not m.is_dense))


def _start_of(donor: Cell, registry: Registry[Any], start: Cell) -> str | None:
    """Where a method with a donor starts: where the donor itself did."""
    is_from_dense = starts_from_dense(registry.get(donor.method.name))
    return start.id if is_from_dense and donor.recipe.dense_steps else None


def _check_donors(methods: Sequence[PluginRef], where: str | None) -> None:
    """A method that asks for masks must find the method that makes them, and no chain of them.

    Raises:
        SuiteError: names the method, and those that it could ask.
    """
    able = [m.name for m in methods if _donor_of(m) is None and not m.is_dense]
    for method in methods:
        donor = _donor_of(method)
        if donor is not None and donor not in able:
            raise SuiteError(
                f"{method.label!r} asks for the masks of {donor!r}, which this grid does not train",
                where=where,
                allowed=able,
                hint=f"add {donor!r} to `methods`",
            )


def evaluations(
    train: Cell,
    evaluate: Evaluations,
    data: Data,
    data_root: Path | None = None,
    dense: Cell | None = None,
) -> Iterator[Cell]:
    """The cells that hang off a trained network, with everything resolved that can change them.

    Args:
        train: stands for the training of the network.
        evaluate: what is asked for.
        data: the data set, loaded.
        data_root: where data sets lie that are not embedded.
        dense: the training of the dense control of the same seed, where there is one.
    """
    idle = idle_stages(evaluate, data)
    for name in sorted(evaluate.options.keys() - idle.keys(), key=place_of):
        asked, declared = evaluate.options[name], stage(name)
        with blamed_on("stage", name, declared):
            donor = declared.donor(asked, train, dense)
        options = resolve_options(name, asked, Premises(data, train.device, data_root))
        yield train.model_copy(
            update={"stage": name, "parent": train.id, "donor": donor, "options": options}
        )


def idle_stages(evaluate: Evaluations, data: Data) -> dict[str, str]:
    """The stages that are asked for and say nothing about these data, with the reasons."""
    found = {}
    for name in evaluate.options:
        declared = stage(name)
        with blamed_on("stage", name, declared):
            answer = declared.applies_to(data)
        if answer is not True:
            found[name] = answer
    return found
