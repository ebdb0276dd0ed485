"""A cell: one stage of one network, with every input resolved, and an id that covers them all."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from robench.spec.base import Frozen, without_missing_code
from robench.spec.controls import MethodIdentity
from robench.spec.identity import as_json, digest, seed_for
from robench.spec.recipe import Recipe

__all__ = ["LABELLED", "NO_DATA", "STAGE_KEY", "Cell", "PluginRef"]

NO_DATA = "none"
"""Stands for the data set of a cell that needs none."""

STAGE_KEY = "stage"
"""Among the options of a cell: version and code of its stage, where these are not 1 and robench's
own."""

LABELLED = ("data", "model", "method")
"""What a suite may give a label of its own."""

_Options = TypeVar("_Options", bound=Frozen)


class PluginRef(Frozen, MethodIdentity):
    """A plug-in as it was resolved: a changed version or a changed default is another cell."""

    name: str
    version: int
    params: dict[str, JsonValue] = {}
    """All parameters, defaults included."""
    changed: tuple[str, ...] = ()
    """Names of the parameters that the suite set itself; they make up the label."""
    code: str | None = None
    """Which code it is, where that is not robench's own: a hash of the source of a plug-in file,
    or name and version of the installed package."""
    location: str | None = Field(default=None, exclude=True)
    """The name that finds the plug-in on this machine, where it is longer than `name` since it
    holds the path of a file. It is neither hashed nor recorded: the content is."""

    own_label: str | None = Field(default=None, exclude=True)
    """What the suite calls it, for people alone: neither hashed nor part of the cell."""

    @model_serializer(mode="wrap")
    def _without_missing_code(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_missing_code(dump(self))

    @property
    def label(self) -> str:
        """The name as people read it: the suite's own, or ``magnitude[scope=layer]``."""
        return self.own_label or self.plain_label

    @property
    def plain_label(self) -> str:
        """Name and parameters that the suite set: ``magnitude[scope=layer]``."""
        shown = ", ".join(f"{key}={self.params[key]}" for key in sorted(self.changed))
        return f"{self.name}[{shown}]" if shown else self.name


class Cell(Frozen):
    """One unit of work.

    The id is a hash of everything that can change the number. Time, host and commit are in the
    record instead: they are worth knowing, but must not make a finished cell look unfinished.
    """

    stage: str
    """The name of the stage that does it, as in ``robench list stages``."""
    suite: str
    suite_version: int
    data: PluginRef
    data_sha256: str
    model: PluginRef
    method: PluginRef
    level: float
    """Requested share of prunable weights that are zero, in [0, 1)."""
    seed: int
    recipe: Recipe
    role: Literal["result", "start"] = "result"
    """``start`` is a network trained once, from which several results start."""
    device: str = "cpu"
    options: dict[str, JsonValue] = {}
    """Options of the stage, resolved; of ``train``, what its images are drawn from."""
    parent: str | None = None
    """Id of the train cell whose checkpoint this cell works on, or starts from."""
    donor: str | None = None
    """Id of the train cell whose masks the method asks to see; of an attack, of the dense control
    whose adversarials are tried on the network."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the train cells whose checkpoints this one reads."""
        return tuple(other for other in (self.parent, self.donor) if other is not None)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits."""
        return digest(as_json(self.model_dump()))

    @property
    def label(self) -> str:
        """One line for progress and messages."""
        return self._line(self.data.label, self.model.label, self.method.label)

    @property
    def plain_label(self) -> str:
        """The same without the labels that the suite gave."""
        return self._line(self.data.plain_label, self.model.plain_label, self.method.plain_label)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the suite gave to data, model and method."""
        plugins = {kind: getattr(self, kind) for kind in LABELLED}
        return {kind: ref.own_label for kind, ref in plugins.items() if ref.own_label}

    def _line(self, data: str, model: str, method: str) -> str:
        level = "" if self.method.is_dense else f" @ {self.level:g}"
        role = " (start)" if self.role == "start" else ""
        noise = f" on {self.recipe.distortion.label}" if self.recipe.distortion else ""
        return f"{self.stage} {data}/{model} {method}{level}{noise} seed {self.seed}{role}"

    def options_as(self, model: type[_Options]) -> _Options:
        """The options of the stage as the model that its declaration resolves them to."""
        own = {key: value for key, value in self.options.items() if key != STAGE_KEY}
        return model.model_validate(own)

    def seed_for(self, purpose: str) -> int:
        """The seed of one purpose, from exactly the axes that should matter to it.

        ``init`` and ``order`` leave the method, the level and the training distortion out, so that
        all networks of one seed start from the same weights and see the same batches; ``method``
        is the method's own; the evaluations share theirs over all networks of one data set, so
        that the same images get the same noise.

        Raises:
            KeyError: no such purpose.
        """
        # An edit of a plug-in's file makes other cells, but draws the same numbers.
        data = self.data.model_dump(mode="json", exclude={"code"})
        model = self.model.model_dump(mode="json", exclude={"code"})
        axes: dict[str, list[object]] = {
            "init": [data, model],
            "order": [data],
            "distortion": [data],
            "method": [data, self.model.name, self.method.name, self.level],
            "evaluate": [data, self.stage],
        }
        return seed_for(self.seed, purpose, *axes[purpose])
