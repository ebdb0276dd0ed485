"""Kinds that images cannot bear are left out, and said so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from robench.data import load
from robench.degradations import degrade
from robench.errors import NotApplicableError
from robench.spec import ResolvedDegradeOptions, ResolvedKind
from robench.stages import graded
from robench.stages.degrade import _left_out, _shown


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


def test_in_parts_or_kept_the_same_images(monkeypatch) -> None:
    data = load("digits")
    cpu = torch.device("cpu")
    test = data.test.first(40)
    want = degrade(test.images / 255, "uniform-noise", 0.2, seed=3, index=test.index)
    kept = _shown(data, "uniform-noise", 0.2, 40, 3, cpu)
    assert kept is _shown(data, "uniform-noise", 0.2, 40, 3, cpu)
    torch.testing.assert_close(torch.cat(list(kept)), want)
    monkeypatch.setattr(graded, "_PART_VALUES", 1)
    everything = list(_shown(data, "uniform-noise", 0.2, None, 3, cpu))
    assert [len(part) for part in everything] == [256, 103]
    torch.testing.assert_close(everything[0][:40], want)
