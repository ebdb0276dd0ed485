"""What the cells of attacks ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from robench.attacks.suite import suites
from robench.attacks.suite.suites import AttackSuite, Member
from robench.engine.plan import plan
from robench.engine.run_plugins import with_guests
from robench.errors import SuiteError
from robench.spec import Cell, load_suite

Tiny = Callable[..., Path]


def attacks(path: Path, guests: tuple[str, ...] = ()) -> dict[tuple[str, float], Cell]:
    cells = plan(with_guests(load_suite(path), [("attack", name) for name in guests]))
    return {(c.method.name, c.level): c for c in cells if c.stage == "attack"}


def test_versions_and_scales_are_part_of_the_id(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = attacks(tiny(evaluate="[attack]"))["dense", 0.0]
    assert before.options == {
        "suite": "l2-quick",
        "version": suites.suite_version("l2-quick"),
        "samples": None,
        "area_limit": 3.0,
        "radii": [1.0, 2.0, 3.0],
        "extra": [],
    }
    own = attacks(tiny(evaluate="{attack: {area_limit: 2, radii: [0.5]}}"))["dense", 0.0]
    assert (own.options["area_limit"], own.options["radii"]) == (2.0, [0.5])
    newer = AttackSuite("l2-quick", 99, suites.SUITES["l2-quick"].members)
    monkeypatch.setattr(suites, "SUITES", {**suites.SUITES, "l2-quick": newer})
    after = attacks(tiny(evaluate="[attack]"))["dense", 0.0]
    assert len({before.id, own.id, after.id}) == 3


def test_guests_join_where_there_are_attacks_and_once(tiny: Tiny) -> None:
    path = tiny(evaluate="{attack: {extra: [{name: deepfool, steps: 3}]}}")
    cell = attacks(path, ("deepfool", "ddn"))["dense", 0.0]
    assert [guest["label"] for guest in cell.options["extra"]] == ["deepfool[steps=3]", "ddn"]
    assert all(guest["version"] for guest in cell.options["extra"])
    assert not attacks(tiny(evaluate="[degrade]"), ("ddn",))


def test_only_suites_that_transfer_hang_off_the_dense_control(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny(methods="[magnitude, dense]", evaluate="[attack]")
    assert {cell.donor for cell in attacks(path).values()} == {None}
    lending = AttackSuite("l2-quick", 99, (Member("deepfool"), Member("transfer")))
    monkeypatch.setattr(suites, "SUITES", {**suites.SUITES, "l2-quick": lending})
    cells = plan(load_suite(path))
    of = {(c.method.name, c.level): c for c in cells if c.stage == "attack"}
    dense = of["dense", 0.0]
    assert dense.donor is None
    assert of["magnitude", 0.5].donor == dense.parent
    places = [cell.id for cell in cells]
    assert all(places.index(need) < places.index(c.id) for c in cells for need in c.needs)


def test_a_suite_of_attacks_that_does_not_exist(tiny: Tiny) -> None:
    with pytest.raises(SuiteError, match="attack suite 'l2-quik'"):
        attacks(tiny(evaluate="{attack: {suite: l2-quik}}"))
