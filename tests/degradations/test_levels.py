"""Which levels show a picture that is no picture of the kind: found by comparing pictures."""

from __future__ import annotations

import itertools
import subprocess
import sys
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS_REGISTRY, degrade
from robench.degradations.base import Degradation, applicable_kinds, check_plugin

SIDE = 48
"""Large enough for the mildest blur to show."""
ALMOST = 1e-5


@lru_cache
def pictures(channels: int) -> dict[tuple[str, float], Tensor]:
    """Every kind at every level that is published or declared, of one random image."""
    images = original(channels)
    found = {}
    for kind in DEGRADATIONS_REGISTRY.names():
        degradation = DEGRADATIONS_REGISTRY.get(kind)
        if degradation.takes(channels, SIDE, SIDE):
            for level in {*degradation.levels, *degradation.references}:
                found[kind, level] = degrade(images, kind, level)
    return found


def original(channels: int) -> Tensor:
    return torch.rand(2, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(7))


def same(one: Tensor, other: Tensor) -> bool:
    return float((one - other).abs().max()) < ALMOST


@pytest.mark.parametrize("channels", [1, 3])
def test_undegraded_levels_are_those_that_leave_a_picture_as_it_is(channels: int) -> None:
    shown = pictures(channels)
    found = {key for key, picture in shown.items() if same(picture, original(channels))}
    declared = {
        (kind, level)
        for kind in {kind for kind, _ in shown}
        for level in DEGRADATIONS_REGISTRY.get(kind).undegraded_levels(channels)
    }
    assert declared == found
    # By hand: what the paper says of its reference conditions (Geirhos et al. 2018, section 2).
    assert ("contrast", 1.0) in found if channels == 1 else ("opponent-colour", 0.0) in found
    assert (("greyscale", 1.0) in found) == (channels == 1)


def test_shared_levels_are_those_whose_picture_another_kind_shows() -> None:
    shown = pictures(3)
    found = {
        key
        for (key, picture), (other, its) in itertools.permutations(shown.items(), 2)
        if key[0] != other[0] and same(picture, its)
    }
    declared = {
        (kind, level)
        for kind in DEGRADATIONS_REGISTRY.names()
        for level in DEGRADATIONS_REGISTRY.get(kind).shared_levels
    }
    assert declared == found
    assert {("uniform-noise", 0.0), ("salt-and-pepper", 0.0), ("contrast", 0.3)} < found


def test_kinds_that_share_a_picture_name_it_alike() -> None:
    shown = pictures(3)
    named = {
        (kind, level): name
        for kind in DEGRADATIONS_REGISTRY.names()
        for level, name in DEGRADATIONS_REGISTRY.get(kind).references.items()
    }
    for one, other in itertools.combinations(named, 2):
        assert (named[one] == named[other]) == same(shown[one], shown[other])


def test_greyscale_is_no_degradation_of_grey_images() -> None:
    greyscale = DEGRADATIONS_REGISTRY.get("greyscale")
    assert not greyscale.degrades(1)
    assert greyscale.degrades(3)
    assert "greyscale" not in applicable_kinds(1, 28, 28)
    assert "greyscale" in applicable_kinds(3, 32, 32)
    assert torch.equal(degrade(original(1), "greyscale", 1), original(1))  # it may be asked for


@pytest.mark.parametrize(
    ("references", "reads", "reason"),
    [
        ({7.0: "grey"}, "grey", "one of its references is not a level that it takes"),
        ({0.0: "sepia"}, "grey", "its reference 'sepia' is none of original, grey, grey at 30 %"),
        ({0.0: "original"}, "grey", "its reference cannot be the original"),
        ({0.0: "original"}, "colour", None),
        ({}, "grey", None),
    ],
)
def test_plug_ins_declare_their_own(references: dict, reads: str, reason: str | None) -> None:
    plug_in = Degradation(
        lambda images, level: images,
        name="none",
        unit="nothing",
        levels=(0.0, 1.0),
        neutral=0.0,
        references=references,
        reads=reads,
    )
    found = check_plugin(plug_in)
    assert found is None if reason is None else reason in str(found)
    assert plug_in.degrades(1)
    assert plug_in.degrades(3)


def test_the_table_needs_no_torch() -> None:
    code = "import sys, robench.degradations.levels; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
