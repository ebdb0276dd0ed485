"""A cell: one stage of one network, with every input resolved, and an id that covers them all."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from robench.spec.base import Frozen, without_missing_code
from robench.spec.identity import as_json, digest, seed_for
from robench.spec.recipe import Recipe

__all__ = ["CONTROLS", "DENSE", "GIVEN", "NO_DATA", "STAGE_KEY", "Cell", "PluginRef"]

NO_DATA = "none"
"""Stands for the data set of a cell that needs none."""

DENSE = "dense"
"""The method that removes nothing: the control that every other one is compared with."""

CONTROLS = (DENSE, "random", "magnitude")
"""Methods that run in every suite at the same budget, whether it names them or not."""

GIVEN = "given"
"""Stands for the method of a network that robench did not train: its weights lie in a file."""

STAGE_KEY = "stage"
"""Among the options of a cell: version and code of its stage, where these are not 1 and robench's
own."""

_Options = TypeVar("_Options", bound=Frozen)


class PluginRef(Frozen):
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

    @model_serializer(mode="wrap")
    def _without_missing_code(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_missing_code(dump(self))

    @property
    def label(self) -> str:
        """The name as people read it: ``magnitude[scope=layer]``."""
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
        level = "" if self.method.name == DENSE else f" @ {self.level:g}"
        role = " (start)" if self.role == "start" else ""
        where = f"{self.data.label}/{self.model.label}"
        noise = f" on {self.recipe.distortion.label}" if self.recipe.distortion else ""
        return f"{self.stage} {where} {self.method.label}{level}{noise} seed {self.seed}{role}"

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
