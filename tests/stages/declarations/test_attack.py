"""The declaration of the stage attack: its data, its options once they are resolved."""

from __future__ import annotations

import pytest

from robench.attacks.evaluation.scales import scale_of
from robench.attacks.suite.suites import suite_version
from robench.errors import SuiteError
from robench.stages.declarations.attack import Attack, AttackOptions


@pytest.mark.parametrize(
    ("data", "applies"), [("digits", True), ("breast-cancer", True), ("friedman1", False)]
)
def test_it_applies_to(premises, data: str, applies: bool) -> None:
    found = Attack().applies_to(premises(data).data)
    assert (found is True) == applies
    assert found is True or "data" in found


def test_options_are_resolved_to_versions_and_the_scale_of_the_data(premises) -> None:
    asked = AttackOptions(suite="l2-smoke", extra=("fgsm",))
    found = Attack().resolve(asked, premises("digits"))
    assert (found.suite, found.version) == ("l2-smoke", suite_version("l2-smoke"))
    scale = scale_of(premises("digits").data)
    assert (found.area_limit, found.radii) == (scale.area_limit, scale.radii)
    assert [guest.name for guest in found.extra] == ["fgsm"]
    own = Attack().resolve(AttackOptions(area_limit=2.5, radii=(1.0,)), premises("digits"))
    assert (own.area_limit, own.radii) == (2.5, (1.0,))


def test_guests_of_a_run_join_once() -> None:
    asked = AttackOptions(extra=("fgsm",))
    joined = asked.with_guests([("attack", "mine"), ("attack", "fgsm"), ("method", "other")])
    assert [choice.name for choice in joined.extra] == ["fgsm", "mine"]


def test_a_suite_that_is_not_there_is_told_with_its_line() -> None:
    with pytest.raises(SuiteError, match="l2-quik") as caught:
        Attack().check(AttackOptions(suite="l2-quik"), lambda *place: f"s.yaml:{len(place)}")
    assert caught.value.where == "s.yaml:1"
