"""adv-lib through the front door; it is optional, and most of this needs it."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from robench.attacks import ATTACKS
from robench.attacks.libraries.names import ADVLIB
from robench.errors import PluginError, UnknownNameError

is_there = importlib.util.find_spec("adv_lib") is not None
needs_it = pytest.mark.skipif(not is_there, reason="adv-lib is not installed")


@pytest.mark.skipif(is_there, reason="adv-lib is installed")
def test_what_to_install_is_said() -> None:
    with pytest.raises(PluginError) as caught:
        ATTACKS.get("advlib:alma")
    assert "No module named 'adv_lib'" in str(caught.value)
    assert "visdom" in str(caught.value)


def test_names_are_known_without_it() -> None:
    ATTACKS.check("advlib:superdeepfool")
    with pytest.raises(UnknownNameError, match="advlib:fmn"):
        ATTACKS.check("advlib:fnm")


@needs_it
@pytest.mark.parametrize("name", sorted(ADVLIB))
def test_it_runs_and_is_judged(digits, name: str) -> None:
    images, labels = digits.correct(8)
    short = {
        "alma": {"num_steps": 50},
        "carlini-wagner": {"max_iterations": 30, "binary_search_steps": 2},
        "fab": {"n_iter": 5},
        "pdgd": {"num_steps": 30},
        "pdpgd": {"num_steps": 30},
        "trust-region": {"iter": 10},
    }
    result = ATTACKS.get(f"advlib:{name}")(**short.get(name, {}))(digits.model, images, labels)
    assert (result.passes > 0).all()
    if name not in ("carlini-wagner", "fmn", "trust-region"):
        assert result.success.all()


@needs_it
def test_ddn_is_adv_lib_s_own(digits) -> None:
    attacks = importlib.import_module("adv_lib.attacks")
    images, labels = digits.correct(30)
    theirs = (attacks.ddn(digits.model, images, labels, steps=40, levels=None) - images).norm(dim=1)
    ours = ATTACKS.get("advlib:ddn")(steps=40)(digits.model, images, labels)
    torch.testing.assert_close(ours.distance, theirs.double(), rtol=1e-5, atol=0)
    assert (ours.forwards == 40).all()
