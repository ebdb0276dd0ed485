"""The base of all models here: frozen, no unknown keys, infinities that survive JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Frozen", "without_missing_code"]


class Frozen(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


def without_missing_code(dumped: dict[str, Any]) -> dict[str, Any]:
    """A dumped plug-in without `code` where that is `None`, as it is for robench's own.

    They are hashed into ids that must stay what they were.
    """
    if dumped.get("code") is None:
        dumped.pop("code", None)
    return dumped
