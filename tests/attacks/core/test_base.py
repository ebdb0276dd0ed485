"""The front door believes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robench.attacks import ATTACKS, Attack
from robench.attacks.algorithms.ddn import DDN
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.core.base import AttackResult, check_plugin
from robench.attacks.core.oracle import Oracle
from robench.errors import AttackError, ParameterError


def attack_of(function) -> Attack:
    class Custom(Attack):
        """Does what it is told."""

        name = "custom"

        def run(self, oracle: Oracle) -> Tensor:
            return function(oracle)

    return Custom()


def tamper(oracle: Oracle) -> Tensor:
    """Write everything that an attack can reach."""
    oracle.best = oracle.images + 1e-3
    oracle.best_distance.zero_()
    oracle.images.add_(0.01)
    oracle.labels.fill_(9)
    oracle.logits.zero_()
    return oracle.best


@pytest.mark.parametrize(
    "lie",
    [
        lambda oracle: oracle.images,
        lambda oracle: oracle.images + 1e-4,
        lambda oracle: torch.full_like(oracle.images, torch.nan),
        lambda oracle: torch.full_like(oracle.images, torch.inf) * 0,
        tamper,
    ],
    ids=["nothing", "close", "nan", "nan-too", "tamper"],
)
def test_false_success_is_rejected(digits, lie) -> None:
    images, labels = digits.correct(16)
    before = images.clone()
    result = attack_of(lie)(digits.model, images, labels)
    assert result.distance.isinf().all()
    assert not result.success.any()
    assert torch.equal(result.adversarial, before)
    assert torch.equal(images, before)


def test_points_outside_the_box_are_clipped_and_judged_there(digits) -> None:
    images, labels = digits.correct(16)
    result = attack_of(lambda oracle: 5 - 10 * oracle.images)(digits.model, images, labels)
    found = result.adversarial[result.success]
    assert len(found)
    assert found.min() >= 0
    assert found.max() <= 1
    with torch.no_grad():
        answers = digits.model(found).argmax(dim=1)
    assert (answers != labels[result.success]).all()
    true = (result.adversarial - images).double().norm(dim=1)
    torch.testing.assert_close(result.distance[result.success], true[result.success])


def test_a_point_that_was_visited_is_not_lost(digits) -> None:
    images, labels = digits.correct(8)
    expected = DeepFool()(digits.model, images, labels)

    def forgetful(oracle: Oracle) -> Tensor:
        DeepFool().run(oracle)
        return oracle.images

    result = attack_of(forgetful)(digits.model, images, labels)
    torch.testing.assert_close(result.distance, expected.distance)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda oracle: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda oracle: None, "it returned NoneType"),
        (lambda oracle: oracle.images[:3], r"it returned torch.Size\(\[3, 64\]\)"),
        (lambda oracle: oracle.query(oracle.images, oracle.rows[:2]), "InputError: points of"),
    ],
)
def test_an_attack_that_breaks_is_named(digits, run, message: str) -> None:
    images, labels = digits.correct(4)
    with pytest.raises(AttackError, match=message):
        attack_of(run)(digits.model, images, labels)


def test_a_budget_ends_an_attack_and_keeps_what_it_found(digits) -> None:
    images, labels = digits.correct(16)
    free = DDN(steps=60)(digits.model, images, labels)
    tight = DDN(steps=60)(digits.model, images, labels, limit=41)
    assert (tight.passes <= 41).all()
    assert (tight.distance >= free.distance).all()
    assert tight.success.any()


def test_misclassified_images_are_left_alone(digits) -> None:
    images, labels = digits.correct(8)
    labels = labels.clone()
    labels[::2] = (labels[::2] + 1) % 10
    result = DeepFool()(digits.model, images, labels)
    assert (result.distance[::2] == 0).all()
    assert (result.passes[::2] == 0).all()
    assert torch.equal(result.adversarial[::2], images[::2])
    assert (result.distance[1::2] > 0).all()


def test_without_labels_the_estimated_class_has_to_change(digits) -> None:
    images = digits.images[:32]
    with torch.no_grad():
        estimated = digits.model(images).argmax(dim=1)
    result = DeepFool()(digits.model, images)
    assert (result.distance > 0).all()
    assert torch.equal(result.distance, DeepFool()(digits.model, images, estimated).distance)


def test_results_do_not_depend_on_order(digits) -> None:
    images, labels = digits.correct(24)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    for attack in (DeepFool(), DDN(steps=20)):
        straight = attack(digits.model, images, labels).distance
        shuffled = attack(digits.model, images[order], labels[order]).distance
        torch.testing.assert_close(shuffled, straight[order], rtol=1e-3, atol=0)


def test_it_works_under_inference_mode(digits) -> None:
    images, labels = digits.correct(4)
    with torch.inference_mode():
        inside = DeepFool()(digits.model, images.clone(), labels.clone())
    assert torch.equal(inside.distance, DeepFool()(digits.model, images, labels).distance)


def test_parameters_are_checked() -> None:
    assert repr(DDN(steps=20)) == "ddn(steps=20, targets=0, gamma=0.05, initial_norm=1.0)"
    with pytest.raises(ParameterError, match="attack 'deepfool' has no parameter 'step'"):
        DeepFool(step=20)
    with pytest.raises(ParameterError, match="'steps' cannot be 0"):
        DeepFool(steps=0)


def test_parts_are_joined_in_order() -> None:
    def part(value: float, error: str | None) -> AttackResult:
        ones = torch.ones(2, dtype=torch.int64)
        return AttackResult(
            torch.full((2, 3), value),
            torch.full((2,), value).double(),
            ones,
            ones,
            0.5,
            error,
            ones == value,
        )

    joined = AttackResult.join([part(1, None), part(2, "late"), part(3, "later")])
    assert joined.distance.tolist() == [1, 1, 2, 2, 3, 3]
    assert joined.adversarial.shape == (6, 3)
    assert joined.passes.tolist() == [2] * 6
    assert (joined.seconds, joined.error) == (1.5, "late")


def test_every_built_in_attack_is_a_plugin() -> None:
    assert {"alma", "ddn", "deepfool", "fgsm", "superdeepfool"} < set(ATTACKS.names())
    for name in ATTACKS.names():
        assert ATTACKS.get(name).name == name
        assert ATTACKS.summary(name)


def a_class(**attributes: object) -> type:
    return type("Custom", (Attack,), {"name": "custom", "run": DeepFool.run, **attributes})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "not a subclass"),
        (int, "not a subclass"),
        (Attack, "does not fill"),
        (a_class(name=""), "no `name`"),
        (a_class(version=0), "`version` is 0"),
        (a_class(Params=dict), "not a pydantic model"),
        (a_class(__call__=lambda self: None), "replaces `__call__`"),
        (a_class(attack=lambda self: None), "replaces `attack`"),
        (a_class(run=lambda self: None), "does not take"),
    ],
)
def test_what_is_not_an_attack(value: object, reason: str) -> None:
    assert reason in (check_plugin(value) or "")


def test_a_minimal_plugin_is_an_attack() -> None:
    assert check_plugin(a_class()) is None
