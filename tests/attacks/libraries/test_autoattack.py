"""AutoAttack through the front door; it is optional, and most of this needs it."""

from __future__ import annotations

import importlib.util

import pytest
from torch import nn

from robench.attacks import ATTACKS
from robench.errors import AttackError, PluginError, UnknownNameError

is_there = importlib.util.find_spec("pyautoattack") is not None
needs_it = pytest.mark.skipif(not is_there, reason="pyautoattack is not installed")


@pytest.mark.skipif(is_there, reason="pyautoattack is installed")
def test_what_to_install_is_said() -> None:
    with pytest.raises(PluginError) as caught:
        ATTACKS.get("autoattack:apgd-t")
    assert "pip install pyautoattack" in str(caught.value)


def test_names_are_known_without_it() -> None:
    ATTACKS.check("autoattack:standard")
    with pytest.raises(UnknownNameError, match="autoattack:apgd-dlr"):
        ATTACKS.check("autoattack:apgd-dl")


@needs_it
@pytest.mark.slow
@pytest.mark.parametrize("name", ["apgd-ce", "apgd-dlr", "apgd-t"])
def test_bisection_makes_it_a_minimal_attack(digits, name: str) -> None:
    images, labels = digits.correct(2)
    result = ATTACKS.get(f"autoattack:{name}")(bisections=6)(digits.model, images, labels)
    assert result.success.all()
    best = ATTACKS.get("apgd")(targets=9)(digits.model, images, labels)
    assert (result.distance < best.distance + 10 / 2**5).all()


@needs_it
def test_square_is_for_images(digits) -> None:
    images, labels = digits.correct(1)
    attack = ATTACKS.get("autoattack:square")(bisections=1)
    with pytest.raises(AttackError, match=r"\[N, C, H, W\]"):
        attack(digits.model, images, labels)
    model = nn.Sequential(nn.Flatten(), digits.model).eval()
    result = attack(model, images.view(-1, 1, 8, 8), labels, limit=500)
    assert result.error is None
    assert result.success.all()
