"""What a network costs: MACs, bytes, zeros, and latency on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

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

__getattr__ = lazily(
    __name__,
    {
        "Latency": "robench.measure.latency",
        "Operations": "robench.measure.counter",
        "SparsityReport": "robench.measure.sparsity",
        "SpeedReport": "robench.measure.speed",
        "SpeedUp": "robench.measure.latency",
        "count_operations": "robench.measure.counter",
        "fingerprint": "robench.measure.machine",
        "measure_speed": "robench.measure.speed",
        "model_bytes": "robench.measure.counter",
        "sample_latency": "robench.measure.latency",
        "sparsity_report": "robench.measure.sparsity",
    },
)
