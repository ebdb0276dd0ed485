"""The public face of the room, and plug-ins by file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from robench import degradations, registry
from robench.degradations import DEGRADATIONS, DEGRADATIONS_REGISTRY, degrade
from robench.plugin_files import load_plugin

PLUGIN = '''
from functools import partial
from robench.degradations.base import Degradation

@partial(Degradation, name="darken", unit="share of light that is lost", levels=(0.0, 0.5),
         neutral=0.0, bounds=(0.0, 1.0))
def darken(planes, level):
    """Less light."""
    return planes * (1 - level)
'''


def test_the_published_levels() -> None:
    # Geirhos et al. 2018; contrast and rotation as fractions and degrees.
    assert dict(DEGRADATIONS) == {
        "greyscale": (0, 1),
        "contrast": (1, 0.5, 0.3, 0.15, 0.1, 0.05, 0.03, 0.01),
        "uniform-noise": (0, 0.03, 0.05, 0.1, 0.2, 0.35, 0.6, 0.9),
        "salt-and-pepper": (0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
        "low-pass": (0, 1, 3, 5, 7, 10, 15, 40),
        "high-pass": (math.inf, 3, 1.5, 1, 0.7, 0.55, 0.45, 0.4),
        "phase-noise": (0, 30, 60, 90, 120, 150, 180),
        "power-equalisation": (0, 1),
        "opponent-colour": (0, 1),
        "rotation": (0, 90, 180, 270),
        "eidolon-1": (1, 2, 4, 8, 16, 32, 64, 128),
        "eidolon-2": (1, 2, 4, 8, 16, 32, 64, 128),
        "eidolon-3": (1, 2, 4, 8, 16, 32, 64, 128),
    }
    assert all(type(level) is float for levels in DEGRADATIONS.values() for level in levels)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        DEGRADATIONS["contrast"] = ()


def test_degrade_is_the_degradation_of_that_name() -> None:
    images = torch.rand(3, 3, 16, 16)
    low_pass = DEGRADATIONS_REGISTRY.get("low-pass")
    noise = DEGRADATIONS_REGISTRY.get("uniform-noise")
    assert torch.equal(
        degrade(images, "low-pass", 3, 0, None, "pixels"), low_pass(images, 3, variant="pixels")
    )
    assert torch.equal(
        degrade(images, "uniform-noise", 0.1, 4, [3, 1, 2]),
        noise(images, 0.1, seed=4, index=[3, 1, 2]),
    )


def test_a_plug_in_file_is_used_like_a_built_in_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = registry.Registry[degradations.base.Degradation](
        "degradation",
        group="robench.tests.none",
        builtins={"contrast": "robench.degradations.colour:contrast"},
        accept="robench.degradations.base:check_plugin",
    )
    monkeypatch.setattr(degradations, "DEGRADATIONS_REGISTRY", fresh)
    monkeypatch.setattr(
        registry, "ROOMS", {"degradations": "robench.degradations:DEGRADATIONS_REGISTRY"}
    )
    file = tmp_path / "darken.py"
    file.write_text(PLUGIN)
    assert load_plugin(file) == [("degradation", "darken")]
    assert fresh.origin("darken") == f"{file}:5"
    assert fresh.summary("darken") == "Less light."
    assert fresh.names() == ("contrast", "darken")
    images = torch.rand(2, 1, 5, 5)
    assert torch.equal(degrade(images, "darken", 0.25), images * 0.75)
