"""The parameters of another library's attack, read from the signature of its function."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union

from pydantic import create_model

from robench.spec.base import Frozen

__all__ = ["OneByOne", "params_of"]


class OneByOne(Frozen):
    """What every attack of another library can be told."""

    one_by_one: bool = False
    """Attack each image alone. Slower; but an attack that draws at random draws the same for an
    image in any batch, and one that aborts for an image aborts for no other."""


def params_of(
    function: Callable[..., object],
    *,
    without: Collection[str] = (),
    defaults: Mapping[str, object] = types.MappingProxyType({}),
) -> type[OneByOne]:
    """A schema of the arguments that are numbers, flags, words or `None`.

    Args:
        function: its annotations are the types, its defaults the defaults.
        without: arguments that are not the user's business.
        defaults: that replace the function's own.
    """
    hints = typing.get_type_hints(function)
    fields: dict[str, Any] = {}
    for name, argument in inspect.signature(function).parameters.items():
        if name in without or not _is_plain(hints.get(name)):
            continue
        default = defaults.get(name, argument.default)
        fields[name] = (hints[name], ... if default is inspect.Parameter.empty else default)
    schema: type[OneByOne] = create_model("Params", __base__=OneByOne, **fields)
    return schema


def _is_plain(hint: object) -> bool:
    """Whether a file could hold every value of this type."""
    origin = typing.get_origin(hint)
    if origin is Union or origin is types.UnionType:
        return all(_is_plain(part) for part in typing.get_args(hint))
    return origin is Literal or hint in (bool, int, float, str, types.NoneType)
