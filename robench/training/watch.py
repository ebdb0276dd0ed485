"""Keeping an eye on a run: the loss, whether it diverges, and telling how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from robench.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from robench.methods.base import TrainState

__all__ = ["Progress", "Watch", "check_finite"]

Progress: TypeAlias = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the loss."""

_LOSSES_KEPT = 100
_PROGRESS_INTERVAL_S = 0.25
