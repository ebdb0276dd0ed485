"""Ids and seeds: both are hashes of exactly what should matter, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

from pydantic import JsonValue

__all__ = ["as_json", "canonical_json", "digest", "json_number", "seed_for"]


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, floats by their shortest `repr`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object, length: int = 16) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def seed_for(seed: int, purpose: str, *axes: object) -> int:
    """A seed in [0, 2**63) that depends on the purpose and on exactly the axes that are named.

    Two cells that agree on `seed`, `purpose` and `axes` draw the same numbers, whatever else
    distinguishes them: all methods of one seed start from the same initial weights because the
    method is not among the axes of ``"init"``.

    >>> seed_for(0, "init", "lenet-5") == seed_for(0, "init", "lenet-5")
    True
    >>> seed_for(0, "init", "lenet-5") == seed_for(0, "order", "lenet-5")
    False
    """
    text = canonical_json([seed, purpose, *axes])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def json_number(value: float) -> float | str:
    """A number as JSON can carry it: infinity, a level of some degradations, becomes ``"inf"``.

    `float` turns it back.
    """
    return value if math.isfinite(value) else str(value)


def as_json(value: object) -> JsonValue:
    """Plain data as JSON can carry it: tuples become lists, numbers that are not finite text.

    Raises:
        TypeError: something that is no plain data.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} is no plain data")
