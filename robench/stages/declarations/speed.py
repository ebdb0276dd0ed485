"""Operations, bytes and latency, before and after compaction."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from robench.spec import Cell, StageOptions
from robench.spec.base import Frozen
from robench.spec.options import NotEmpty, OneOrMany
from robench.stages.base import Context, Outcome, Premises, Stage

__all__ = ["ResolvedSpeedOptions", "Speed", "SpeedDetails", "SpeedForm", "SpeedOptions"]

SpeedForm = Literal["inference", "csr", "2:4", "compiled", "captured"]


class SpeedOptions(StageOptions):
    """How latency is measured: dense parent against compacted network, interleaved."""

    batch_sizes: Annotated[
        tuple[Annotated[int, Field(ge=1)] | Literal["saturating"], ...], NotEmpty, OneOrMany
    ] = (1, 64)
    """``saturating`` is found for each network: figures stand side by side at equal sizes alone."""
    repeats: Annotated[int, Field(ge=30)] = 30
    forms: Annotated[tuple[SpeedForm, ...], OneOrMany] = ("inference", "csr", "captured")
    """What is timed beside, each against the dense network in the same form: ``inference`` folds
    BatchNorm and keeps channels last, ``csr`` and ``2:4`` are sparse kernels of linear layers,
    ``compiled`` is `torch.compile`, left out by default for it takes seconds a network, and
    ``captured`` a CUDA graph. A form that does not fit the network or the machine is noted."""


class ResolvedSpeedOptions(SpeedOptions):
    """`SpeedOptions` once it is known where time is taken."""

    machine: str
    """Key of the hardware: another machine measures for itself."""
    version: int = 1
    """Raised whenever what is timed or counted changes."""


class SpeedDetails(Frozen):
    """What the record says beside the metrics."""

    compaction: dict[str, Any]
    """`robench.compaction.report.CompactionReport` as JSON."""
    speed: dict[str, Any]
    """`robench.measure.speed.SpeedReport` as JSON, with notes on forms that are not there."""
    recipes: dict[str, dict[str, Any]]
    """Form → network → how it is executed."""


class Speed(Stage[SpeedOptions]):
    """Operations, bytes and latency of the network, before and after compaction."""

    name = "speed"
    Options = SpeedOptions
    is_timed = True
    Details = SpeedDetails
    imports = ("robench.stages.speed",)

    def resolve(self, asked: SpeedOptions, premises: Premises) -> ResolvedSpeedOptions:
        """The machine, and the version of what is timed."""
        from robench.measure.machine import hardware_key
        from robench.measure.speed import SPEED_VERSION

        machine = hardware_key(premises.device)
        return ResolvedSpeedOptions(**dict(asked), machine=machine, version=SPEED_VERSION)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.speed.speed`."""
        from robench.stages.speed import speed

        return speed(cell, context)
