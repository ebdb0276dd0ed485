"""What a suite asks to be done with each network: the options of stages, each checked by its own.

Stages are plug-ins, and the ground floor knows them by name alone: a stage that a suite asks for is
looked up among them, and its declaration says which options there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import InstanceOf, ValidationError, model_validator

from robench.errors import PluginError
from robench.registry import Registry, all_registries
from robench.spec.base import Frozen
from robench.spec.options import StageOptions

__all__ = ["Evaluations"]


class Evaluations(Frozen):
    """What is done with each trained network. Leave a stage out to skip it.

    In YAML ``evaluate: [speed, attack]``, or a mapping in which ``attack: true`` and ``attack: {}``
    both mean "with the defaults".
    """

    options: Mapping[str, InstanceOf[StageOptions]] = {}
    """By the name of the stage."""

    def get(self, stage: str) -> StageOptions | None:
        """What is asked of a stage; `None` if it is left out."""
        return self.options.get(stage)

    @classmethod
    def names(cls) -> list[str]:
        """The stages that a suite may ask for; one that cannot be imported is left out."""
        found = []
        for name in _registry().names():
            with suppress(PluginError):
                found += [name] if cls.model_of(name) is not None else []
        return found

    @classmethod
    def model_of(cls, stage: str) -> type[StageOptions] | None:
        """The model of a stage's options; `None` where no suite may ask for such a stage.

        Raises:
            PluginError: the stage cannot be imported.
        """
        registry = _registry()
        declared = registry.get(stage) if stage in registry else None
        if declared is None or not declared.is_evaluation:
            return None
        options: type[StageOptions] = declared.Options
        return options

    @model_validator(mode="before")
    @classmethod
    def _by_stage(cls, value: object) -> object:
        if isinstance(value, list):
            if not all(isinstance(name, str) for name in value):
                raise ValueError("must be names of stages, or a mapping of stages to options")
            value = dict.fromkeys(value, True)
        if not isinstance(value, Mapping):
            return value
        found: dict[str, object] = {}
        wrong: list[Mapping[str, Any]] = []
        for stage, asked in value.items():
            if asked is None:
                continue
            model = cls.model_of(str(stage))
            if model is None:
                wrong.append({"type": "extra_forbidden", "loc": (str(stage),), "input": asked})
                continue
            try:
                found[str(stage)] = model.model_validate({} if asked is True else asked)
            except ValidationError as error:
                wrong += [
                    {**problem, "loc": (str(stage), *problem["loc"])}
                    for problem in error.errors(include_url=False)
                ]
        if wrong:
            raise ValidationError.from_exception_data("Evaluations", [*map(_details, wrong)])
        return {"options": found}


def _details(problem: Mapping[str, Any]) -> Any:
    """What pydantic makes an error of; errors of validators carry their exception in ``ctx``."""
    return {key: problem[key] for key in ("type", "loc", "input", "ctx") if key in problem}


def _registry() -> Registry[Any]:
    return all_registries()["stages"]
