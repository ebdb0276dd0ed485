"""Attacks of foolbox through the front door, against foolbox called directly."""

from __future__ import annotations

import pytest
import torch

from robench.attacks import ATTACKS
from robench.errors import ParameterError, PluginError, UnknownNameError
from tests.networks import ConstantLogits

pytestmark = pytest.mark.usefixtures("foolbox")


def test_ddn_is_foolbox_s_own(digits, foolbox) -> None:
    images, labels = digits.correct(60)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(0, 1))
    points, _, success = foolbox.attacks.DDNAttack(steps=40)(bounded, images, labels, epsilons=None)
    assert success.all()
    theirs = (points - images).norm(dim=1).double()
    result = ATTACKS.get("foolbox:ddn")(steps=40)(digits.model, images, labels)
    torch.testing.assert_close(result.distance, theirs, rtol=1e-5, atol=0)
    # One more question than steps: foolbox looks at what it returns.
    assert (result.forwards == 41).all()
    assert (result.backwards == 40).all()


def test_what_an_attack_visited_counts_even_if_it_returns_something_else(digits, foolbox) -> None:
    images, labels = digits.correct(60)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(0, 1))
    peer = foolbox.attacks.L2CarliniWagnerAttack(steps=30, binary_search_steps=3)
    points, _, success = peer(bounded, images, labels, epsilons=None)
    theirs = torch.where(success, (points - images).norm(dim=1), torch.inf).double()
    attack = ATTACKS.get("foolbox:carlini-wagner")(steps=30, binary_search_steps=3)
    ours = attack(digits.model, images, labels)
    assert (ours.distance <= theirs * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("boundary", {"steps": 100}),
        ("hopskipjump", {"steps": 2}),
        ("pointwise", {"l2_binary_search": False}),
    ],
)
def test_attacks_that_need_a_start_get_the_nearest_image_of_another_class(
    digits, name: str, params: dict[str, object]
) -> None:
    images, labels = digits.correct(20)
    nearest = ATTACKS.get("nearest-other-class")(candidates=1, steps=1)
    start = nearest(digits.model, images, labels).distance
    result = ATTACKS.get(f"foolbox:{name}")(**params)(digits.model, images, labels)
    assert result.success.all()
    assert result.distance.mean() < start.mean()
    assert (result.backwards == 0).all()


@pytest.mark.parametrize("one_by_one", [False, True])
def test_an_image_without_a_start_is_left_out_and_stops_no_other(digits, one_by_one: bool) -> None:
    images, labels = digits.correct(20)
    attack = ATTACKS.get("foolbox:hopskipjump")(steps=1, one_by_one=one_by_one)
    result = attack(digits.model, images, labels, references=images[labels == labels[0]])
    assert torch.equal(result.success, labels != labels[0])
    assert (result.passes[labels == labels[0]] == 0).all()


@pytest.mark.parametrize("name", ["ddn", "deepfool", "boundary", "hopskipjump", "newtonfool"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_budget_ends_it_cleanly(digits, name: str, one_by_one: bool) -> None:
    images, labels = digits.correct(4)
    attack = ATTACKS.get(f"foolbox:{name}")(one_by_one=one_by_one)
    result = attack(digits.model, images, labels, limit=45)
    assert result.error is None
    assert (result.passes <= 45).all()
    assert (result.passes == 45).sum() >= 3  # one may be done by itself


@pytest.mark.parametrize("name", ["ddn", "deepfool", "carlini-wagner", "newtonfool"])
def test_without_gradients_it_fails_honestly(name: str) -> None:
    params = {"binary_search_steps": 1} if name == "carlini-wagner" else {}
    attack = ATTACKS.get(f"foolbox:{name}")(steps=20, **params)
    result = attack(ConstantLogits().eval(), torch.rand(3, 8))
    assert result.distance.isinf().all()


def test_fmn_is_refused_with_the_reason_and_the_way_out() -> None:
    assert "foolbox:fmn" in ATTACKS
    with pytest.raises(PluginError) as caught:
        ATTACKS.get("foolbox:fmn", where="suite.toml:7")
    assert "does not project" in str(caught.value)
    assert "robench's own attack 'fmn'" in str(caught.value)
    assert "suite.toml:7" in str(caught.value)


def test_a_name_that_is_not_known_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="foolbox:hopskipjump"):
        ATTACKS.check("foolbox:hopskip")
    with pytest.raises(UnknownNameError, match="deepfool"):
        ATTACKS.get("foolbox:deepfol")


def test_parameters_are_those_of_the_class_and_are_checked() -> None:
    ddn = ATTACKS.get("foolbox:ddn")
    assert set(ddn.Params.model_fields) == {"one_by_one", "init_epsilon", "steps", "gamma"}
    with pytest.raises(ParameterError, match="steps"):
        ddn(step=3)
    with pytest.raises(ParameterError, match="directions must be larger than 0"):
        ATTACKS.get("foolbox:blended-noise")(directions=0)
