"""Degradations as the options of a cell have them: version, levels, and whose code they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer

from robench.registry import all_registries
from robench.spec import Cell, StageOptions
from robench.spec.base import Frozen, without_missing_code
from robench.spec.options import NotEmpty, Samples, listed

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = [
    "DegradeOptions",
    "ResolvedDegradeOptions",
    "ResolvedKind",
    "kinds_in",
    "named_kinds",
    "resolve_degraded",
    "resolve_kinds",
]


class DegradeOptions(StageOptions):
    """Which degradations the test images go through."""

    kinds: Annotated[tuple[str, ...], NotEmpty] | Literal["all"] = "all"
    samples: Samples = None

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if value == "all" else listed(value)

    def plugins(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """The kinds that it names."""
        return named_kinds(self.kinds)


def named_kinds(
    kinds: tuple[str, ...] | str,
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Kinds that are named one by one, as :meth:`StageOptions.plugins` gives them."""
    for place, kind in enumerate(kinds if isinstance(kinds, tuple) else ()):
        yield ("kinds", place), "degradations", kind


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


def resolve_degraded(
    kinds: tuple[str, ...] | str, samples: int | None, data: Data
) -> ResolvedDegradeOptions:
    """``all`` are robench's own kinds that these images can bear; each with its levels."""
    from robench.degradations.base import applicable_kinds

    own = applicable_kinds(*data.test.images.shape[1:])
    asked = kinds if isinstance(kinds, tuple) else own
    return ResolvedDegradeOptions(kinds=resolve_kinds(dict.fromkeys(asked, ())), samples=samples)


def resolve_kinds(asked: Mapping[str, tuple[float, ...]]) -> dict[str, ResolvedKind]:
    """Version and levels of each kind; no levels are those that it declares."""
    registry = all_registries()["degradations"]
    found = {kind: (registry.get(kind), levels) for kind, levels in asked.items()}
    return {
        name: ResolvedKind(
            version=kind.version, levels=levels or kind.levels, code=registry.code(name)
        )
        for name, (kind, levels) in found.items()
    }


def kinds_in(cell: Cell) -> Iterator[tuple[str, str, str | None]]:
    """The degradations among the options of a cell: registry, name, and which code it is."""
    kinds = cell.options.get("kinds")
    for name, of in kinds.items() if isinstance(kinds, dict) else ():
        code = of.get("code") if isinstance(of, dict) else None
        yield "degradations", name, code if isinstance(code, str) else None
