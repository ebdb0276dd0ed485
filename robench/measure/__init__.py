"""What a network costs: operations, bytes, zeros, and time on this machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.measure.counter import Operations, count_operations, model_bytes
    from robench.measure.latency import Latency, SpeedUp, sample_latency
    from robench.measure.machine import fingerprint
    from robench.measure.sparsity import SparsityReport, sparsity_report
    from robench.measure.speed import SpeedReport, measure_speed

__all__ = [
    "Latency",
    "Operations",
    "SparsityReport",
    "SpeedReport",
    "SpeedUp",
    "count_operations",
    "fingerprint",
    "measure_speed",
    "model_bytes",
    "sample_latency",
    "sparsity_report",
]

_HOMES = {
    "SpeedUp": "latency",
    "Latency": "latency",
    "Operations": "counter",
    "SparsityReport": "sparsity",
    "SpeedReport": "speed",
    "sample_latency": "latency",
    "count_operations": "counter",
    "fingerprint": "machine",
    "measure_speed": "speed",
    "model_bytes": "counter",
    "sparsity_report": "sparsity",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
