"""A suite: data sets × models × methods × levels × seeds × evaluations, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from robench.errors import SuiteError, UnknownNameError
from robench.spec.base import Frozen, without_missing_code
from robench.spec.complaint import suite_error
from robench.spec.distortion import Distortion
from robench.spec.recipe import Recipe
from robench.spec.source import Source, read_yaml
from robench.spec.suite_checks import check_suite

__all__ = [
    "AttackOptions",
    "CorruptOptions",
    "DegradeOptions",
    "Distortion",
    "Evaluations",
    "Grid",
    "LayerOptions",
    "LayersOptions",
    "PluginChoice",
    "Recipe",
    "ResolvedAttack",
    "ResolvedAttackOptions",
    "ResolvedCorruptOptions",
    "ResolvedDegradeOptions",
    "ResolvedKind",
    "ResolvedSpeedOptions",
    "ResolvedWorstNoiseOptions",
    "SpeedForm",
    "SpeedOptions",
    "Suite",
    "TreesOptions",
    "WorstNoiseOptions",
    "find_suite",
    "load_suite",
    "shipped_suites",
]

Level = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0)]
_MOST_SEEDS = 1000


def _listed(value: object) -> object:
    """A single value may stand where a list of them may."""
    return [value] if isinstance(value, str | int | float | Mapping) else value


OneOrMany = BeforeValidator(_listed)
NotEmpty = Field(min_length=1)


class PluginChoice(Frozen):
    """A plug-in by name, with the parameters that differ from its defaults.

    In YAML either ``halo`` or ``{name: halo, xi: 1.0e-5}``.
    """

    name: str
    params: dict[str, JsonValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and "params" not in value:
            name = {"name": value["name"]} if "name" in value else {}
            return {**name, "params": {key: value[key] for key in value if key != "name"}}
        if not isinstance(value, Mapping | cls):
            raise ValueError("must be a name, or a mapping with `name` and parameters")
        return value


SpeedForm = Literal["inference", "csr", "2:4", "compiled", "captured"]


class SpeedOptions(Frozen):
    """How latency is measured: dense parent against compacted network, interleaved."""

    batch_sizes: Annotated[
        tuple[Annotated[int, Field(ge=1)] | Literal["saturating"], ...], NotEmpty, OneOrMany
    ] = (1, 64)
    """``saturating`` is found for each network: figures stand side by side at equal sizes alone."""
    repeats: Annotated[int, Field(ge=30)] = 30
    forms: Annotated[tuple[SpeedForm, ...], OneOrMany] = ("inference", "csr", "captured")
    """What is timed beside, each against the dense network in the same form: ``inference`` folds
    BatchNorm and keeps channels last, ``csr`` and ``2:4`` are sparse kernels of linear layers,
    ``compiled`` is `torch.compile`, left out by default for it takes seconds a network, and
    ``captured`` a CUDA graph. A form that does not fit the network or the machine is noted."""


class ResolvedSpeedOptions(SpeedOptions):
    """`SpeedOptions` once it is known where time is taken."""

    machine: str
    """Key of the hardware: another machine measures for itself."""
    version: int = 1
    """Raised whenever what is timed or counted changes."""


class AttackOptions(Frozen):
    """Which frozen attack suite runs, on how many test images."""

    suite: str = "l2-quick"
    samples: Annotated[int, Field(ge=1)] | None = None
    """The first so many images of the test split's fixed order; `None` means all."""
    area_limit: Annotated[float, Field(gt=0)] | None = None
    """Distance up to which the area under the curve of robust accuracy is taken; `None` is the
    data set's own, see `robench.attacks.evaluation.scales`."""
    radii: Annotated[tuple[Annotated[float, Field(gt=0)], ...] | None, OneOrMany] = None
    """Distances at which the robust accuracy is told; `None` is the data set's own."""
    extra: Annotated[tuple[PluginChoice, ...], OneOrMany] = ()
    """Guests: attacks that run beside the frozen suite, to be compared with its members. They never
    count in its distances; attacks of ``--plugin`` files join by themselves."""


class ResolvedAttack(Frozen):
    """A guest attack as a cell asks for it, with all of its parameters."""

    name: str
    version: int
    params: dict[str, JsonValue] = {}
    label: str
    """Its name with the parameters that the suite set itself."""
    code: str | None = None
    """Which code it is, where that is not robench's own."""

    @model_serializer(mode="wrap")
    def _without_missing_code(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_missing_code(dump(self))


class ResolvedAttackOptions(Frozen):
    """`AttackOptions` once the data set is known, and the versions of everything."""

    suite: str
    version: int
    """Of the attack suite: figures of two versions do not compare."""
    samples: int | None = None
    area_limit: float
    radii: tuple[float, ...]
    extra: tuple[ResolvedAttack, ...] = ()


class DegradeOptions(Frozen):
    """Which degradations the test images go through."""

    kinds: Annotated[tuple[str, ...], NotEmpty] | Literal["all"] = "all"
    samples: Annotated[int, Field(ge=1)] | None = None

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if value == "all" else _listed(value)


class CorruptOptions(Frozen):
    """Which common corruptions the test images go through."""

    images: Literal["generated", "stored"] = "generated"
    """``generated`` corrupts the test images here; ``stored`` reads the published files of
    CIFAR-10-C, CIFAR-100-C, MNIST-C or ImageNet-C."""
    path: str | None = None
    """The folder of those files; `None` looks for their published name in the data root."""
    constants: Literal["auto", "imagenet-c", "cifar-10-c"] = "auto"
    """What severities mean for generated images; ``auto`` takes those of CIFAR-10-C for images of
    up to 64 pixels, and those of ImageNet-C for larger ones."""
    kinds: Annotated[tuple[str, ...], NotEmpty] | Literal["common", "all"] = "common"
    """``common`` are the fifteen to be reported, ``all`` has the four extra ones too; of a stored
    set, both are all that it holds."""
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], NotEmpty, OneOrMany] = (
        1,
        2,
        3,
        4,
        5,
    )
    samples: Annotated[int, Field(ge=1)] | None = None

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if value in ("common", "all") else _listed(value)


class ResolvedCorruptOptions(Frozen):
    """`CorruptOptions` once it is known which images there are, and what makes them."""

    origin: str
    """Where the images come from, in words; part of every metric's condition."""
    images: Literal["generated", "stored"]
    path: str | None = None
    constants: str | None = None
    kinds: tuple[str, ...]
    severities: tuple[int, ...]
    samples: int | None = None
    left_out: dict[str, str] = {}
    """Kind → why these images cannot bear it."""
    made_by: dict[str, str] = {}
    """Versions of what makes generated images, or the fingerprint of stored ones."""
    missing: str | None = None
    """What has to be there first, where it is not."""


class WorstNoiseOptions(Frozen):
    """Noise of a generator that is trained against the finished network."""

    generator: Literal["adversarial-noise", "adversarial-noise-3x3"] = "adversarial-noise"
    steps: Annotated[int, Field(ge=1)] = 200
    """Of the generator; it was published with at most 1,000."""
    rms: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Root mean square of the noise that it learns with; left out it is that of the data set, half
    the way from an image to a blank one. Published for ImageNet is 0.348."""
    samples: Annotated[int, Field(ge=1)] | None = None


class ResolvedWorstNoiseOptions(WorstNoiseOptions):
    """`WorstNoiseOptions` as a cell has them."""

    version: int
    """Raised whenever the noise or the search changes."""


class TreesOptions(Frozen):
    """Gradient-boosted trees beside the network, on tabular data only."""

    library: Literal["scikit-learn", "lightgbm"] = "scikit-learn"
    most_rounds: Annotated[int, Field(ge=1)] = 300
    """The validation split chooses how many of these rounds of boosting are kept."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    leaves: Annotated[int, Field(ge=2)] = 31
    """The most leaves that a tree may have."""


class ResolvedKind(Frozen):
    """A degradation as a cell asks for it: its version, and the levels to show."""

    version: int
    levels: tuple[float, ...]
    code: str | None = None
    """Which code it is, where that is not robench's own."""

    @model_serializer(mode="wrap")
    def _without_missing_code(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_missing_code(dump(self))


class ResolvedDegradeOptions(Frozen):
    """`DegradeOptions` once it is known which kinds and levels there are."""

    kinds: dict[str, ResolvedKind]
    samples: int | None = None


class Evaluations(Frozen):
    """What is done with each trained network. Leave a stage out to skip it."""

    speed: SpeedOptions | None = None
    attack: AttackOptions | None = None
    degrade: DegradeOptions | None = None
    corrupt: CorruptOptions | None = None
    worst_noise: WorstNoiseOptions | None = None
    trees: TreesOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_alone(cls, value: object) -> object:
        # `evaluate: [speed, attack]` and `attack: true` both mean "with the defaults".
        if isinstance(value, list):
            value = dict.fromkeys(value, True)
        if isinstance(value, Mapping):
            return {key: {} if item is True else item for key, item in value.items()}
        return value


class LayersOptions(Frozen):
    """Single convolutions, timed at the sparsities that a paper published."""

    table: Literal["wen2016"] = "wen2016"
    """AlexNet's five convolutions, from Wen et al. 2016 (arXiv 1608.03665), Table 4."""
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], NotEmpty, OneOrMany] = (1,)
    repeats: Annotated[int, Field(ge=30)] = 30


class LayerOptions(Frozen):
    """One layer of a published table, as a cell asks for it."""

    table: str
    layer: str
    row: int
    batch_size: int
    repeats: int
    machine: str
    """Key of the hardware: another machine measures for itself."""


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
