"""The declaration of the stage train: what its images are drawn from is part of the cell."""

from __future__ import annotations

from robench.degradations import DEGRADATIONS
from robench.spec import Distortion
from robench.stages.declarations.train import Train, resolve_drawn
from robench.training.adversarial_noise import ADVERSARIAL_NOISE_VERSION


def test_kinds_stand_with_their_versions_and_levels() -> None:
    found = resolve_drawn(Distortion(kinds=("contrast", "clean")))
    assert list(found) == ["kinds"]
    assert list(found["kinds"]) == ["contrast"]
    assert tuple(found["kinds"]["contrast"]["levels"]) == DEGRADATIONS["contrast"]


def test_adversarial_noise_has_a_version_of_its_own() -> None:
    found = resolve_drawn(Distortion(kinds=("adversarial-noise",), clean_share=0.5))
    assert found == {"version": ADVERSARIAL_NOISE_VERSION}


def test_no_suite_asks_for_it_under_evaluate() -> None:
    assert not Train.is_evaluation
    assert all(info.bounds[0] >= 0 for info in Train.metrics)
