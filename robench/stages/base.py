"""What a stage is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from robench.spec import Cell, Metric, Status

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from robench.data.base import Data
    from robench.training.checkpoint import Checkpoint

__all__ = ["Context", "Outcome", "Stage"]


@dataclass(frozen=True)
class Context:
    """Everything a stage may use besides its cell.

    Args:
        load: gives the data set of the cell; a stage that needs none never asks.
        device: where to compute.
        parent: reads the checkpoint that the cell hangs off; `None` where it hangs off nothing.
        donor: reads the checkpoint whose masks the cell's method asks for, if it does.
        data_root: where data sets lie that are not embedded; `None` is the usual place.
    """

    load: Callable[[], Data]
    device: torch.device
    parent: Callable[[], Checkpoint] | None = None
    donor: Callable[[], Checkpoint] | None = None
    data_root: Path | None = None

    @property
    def data(self) -> Data:
        """The data set of the cell."""
        return self.load()


@dataclass(frozen=True)
class Outcome:
    """What came out of a stage: numbers, per-sample arrays, and perhaps a checkpoint."""

    metrics: tuple[Metric, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    """Plain data: whatever a person may want to know beyond the metrics."""
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    status: Status = "ok"
    reason: str | None = None
    """Why the status is not ``ok``."""
    traceback: str | None = None


Stage: TypeAlias = Callable[[Cell, Context], Outcome]
