"""The attacks of a suite: what its cells ask for, and who joins as a guest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from robench.engine.resolve import resolve_plugin
from robench.registry import all_registries
from robench.spec import (
    AttackOptions,
    Cell,
    Grid,
    PluginChoice,
    ResolvedAttack,
    ResolvedAttackOptions,
    Suite,
)

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["lender_of", "resolve_attack", "with_guest_attacks"]


def resolve_attack(asked: dict[str, JsonValue], data: Data) -> dict[str, JsonValue]:
    """`AttackOptions` with everything that can change a number: versions, scale, parameters.

    Raises:
        UnknownNameError: there is no such suite of attacks, or no such guest.
        ParameterError: a guest has a parameter that it does not take.
    """
    from robench.attacks.evaluation.scales import scale_of
    from robench.attacks.suite.suites import suite_version

    options = AttackOptions.model_validate(asked)
    scale = scale_of(data)
    resolved = ResolvedAttackOptions(
        suite=options.suite,
        version=suite_version(options.suite),
        samples=options.samples,
        area_limit=options.area_limit or scale.area_limit,
        radii=scale.radii if options.radii is None else options.radii,
        extra=tuple(map(_guest, options.extra)),
    )
    return resolved.model_dump(mode="json")


def with_guest_attacks(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite with these attacks as guests wherever it attacks, unless it names them itself."""
    return suite.model_copy(update={"grids": tuple(_joined(g, names) for g in suite.grids)})


def lender_of(options: AttackOptions | None, train: Cell, dense: Cell | None) -> str | None:
    """The network whose adversarials are tried on another: the dense control, if the suite asks.

    Args:
        options: of the attacks.
        train: stands for the training of the network under attack.
        dense: the training of the dense control of the same seed, where there is one.
    """
    from robench.attacks.suite.suites import attack_suite

    if options is None or dense is None or dense.id == train.id:
        return None
    asks = any(member.attack == "transfer" for member in attack_suite(options.suite).members)
    return dense.id if asks else None


def _joined(grid: Grid, names: Sequence[str]) -> Grid:
    attack = grid.evaluate.attack
    if attack is None:
        return grid
    present = {choice.name for choice in attack.extra}
    extra = [PluginChoice(name=name) for name in names if name not in present]
    joined = attack.model_copy(update={"extra": (*attack.extra, *extra)})
    return grid.model_copy(update={"evaluate": grid.evaluate.model_copy(update={"attack": joined})})


def _guest(choice: PluginChoice) -> ResolvedAttack:
    found = resolve_plugin(all_registries()["attacks"], choice)
    return ResolvedAttack(
        name=found.name,
        version=found.version,
        params=found.params,
        label=found.label,
        code=found.code,
    )
