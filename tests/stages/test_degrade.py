"""Kinds that images cannot bear are left out, and said so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import robench
from robench.data import load
from robench.degradations import degrade
from robench.engine.progress import Silent
from robench.errors import NotApplicableError
from robench.stages import graded
from robench.stages.declarations.kinds import ResolvedDegradeOptions, ResolvedKind
from robench.stages.degrade import _left_out, shown_parts


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
    grey = SimpleNamespace(input_shape=(1, 28, 28))
    with pytest.raises(NotApplicableError, match="none of greyscale, opponent-colour"):
        _left_out(options("greyscale", "opponent-colour"), grey)


def test_greyscale_of_grey_images_is_left_out() -> None:
    grey, colour = (SimpleNamespace(input_shape=(channels, 28, 28)) for channels in (1, 3))
    found = _left_out(options("greyscale", "contrast"), grey)
    assert found["greyscale"] == "it leaves grey images of 28 x 28 pixels as they are"
    assert "greyscale" not in _left_out(options("greyscale", "contrast"), colour)


def test_levels_that_leave_the_pictures_as_they_are_are_found_by_comparing(tiny, tmp_path) -> None:
    kinds = "[low-pass, high-pass, uniform-noise, greyscale]"
    suite = tiny(methods="[dense]", evaluate=f"{{degrade: {{kinds: {kinds}, samples: 20}}}}")
    results = robench.run(suite, results=tmp_path / "r", jobs=0, progress=Silent())
    [record] = [
        each
        for each in results.records
        if (each.cell.stage, each.cell.method.name) == ("degrade", "dense")
    ]
    # A blur of 1 pixel of 224 is one of 0.07 pixels of 16, which reaches no neighbour.
    assert record.details["undegraded"]["low-pass"][:2] == [0.0, 1.0]
    assert record.details["undegraded"]["high-pass"] == ["inf"]
    assert "uniform-noise" not in record.details["undegraded"]
    assert "greyscale" in record.details["left_out"]
    clean = record.metric("accuracy", kind="low-pass", test_level=0.0).value
    assert record.metric("accuracy", kind="low-pass", test_level=1.0).value == clean


def test_in_parts_or_kept_the_same_images(monkeypatch) -> None:
    data = load("digits")
    cpu = torch.device("cpu")
    test = data.test.first(40)
    want = degrade(test.images / 255, "uniform-noise", 0.2, seed=3, index=test.index)
    kept = shown_parts(data, "uniform-noise", 0.2, 40, 3, cpu)
    assert kept is shown_parts(data, "uniform-noise", 0.2, 40, 3, cpu)
    torch.testing.assert_close(torch.cat(list(kept)), want)
    monkeypatch.setattr(graded, "_PART_VALUES", 1)
    everything = list(shown_parts(data, "uniform-noise", 0.2, None, 3, cpu))
    assert [len(part) for part in everything] == [256, 103]
    torch.testing.assert_close(everything[0][:40], want)
