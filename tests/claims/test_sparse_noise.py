"""The judge of what was found on noise training, on figures that it should know."""

from __future__ import annotations

import pytest

from robench.spec import Distortion
from tests.claims.noise import cell, records_of, verdicts


def test_sparse_networks_are_reported() -> None:
    noise = Distortion(kinds=("uniform-noise",))
    found = []
    for method, level, own, other in (("dense", 0.0, 0.9, 0.5), ("halo", 0.9, 0.8, 0.2)):
        for seed in range(3):
            graded = [("uniform-noise", 0.35, own), ("contrast", 0.05, other)]
            found += records_of(cell(noise, seed, method, level), 0.99, {"degrade": graded})
    assert verdicts("sparse-noise", found) == {
        "halo at 0.9 less dense, own": (pytest.approx(-0.1), "reported"),
        "halo at 0.9 less dense, others": (pytest.approx(-0.3), "reported"),
        "halo at 0.9 less dense, gap": (pytest.approx(0.2), "reported"),
    }
