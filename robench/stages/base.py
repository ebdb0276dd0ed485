"""The interface of a stage, and what it is given and gives back.

A stage is one class in one file:

    class Margin(Stage[StageOptions]):
        \"\"\"How far apart the two largest logits are.\"\"\"    # what `robench list stages` shows

        name = "margin"
        metrics = (MetricInfo("margin", "margin", "Mean gap of the two largest logits."),)

        def run(self, cell: Cell, context: Context) -> Outcome:
            from robench.stages.network import trained_network
            ...
            return Outcome(metrics=(Metric(name="margin", value=gap),))

That is all: a suite may then ask for it (``evaluate: [margin]``), and plan, scheduler, coverage and
the tables of the board follow from the declaration. A declaration is read by ``robench list`` and
``load_suite``, so that robench's own import what is heavy, torch above all, inside their hooks.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, cast

from pydantic import ValidationError

from robench.errors import MeasurementError
from robench.spec import Cell, Metric, StageOptions, Status
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from robench.data.base import Data
    from robench.spec import Suite
    from robench.training.checkpoint import Checkpoint

__all__ = [
    "Context",
    "FlaggedDetails",
    "MetricInfo",
    "Outcome",
    "Premises",
    "Stage",
    "check_plugin",
]

Unit = Literal["share", "ratio", "l2", "number"]


@dataclass(frozen=True)
class Context:
    """Everything a stage may use besides its cell.

    Args:
        load: gives the data set of the cell; a stage that needs none never asks.
        device: where to compute.
        parent: reads the checkpoint that the cell hangs off; `None` where it hangs off nothing.
        donor: reads the checkpoint of the cell's donor, if it has one.
        data_root: where data sets lie that are not embedded; `None` is the usual place.
    """

    load: Callable[[], Data]
    device: torch.device
    parent: Callable[[], Checkpoint] | None = None
    donor: Callable[[], Checkpoint] | None = None
    data_root: Path | None = None

    @property
    def data(self) -> Data:
        """The data set of the cell."""
        return self.load()


@dataclass(frozen=True)
class Premises:
    """What is known when a cell is planned.

    Attributes:
        data: the data set, loaded.
        device: ``cpu`` or ``cuda``.
        data_root: where data sets lie that are not embedded; `None` is the usual place.
    """

    data: Data
    device: str
    data_root: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What came out of a stage: numbers, per-sample arrays, and perhaps a checkpoint."""

    metrics: tuple[Metric, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    """Plain data: whatever a person may want to know beyond the metrics."""
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    status: Status = "ok"
    reason: str | None = None
    """Why the status is not ``ok``."""
    traceback: str | None = None


@dataclass(frozen=True)
class MetricInfo:
    """What a stage says about one of its metrics, for the board and for people.

    Attributes:
        name: as in the record.
        title: head of its column, without the unit.
        meaning: a sentence for those who do not know it.
        unit: ``share`` of a whole, shown in percent; ``ratio``, how many times; ``l2`` distance; or
            a plain ``number``.
        bounds: the least and the greatest value that there is: no interval goes beyond.
        better: which way is better; `None` where neither is.
        over_seeds: how the values of several seeds become one.
        shown: where its mean over seeds has a column of its own: in the ``leaderboard``, in the
            ``terminal`` as well, among the ``levels`` by other measures, or nowhere (``kept``).
            It is the value without any condition, that of clean images for instance.
    """

    name: str
    title: str
    meaning: str
    unit: Unit = "number"
    bounds: tuple[float, float] = (float("-inf"), float("inf"))
    better: Literal["higher", "lower"] | None = None
    over_seeds: Literal["arithmetic", "geometric"] = "arithmetic"
    shown: Literal["terminal", "leaderboard", "levels", "kept"] = "kept"


class FlaggedDetails(Frozen):
    """Details of a stage that may warn of its own figures; the board shows its flags in their row.

    Attributes:
        flags: of each its ``name``, ``meaning``, whether it is ``raised``, its ``kind``
            (``warning`` or ``note``), and perhaps ``value`` and ``threshold``.
    """

    flags: tuple[dict[str, Any], ...] = ()


Asked = TypeVar("Asked", bound=StageOptions)


class Stage(ABC, Generic[Asked]):
    """One kind of work on one network: what may be asked for, what comes out, and the work.

    Attributes:
        name: in a suite's ``evaluate``, in cells and in records.
        version: raised whenever a figure changes; another version makes other cells.
        Options: what a suite may ask for.
        Details: the model of its outcome's ``details``; `None` leaves them open.
        metrics: what is known of its metrics.
        is_evaluation: whether a suite asks for it under ``evaluate``, and each cell of it hangs off
            a trained network.
        is_timed: whether it takes time: nothing may run beside a cell of it.
        imports: modules that it uses when it first runs, which a worker imports ahead of it.
        needs_network: whether its cells belong to a network; of one that needs none, `cells` plans
            them.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    Options: ClassVar[type[StageOptions]] = StageOptions
    Details: ClassVar[type[Frozen] | None] = None
    metrics: ClassVar[tuple[MetricInfo, ...]] = ()
    is_evaluation: ClassVar[bool] = True
    is_timed: ClassVar[bool] = False
    imports: ClassVar[tuple[str, ...]] = ()
    needs_network: ClassVar[bool] = True

    @classmethod
    def all_metrics(cls) -> tuple[MetricInfo, ...]:
        """`metrics`, and what plug-ins of the stage bring besides."""
        return cls.metrics

    def applies_to(self, data: Data) -> Literal[True] | str:
        """Whether there is something to measure on these data; why not, where there is not."""
        del data
        return True

    def cells(self, suite: Suite, device: str) -> Iterator[Cell]:
        """The cells of a suite that belong to no network; none by default.

        Args:
            suite: says at its top what is asked for.
            device: where they will run.
        """
        del suite, device
        yield from ()

    def check(self, asked: Asked, locate: Callable[..., str | None]) -> None:
        """Refuse what cannot be, before anything is trained.

        Args:
            asked: from the suite.
            locate: ``locate("kinds", 0)`` is file and line of a part of the options, for messages.

        Raises:
            SuiteError: the options ask for what there is not.
        """

    def resolve(self, asked: Asked, premises: Premises) -> Frozen:
        """The options with everything that can change a number: they stand in the cell.

        Args:
            asked: from the suite.
            premises: where the cell will run, and on which data.
        """
        del premises
        return asked

    def donor(self, asked: Asked, train: Cell, dense: Cell | None) -> str | None:
        """The id of another train cell whose checkpoint this stage reads as well.

        Args:
            asked: from the suite.
            train: stands for the training of the network at hand.
            dense: that of the dense control of the same seed, where there is one.
        """
        del asked, train, dense
        return None

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The plug-ins among the options of a cell: registry, name, and which code it is."""
        del cell
        yield from ()

    @abstractmethod
    def run(self, cell: Cell, context: Context) -> Outcome:
        """Do the work of one cell.

        Raises:
            NotApplicableError: it has no meaning for this network or these data.
        """

    def checked(self, outcome: Outcome) -> Outcome:
        """The outcome, if its details are those that were declared.

        Raises:
            MeasurementError: they are not.
        """
        if self.Details is None or outcome.status in ("failed", "not-applicable"):
            return outcome
        try:
            self.Details.model_validate(dict(outcome.details))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise MeasurementError(
                f"the details of the stage {self.name!r} are not those that it declares: "
                f"{where}: {problem['msg']}"
            ) from None
        return outcome


def check_plugin(value: object) -> str | None:
    """Why `value` is not a stage, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, Stage) or value is Stage:
        return "it is not a subclass of robench.stages.base.Stage"
    name: object = getattr(value, "name", None)
    version, options, details = (
        cast("object", getattr(value, part)) for part in ("version", "Options", "Details")
    )
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        return f"its `name` is {name!r}, not lower-case letters, digits, hyphens and underscores"
    if not isinstance(version, int) or version < 1:
        return f"its `version` is {version!r}, not a whole number from 1"
    if not isinstance(options, type) or not issubclass(options, StageOptions):
        return "its `Options` is not derived from robench.spec.StageOptions"
    if details is not None and not (isinstance(details, type) and issubclass(details, Frozen)):
        return "its `Details` is not derived from robench.spec.base.Frozen"
    if value.is_evaluation and (why := _fault_of_options(options)):
        return why
    if value.run is Stage.run or not _takes_two_arguments(value.run):
        return "its `run` does not take (self, cell, context)"
    return _fault_of_metrics(value.metrics)


def _fault_of_options(options: type[StageOptions]) -> str | None:
    required = [name for name, of in options.model_fields.items() if of.is_required()]
    if required:
        return f"its `Options` have no default for {required[0]!r}"
    return None


def _takes_two_arguments(run: Callable[..., Any]) -> bool:
    try:
        inspect.signature(run).bind(None, None, None)
    except TypeError:
        return False
    return True


def _fault_of_metrics(metrics: object) -> str | None:
    if not isinstance(metrics, tuple) or not all(isinstance(m, MetricInfo) for m in metrics):
        return "its `metrics` are not a tuple of robench.stages.base.MetricInfo"
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"its `metrics` have {twice[0]!r} twice" if twice else None
