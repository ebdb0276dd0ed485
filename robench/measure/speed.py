"""What compaction gained: operations and bytes by count, time by measurement."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from robench.errors import InputError
from robench.measure.counter import Operations, count_operations
from robench.measure.latency import (
    LEAST_REPEATS,
    Latency,
    SpeedUp,
    Stopwatch,
    sample_latency,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

__all__ = ["BatchSpeed", "SpeedReport", "measure_speed"]


@dataclass(frozen=True)
class BatchSpeed:
    """Latency at one batch size.

    Attributes:
        batch_size: inputs a call.
        original: latency of the network as it was trained.
        compacted: latency of the compacted network.
        speed_up: original over compacted, with its interval.
        status: ``"noisy"`` where the machine was too busy for the figures to be published.
    """

    batch_size: int
    original: Latency
    compacted: Latency
    speed_up: SpeedUp
    status: Literal["ok", "noisy"]


@dataclass(frozen=True)
class SpeedReport:
    """A network against its compacted form.

    Attributes:
        device: where both ran.
        batches: one entry a batch size, in the order asked for.
        original: operations, parameters and bytes of the network as it was trained.
        compacted: the same of the compacted network.
    """

    device: str
    batches: tuple[BatchSpeed, ...]
    original: Operations
    compacted: Operations

    @property
    def status(self) -> Literal["ok", "noisy"]:
        """``"ok"`` where every batch size is."""
        return "ok" if all(batch.status == "ok" for batch in self.batches) else "noisy"

    @property
    def macs_ratio(self) -> float | None:
        """Multiply-accumulates of the original over those of the compacted network."""
        return _ratio(self.original.macs, self.compacted.macs)

    @property
    def macs_nonzero_ratio(self) -> float | None:
        """What skipping every zero weight would save at best; ``None`` where all are zero."""
        return _ratio(self.original.macs, self.original.macs_nonzero)

    @property
    def bytes_ratio(self) -> float | None:
        """Bytes in memory of the original over those of the compacted network."""
        return _ratio(self.original.bytes, self.compacted.bytes)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as JSON takes it, ratios and status included."""
        return {
            **asdict(self),
            "status": self.status,
            "macs_ratio": self.macs_ratio,
            "macs_nonzero_ratio": self.macs_nonzero_ratio,
            "bytes_ratio": self.bytes_ratio,
        }


def measure_speed(
    model: nn.Module,
    compacted: nn.Module,
    example: Tensor,
    device: str | torch.device = "cpu",
    *,
    batch_sizes: Sequence[int] = (1, 64),
    repeats: int = LEAST_REPEATS,
) -> SpeedReport:
    """Time a network against its compacted form, interleaved, with one thread.

    Args:
        model: the network as it was trained, in evaluation mode.
        compacted: what :func:`robench.compact` made of it.
        example: at least one input; repeated to fill a batch.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. Copies of both networks are moved there.
        batch_sizes: at least one; by default a single input and a batch that fills the machine.
        repeats: timings a network and batch size, at least 30.

    Raises:
        InputError: a network in training mode, an example that it does not take, a device that is
            not there, or too few repeats.
    """
    place = _usable_device(device)
    networks = {
        "original": copy.deepcopy(model).to(place),
        "compacted": copy.deepcopy(compacted).to(place),
    }
    inputs = example.detach().to(place)
    operations = {name: count_operations(part, inputs) for name, part in networks.items()}
    batches = tuple(_time_batch(networks, inputs, size, repeats) for size in batch_sizes)
    return SpeedReport(str(place), batches, operations["original"], operations["compacted"])


def _time_batch(
    networks: dict[str, nn.Module], example: Tensor, size: int, repeats: int
) -> BatchSpeed:
    if size < 1:
        raise InputError(f"a batch of {size} inputs cannot be timed", allowed="1 or more")
    batch = example[torch.arange(size) % len(example)].contiguous()

    def forward(network: nn.Module) -> Callable[[], object]:
        return lambda: network(batch)

    calls = {name: forward(network) for name, network in networks.items()}
    with torch.inference_mode():
        sample = sample_latency(calls, repeats=repeats, stopwatch=_stopwatch(example.device))
    return BatchSpeed(
        batch_size=size,
        original=sample.latency("original"),
        compacted=sample.latency("compacted"),
        speed_up=sample.speed_up("original", "compacted"),
        status=sample.status,
    )


def _stopwatch(device: torch.device) -> Stopwatch:
    if device.type == "cuda":
        return Stopwatch(synchronise=lambda: torch.cuda.synchronize(device))
    return Stopwatch()


def _usable_device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"{device!r} is no device", allowed="cpu, cuda, cuda:N") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"there is no {device!r} here", hint='device="cpu"')
    return place


def _ratio(before: int, after: int) -> float | None:
    return before / after if after else None
