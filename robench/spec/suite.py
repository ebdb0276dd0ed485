"""A suite: data sets × models × methods × levels × seeds × evaluations, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator

from robench.errors import SuiteError, UnknownNameError
from robench.spec.base import Frozen
from robench.spec.complaint import suite_error
from robench.spec.distortion import Distortion
from robench.spec.evaluations import Evaluations
from robench.spec.options import NotEmpty, OneOrMany, PluginChoice
from robench.spec.recipe import Recipe
from robench.spec.source import Source, read_yaml
from robench.spec.suite_checks import check_suite

__all__ = [
    "Grid",
    "LayersOptions",
    "Suite",
    "find_suite",
    "load_suite",
    "shipped_suites",
]

Level = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0)]
_MOST_SEEDS = 1000


class LayersOptions(Frozen):
    """Single convolutions, timed at the sparsities that a paper published."""

    table: Literal["wen2016"] = "wen2016"
    """AlexNet's five convolutions, from Wen et al. 2016 (arXiv 1608.03665), Table 4."""
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], NotEmpty, OneOrMany] = (1,)
    repeats: Annotated[int, Field(ge=30)] = 30


class Grid(Frozen):
    """One full product of a suite."""

    data: Annotated[tuple[PluginChoice, ...], NotEmpty, OneOrMany]
    models: Annotated[tuple[PluginChoice, ...], NotEmpty, OneOrMany]
    methods: Annotated[tuple[PluginChoice, ...], NotEmpty, OneOrMany]
    levels: Annotated[tuple[Level, ...], NotEmpty, OneOrMany] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
    """Requested shares of prunable weights that are zero; the dense control is always there."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=_MOST_SEEDS)] = (0, 1, 2)
    """In YAML a list, or a count: ``3`` means 0, 1, 2."""
    recipe: Recipe = Recipe()
    distortions: Annotated[tuple[Distortion | None, ...], NotEmpty] = (None,)
    """Training distortions; the recipe is repeated with each. ``none`` means clean images."""
    evaluate: Evaluations = Evaluations()

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_of_seeds(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return value
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_SEEDS:
            raise ValueError(
                f"must be a count from 1 to {_MOST_SEEDS}, or a list of whole numbers from 0"
            )
        return tuple(range(value))

    @field_validator("distortions", mode="before")
    @classmethod
    def _distortions_by_name(cls, value: object) -> object:
        items = value if isinstance(value, list | tuple) else [value]
        return [_distortion_from_yaml(item) for item in items]


class Suite(Frozen):
    """A named and versioned benchmark.

    The keys of a `Grid` may stand at the top; each entry of `grids` then changes some of them.
    Without `grids` the top is the only grid.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[int, Field(ge=1)]
    description: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cell_limit_s: Annotated[float, Field(gt=0)] | None = None
    """Seconds that one cell may take before it becomes a row that says ``over-budget``; to load its
    data set and to start its process do not count."""
    layers: LayersOptions | None = None
    """Layers to time one by one; a suite of these alone needs no data, models or methods."""
    grids: tuple[Grid, ...]
    _source: Source | None = PrivateAttr(default=None)
    _flat: bool = PrivateAttr(default=False)

    @property
    def is_flat(self) -> bool:
        """Whether the file has no `grids`: its only grid stands at the top."""
        return self._flat

    def locate(self, *loc: str | int) -> str | None:
        """``"file:line"`` of a part of the suite, for messages; `None` without a file."""
        if self._source is None:
            return None
        in_grid = self._source.lines.get(tuple(loc))
        if in_grid is None and loc[:1] == ("grids",):
            loc = loc[2:]  # the key stands at the top and this grid inherits it
        return self._source.locate(loc)


def load_suite(path: str | Path) -> Suite:
    """Read and check a suite.

    Args:
        path: a YAML file, or the name of a suite that comes with robench.

    Raises:
        SuiteError: names file, line, key, value and what is allowed.
        UnknownNameError: a method, model, data set or degradation that does not exist.
    """
    file = find_suite(path)
    content, source = read_yaml(file)
    if not isinstance(content, dict):
        raise SuiteError(
            "a suite is a mapping of keys",
            where=f"{file}:1",
            allowed=("name", "version", "data", "models", "methods", "levels", "evaluate"),
        )
    expanded, flat = _expand_grids(content, source)
    try:
        suite = Suite.model_validate(expanded)
    except ValidationError as error:
        raise suite_error(error, source, model=Suite, flat=flat) from None
    suite._source = source
    suite._flat = flat
    check_suite(suite)
    return suite


def shipped_suites() -> dict[str, Path]:
    """The suites that come with robench, by name; from the checkout or the installed package."""
    package = Path(__file__).parent.parent
    for folder in (package / "suites", package.parent / "suites"):
        if folder.is_dir():
            return {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    return {}


def find_suite(path: str | Path) -> Path:
    """The file of a suite, from a path or the name of a shipped one.

    Raises:
        UnknownNameError: it is neither.
    """
    file = Path(path)
    if file.is_file():
        return file
    shipped = shipped_suites()
    if file.name == str(path) and file.suffix == "":
        if str(path) in shipped:
            return shipped[str(path)]
        raise UnknownNameError("suite", str(path), shipped)
    return file


def _expand_grids(content: dict[str, Any], source: Source) -> tuple[dict[str, Any], bool]:
    """Spread the keys at the top over the grids; tells also whether there was only the top."""
    own = {key: value for key, value in content.items() if key not in Grid.model_fields}
    shared = {key: value for key, value in content.items() if key in Grid.model_fields}
    if "grids" not in own:
        is_layers_only = own.get("layers") is not None and not shared
        return {**own, "grids": [] if is_layers_only else [shared]}, True
    grids = own["grids"]
    if not isinstance(grids, list) or not grids or not all(isinstance(g, Mapping) for g in grids):
        raise SuiteError(
            "`grids` is a list of mappings, at least one", where=source.locate(("grids",))
        )
    return {**own, "grids": [{**shared, **grid} for grid in grids]}, False


def _distortion_from_yaml(value: object) -> object:
    if value is None or value == "none":
        return None
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Mapping) and "level" in value:
        rest = {key: item for key, item in value.items() if key != "level"}
        return {**rest, "levels": [value["level"]]}
    return value
