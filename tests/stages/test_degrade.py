"""Kinds that images cannot bear are left out, and said so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from robench.errors import NotApplicableError
from robench.spec import ResolvedDegradeOptions, ResolvedKind
from robench.stages.degrade import _left_out


def options(*kinds: str) -> ResolvedDegradeOptions:
    return ResolvedDegradeOptions(
        kinds={kind: ResolvedKind(version=1, levels=(0.0,)) for kind in kinds}
    )


def test_left_out_with_the_reason() -> None:
    oblong = SimpleNamespace(input_shape=(1, 20, 32))
    found = _left_out(options("contrast", "rotation"), oblong)
    assert found["rotation"] == "it does not take grey images of 20 x 32 pixels"
    assert "contrast" not in found


def test_nothing_left() -> None:
    oblong = SimpleNamespace(input_shape=(3, 20, 32))
    with pytest.raises(NotApplicableError, match="can bear none of rotation"):
        _left_out(options("rotation"), oblong)
