"""What the options of all stages have in common, and the types that they are written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from robench.spec.base import Frozen

__all__ = ["NotEmpty", "OneOrMany", "PluginChoice", "Samples", "StageOptions", "listed"]


def listed(value: object) -> object:
    """A single value may stand where a list of them may."""
    return [value] if isinstance(value, str | int | float | Mapping) else value


OneOrMany = BeforeValidator(listed)
NotEmpty = Field(min_length=1)
Samples = Annotated[int, Field(ge=1)] | None
"""The first so many images of the test split's fixed order; `None` means all."""


class PluginChoice(Frozen):
    """A plug-in by name, with the parameters that differ from its defaults.

    In YAML either ``halo`` or ``{name: halo, xi: 1.0e-5}``. A data set, model or method may have a
    ``label`` beside its parameters: what people are shown.
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


class StageOptions(Frozen):
    """What a suite may ask of a stage; without fields there is nothing to choose."""

    def plugins(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """The plug-ins that it names: where in the options, the registry that must know, name."""
        yield from ()

    def with_guests(self, found: Sequence[tuple[str, str]]) -> Self:
        """The same with the plug-ins of a run's own files that have a part in this stage.

        Args:
            found: kind and name of each: ``[("attack", "mine")]``.
        """
        del found
        return self
