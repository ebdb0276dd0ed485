"""A method under test, and the runs of it that rules share."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from robench.conformance.method_run import Setting, as_planned
from robench.conformance.networks import NETWORKS
from robench.conformance.observer import source_files
from robench.conformance.report import SubjectInfo
from robench.conformance.rule import BrokenError, SkippedError
from robench.methods import METHODS
from robench.methods.base import Method, check_plugin
from robench.spec import is_dense

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from robench.conformance.method_run import MethodRun
    from robench.conformance.observer import Fault
    from robench.registry import Registry

__all__ = ["PluginSubject", "Subject", "line_of_definition"]


def line_of_definition(value: object) -> str | None:
    """``"file:line"`` of a class or function."""
    target: Any = inspect.unwrap(value) if callable(value) else type(value)
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return None


class PluginSubject:
    """A plug-in under test.

    Args:
        registry: of its kind.
        name: under which the registry has it, or would.
        value: the plug-in itself.
        note: is told of what is about to be done.
    """

    def __init__(
        self,
        registry: Registry[Any],
        name: str,
        value: Any,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.registry = registry
        self.word = registry.kind
        self.name = name
        self.value = value
        self.note = note

    @property
    def file(self) -> Path:
        """The file that defines it."""
        target = inspect.unwrap(self.value) if callable(self.value) else type(self.value)
        return Path(inspect.getsourcefile(target) or "")

    @property
    def files(self) -> frozenset[str]:
        """Whose lines can be at fault."""
        return frozenset([str(self.file)])

    @property
    def source_sha256(self) -> str:
        """Hexadecimal hash of that file."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def line_of(self, part: str | None = None) -> str | None:
        """``"file:line"`` of a method of the plug-in; of the plug-in, where it has none."""
        own = vars(self.value).get(part) if part and hasattr(self.value, "__dict__") else None
        return line_of_definition(self.value if own is None else own)

    @property
    def info(self) -> SubjectInfo:
        """Which plug-in it is."""
        version = getattr(self.value, "version", None)
        return SubjectInfo(
            kind=self.word,
            name=self.name,
            version=version if isinstance(version, int) else None,
            file=str(self.file),
            line=self.line_of(),
            source_sha256=self.source_sha256,
        )


class Subject(PluginSubject):
    """A method under test. Runs are made when a rule asks for them, each once.

    Args:
        kind: the class of the method.
        note: is told of each run before it is made.
    """

    def __init__(self, kind: type[Method], note: Callable[[str], None] = lambda _: None) -> None:
        name = getattr(kind, "name", None)
        super().__init__(METHODS, name if isinstance(name, str) else kind.__name__, kind, note)
        self.kind = kind
        self._runs: dict[Setting, MethodRun] = {}

    @cached_property
    def refusal(self) -> str | None:
        """Why robench does not take the class for a method; `None` if it does."""
        return check_plugin(self.kind)

    @property
    def files(self) -> frozenset[str]:
        """The files that its classes come from."""
        return source_files(self.kind)

    def line_of(self, hook: str | None = None) -> str | None:
        """``"file:line"`` of a hook; of the class, where it does not fill that hook."""
        own = getattr(self.kind, hook, None) if hook else None
        is_filled = own is not None and own is not getattr(Method, str(hook), None)
        return line_of_definition(own if is_filled else self.kind)

    @cached_property
    def params(self) -> BaseModel:
        """The default parameters.

        Raises:
            SkippedError: there are none.
        """
        if self.refusal is not None:
            raise SkippedError("robench does not take the class for a method; see `interface`")
        if problem := self.problem_of_defaults():
            raise SkippedError(f"{problem}; see `defaults-in-schema`")
        return self.kind.Params()

    def problem_of_defaults(self) -> str | None:
        """Why the parameters' own schema does not take their defaults; `None` if it does."""
        schema = self.kind.Params
        try:
            params = schema()
            schema.model_validate({name: getattr(params, name) for name in schema.model_fields})
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(map(str, problem["loc"]))
            if problem["type"] == "missing":
                return f"the parameter {name!r} has no default"
            return f"the default of {name!r}, {problem['input']!r}, is refused: {problem['msg']}"
        return None

    def make(self, params: BaseModel | None = None) -> Method:
        """A fresh instance, with the default parameters where none are given."""
        return self.kind(self.params if params is None else params)

    def run(self, **changes: Any) -> MethodRun:
        """The run of a `Setting`, made on the first call.

        Raises:
            SkippedError: the method cannot be made.
        """
        setting = Setting(**changes)
        if is_dense(self.name):  # the control has no other level
            setting = replace(setting, level=0.0)
        if setting not in self._runs:
            trained = None
            if self.kind.shares_training and setting.level > 0:
                trained = self.run(**{**changes, "level": 0.0})
            self.note(setting.label)
            self._runs[setting] = as_planned(self.kind, self.params, setting, trained=trained)
        return self._runs[setting]

    def on_every_network(self, **changes: Any) -> Iterator[MethodRun]:
        """A run of each network, at level 0.5 unless said otherwise."""
        for network in NETWORKS:
            yield self.run(network=network, **changes)

    def first_complete(self) -> MethodRun:
        """A plain run in which nothing went wrong.

        Raises:
            SkippedError: there is none.
        """
        for run in self.on_every_network():
            if run.result is not None:
                return run
        raise self.nothing_ran()

    def without(self, rule: str, *, levels: Sequence[float] = (0.5,)) -> str:
        """Make sure that no run of these levels broke a rule that the observer sees.

        Returns:
            One line on what was looked at.

        Raises:
            BrokenError: a run broke it.
            SkippedError: no run came to its end.
        """
        complete = {}
        for level in levels:
            for run in self.on_every_network(level=level):
                for fault in run.faults:
                    if fault.rule == rule:
                        why = f"{fault.why} ({run.setting.label})"
                        raise BrokenError(why, self.located(run, fault))
                if run.is_complete:
                    complete[run.setting.network] = run
        if not complete:
            raise self.nothing_ran()
        return f"on {', '.join(complete)}"

    def ends_well(self, **changes: Any) -> MethodRun | None:
        """A run that must not go wrong where the plain run on the same network does not.

        Returns:
            The run; `None` where it tells nothing, since the plain run goes wrong as well.

        Raises:
            BrokenError: it went wrong.
        """
        if self.run(network=changes.get("network", "mlp")).fatal is not None:
            return None
        run = self.run(**changes)
        if run.fatal is not None:
            why = f"{run.fatal.why} ({run.setting.label})"
            raise BrokenError(why, self.located(run, run.fatal))
        return run

    def located(self, run: MethodRun, fault: Fault) -> str | None:
        """Where a fault lies; where only the hook is known, another run finds the line."""
        if fault.where is not None:
            return fault.where
        if fault.aspect:
            self.note(f"{run.setting.label}, line by line")
            again = as_planned(self.kind, self.params, run.setting, by_line=True)
            for same in again.faults:
                if same.aspect == fault.aspect and same.where is not None:
                    return same.where
        return self.line_of(fault.hook)

    def nothing_ran(self) -> SkippedError:
        """Why there is no run to look at."""
        for run in self.on_every_network():
            if run.fatal is not None:
                network = run.setting.network
                return SkippedError(f"the run on {network} did not end; see `{run.fatal.rule}`")
        reason = next(self.on_every_network()).declined
        return SkippedError(f"the method declines every network of the kit: {summary(reason)}")


def summary(error: Exception | None) -> str:
    """The first line of an error."""
    return str(error).partition("\n")[0]
