"""The list of foolbox's attacks against foolbox itself."""

from __future__ import annotations

import inspect

from robench.attacks.libraries import names


def test_every_minimal_l2_attack_of_foolbox_is_there_or_refused(foolbox) -> None:
    minimising = {
        name
        for name, value in vars(foolbox.attacks).items()
        if inspect.isclass(value)
        and issubclass(value, foolbox.attacks.base.MinimizationAttack)
        and name != "EADAttack"  # decides by the l1 distance
        and not name.startswith(("L0", "L1", "Linf", "LInf"))
    }
    refused = {"L2FMNAttack", "DatasetAttack", "BinarizationRefinementAttack"}
    assert set(names.FOOLBOX.values()) | refused == minimising
    assert not set(names.FOOLBOX.values()) & refused
    assert len(names.REFUSED_OF_FOOLBOX) == len(refused)


def test_what_is_refused_is_known_so_that_the_reason_is_told() -> None:
    assert set(names.foolbox()) == {*names.FOOLBOX, *names.REFUSED_OF_FOOLBOX}
    assert "ddn" in names.advlib()
    assert "square" in names.autoattack()
