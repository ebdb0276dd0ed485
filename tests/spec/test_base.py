"""The base of all models: frozen, strict, and infinities survive JSON."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from robench.spec.base import Frozen, without_missing_code


class Limits(Frozen):
    low: float
    high: float = math.inf


def test_it_is_frozen_and_refuses_what_it_does_not_know() -> None:
    limits = Limits(low=1.0)
    with pytest.raises(ValidationError):
        limits.low = 2.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        Limits(low=1.0, middle=2.0)  # type: ignore[call-arg]


def test_infinity_comes_back_from_json() -> None:
    limits = Limits(low=-math.inf)
    assert Limits.model_validate_json(limits.model_dump_json()) == limits


def test_code_is_left_out_only_where_there_is_none() -> None:
    assert without_missing_code({"name": "a", "code": None}) == {"name": "a"}
    assert without_missing_code({"name": "a", "code": "ff"}) == {"name": "a", "code": "ff"}
