"""The closest adversarial of each test image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from robench.errors import SuiteError, UnknownNameError
from robench.registry import all_registries
from robench.spec import Cell, PluginChoice, StageOptions
from robench.spec.base import Frozen, without_missing_code
from robench.spec.options import OneOrMany
from robench.spec.plugins import resolve_plugin
from robench.stages.base import Context, FlaggedDetails, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import classes

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["Attack", "AttackDetails", "AttackOptions", "ResolvedAttack", "ResolvedAttackOptions"]


class AttackOptions(StageOptions):
    """Which frozen attack suite runs, on how many test images."""

    suite: str = "l2-quick"
    samples: Annotated[int, Field(ge=1)] | None = None
    """The first so many images of the test split's fixed order; `None` means all."""
    area_limit: Annotated[float, Field(gt=0)] | None = None
    """Distance up to which the area under the curve of robust accuracy is taken; `None` is the
    data set's own, see `robench.attacks.evaluation.scales`."""
    radii: Annotated[tuple[Annotated[float, Field(gt=0)], ...] | None, OneOrMany] = None
    """Distances at which the robust accuracy is told; `None` is the data set's own."""
    extra: Annotated[tuple[PluginChoice, ...], OneOrMany] = ()
    """Guests: attacks that run beside the frozen suite, to be compared with its members. They never
    count in its distances; attacks of ``--plugin`` files join by themselves."""

    def plugins(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """The guests that it names."""
        for place, choice in enumerate(self.extra):
            yield ("extra", place), "attacks", choice.name

    def with_guests(self, found: Sequence[tuple[str, str]]) -> Self:
        """With the attacks of the run's own files as guests, unless it names them itself."""
        present = {choice.name for choice in self.extra}
        names = [name for kind, name in found if kind == "attack" and name not in present]
        return self.model_copy(
            update={"extra": (*self.extra, *(PluginChoice(name=name) for name in names))}
        )


class ResolvedAttack(Frozen):
    """A guest attack as a cell asks for it, with all of its parameters."""

    name: str
    version: int
    params: dict[str, JsonValue] = {}
    label: str
    """Its name with the parameters that the suite set itself."""
    code: str | None = None
    """Which code it is, where that is not robench's own."""

    @model_serializer(mode="wrap")
    def _without_missing_code(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_missing_code(dump(self))


class ResolvedAttackOptions(Frozen):
    """`AttackOptions` once the data set is known, and the versions of everything."""

    suite: str
    version: int
    """Of the attack suite: figures of two versions do not compare."""
    samples: int | None = None
    area_limit: float
    radii: tuple[float, ...]
    extra: tuple[ResolvedAttack, ...] = ()


class AttackDetails(FlaggedDetails):
    """What the record says beside the metrics."""

    suite: str
    seed: int
    box: bool
    """Whether adversarials had to lie in [0, 1]."""
    views: tuple[str, ...]
    """Whose gradients were followed, the network's own first."""
    passes_allowed: int | None
    images_sha256: str
    """Which images these are: two networks compare where they agree."""
    checks: dict[str, Any] | None
    notes: tuple[str, ...]
    attacks: dict[str, dict[str, Any]]
    """Each attack by itself, guests included."""
    winners: tuple[str, ...]
    """The attacks that the numbers in the array ``winner`` stand for."""


class Attack(Stage[AttackOptions]):
    """The closest verified adversarial of each image, over all attacks of a frozen suite."""

    name = "attack"
    Options = AttackOptions
    Details = AttackDetails
    imports = ("robench.stages.attack",)

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To data with classes."""
        return classes(data)

    def check(self, asked: AttackOptions, locate: Callable[..., str | None]) -> None:
        """There must be such a suite of attacks."""
        from robench.attacks.suite.suites import attack_suite

        try:
            attack_suite(asked.suite)
        except UnknownNameError as error:
            raise SuiteError(
                error.what, where=locate("suite"), allowed=error.allowed, hint=error.hint
            ) from None

    def resolve(self, asked: AttackOptions, premises: Premises) -> ResolvedAttackOptions:
        """Versions, the scale of the data set, and the parameters of guests.

        Raises:
            UnknownNameError: there is no such suite of attacks, or no such guest.
            ParameterError: a guest has a parameter that it does not take.
        """
        from robench.attacks.evaluation.scales import scale_of
        from robench.attacks.suite.suites import suite_version

        scale = scale_of(premises.data)
        return ResolvedAttackOptions(
            suite=asked.suite,
            version=suite_version(asked.suite),
            samples=asked.samples,
            area_limit=asked.area_limit or scale.area_limit,
            radii=scale.radii if asked.radii is None else asked.radii,
            extra=tuple(map(_guest, asked.extra)),
        )

    def donor(self, asked: AttackOptions, train: Cell, dense: Cell | None) -> str | None:
        """The dense control, if the suite tries its adversarials on other networks."""
        from robench.attacks.suite.suites import attack_suite

        if dense is None or dense.id == train.id:
            return None
        asks = any(member.attack == "transfer" for member in attack_suite(asked.suite).members)
        return dense.id if asks else None

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The guests."""
        extra: JsonValue = cell.options.get("extra")
        for guest in extra if isinstance(extra, list) else ():
            if isinstance(guest, dict):
                code = guest.get("code")
                yield "attacks", str(guest["name"]), code if isinstance(code, str) else None

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.attack.attack`."""
        from robench.stages.attack import attack

        return attack(cell, context)


def _guest(choice: PluginChoice) -> ResolvedAttack:
    found = resolve_plugin(all_registries()["attacks"], choice)
    return ResolvedAttack(
        name=found.name,
        version=found.version,
        params=found.params,
        label=found.label,
        code=found.code,
    )
