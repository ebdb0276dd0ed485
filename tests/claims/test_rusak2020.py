"""The judge of what was found on noise training, on figures that it should know."""

from __future__ import annotations

import pytest

from tests.claims.noise import noise_trained, verdicts


def test_the_ordering_is_on_noise_that_nobody_saw() -> None:
    found = verdicts("noise-ordering", noise_trained(gaussian=0.5, adversarial=0.6))
    above, further = (
        found["(order) unseen noise: gaussian-noise (0.5 clean) less clean"],
        found[
            "(order) unseen noise: adversarial-noise (0.5 clean) less gaussian-noise (0.5 clean)"
        ],
    )
    assert above == (pytest.approx(0.2), "holds")
    assert further == (pytest.approx(0.1), "holds")
    radius = found["(order) radius of the worst noise: adversarial-noise (0.5 clean) less clean"]
    assert radius == (pytest.approx(3.0), "holds")


def test_an_ordering_the_other_way_round_does_not_hold() -> None:
    found = verdicts("noise-ordering", noise_trained(gaussian=0.5, adversarial=0.4))
    name = "(order) unseen noise: adversarial-noise (0.5 clean) less gaussian-noise (0.5 clean)"
    assert found[name] == (pytest.approx(-0.1), "does not hold")
