"""Gain of compaction: MACs and bytes by counting, latency by measurement."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch

from robench.errors import InputError, NotApplicableError
from robench.measure.checks import (
    answer,
    check_device,
    check_example,
    check_memory,
    check_network,
    check_pairs,
    check_sizes,
    check_ways,
    whole_number,
)
from robench.measure.counter import Operations, count_operations
from robench.measure.execution_modes import ExecutionMode, calls_of
from robench.measure.latency import (
    LEAST_REPEATS,
    Latency,
    SpeedUp,
    sample_latency,
    stopwatch_for,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["SPEED_VERSION", "BatchSpeed", "SpeedReport", "measure_speed", "saturating_batch"]

SPEED_VERSION = 3
"""Version of the figures of compacted networks, raised whenever removal, execution or counting
changes. 2: constants and functional BatchNorms are propagated through the graph, inference forms
may use TorchScript, and MACs of functions, recurrent layers and transposed convolutions are
counted. 3: units of all kinds of convolutions and of linear layers on tokens are removed."""

_Asked: TypeAlias = "tuple[str, ExecutionMode, tuple[nn.Module, nn.Module]]"
"""A form: its name, its execution mode, and the two networks in this form."""
_LARGEST_BATCH = 1024
_SATURATED_WITHIN = 0.1
"""A batch saturates if no larger one raises the throughput by more than this share."""
_LOOKS = 5
"""Timings per batch size in the search for the saturating batch."""
MOST_REPEATS = 100_000
"""Larger numbers are taken for typing errors."""


@dataclass(frozen=True)
class BatchSpeed:
    """Latency at one batch size.

    Attributes:
        batch_size: inputs per call.
        original: latency of the network as it was trained.
        compacted: latency of the compacted network.
        speed_up: original over compacted, with its interval.
        status: ``"noisy"`` if the machine was too busy for publishable figures.
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
        device: on which both ran.
        batches: one entry per batch size, in the given order.
        original: MACs, parameters and bytes of the network as it was trained.
        compacted: the same of the compacted network.
        forms: other forms and execution modes, each against the original in the same form: name →
            one entry per batch size.
        notes: name of a requested form → reason that it is missing; and the operators of a network
            that were not counted.
    """

    device: str
    batches: tuple[BatchSpeed, ...]
    original: Operations
    compacted: Operations
    forms: Mapping[str, tuple[BatchSpeed, ...]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Literal["ok", "noisy"]:
        """``"ok"`` if every batch size is; other forms have their own status."""
        return "ok" if all(batch.status == "ok" for batch in self.batches) else "noisy"

    @property
    def macs_ratio(self) -> float | None:
        """MACs ratio: multiply-accumulates of the original over those of the compacted network."""
        return _ratio(self.original.macs, self.compacted.macs)

    @property
    def macs_nonzero_ratio(self) -> float | None:
        """MACs ratio if every zero weight were skipped; ``None`` if all are zero."""
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
    batch_sizes: Sequence[int | Literal["saturating"]] = (1, 64),
    repeats: int = LEAST_REPEATS,
    ways: Sequence[ExecutionMode] = (),
    pairs: Mapping[str, tuple[nn.Module, nn.Module]] | None = None,
) -> SpeedReport:
    """Time a network against its compacted form, interleaved, with one thread.

    Args:
        model: the network as it was trained, in evaluation mode.
        compacted: what :func:`robench.compact` made of it.
        example: at least one input; repeated to fill a batch.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. Copies of both networks are moved there.
        batch_sizes: at least one; by default a single input, and 64, at which one thread of a CPU
            gains no more from convolutions (small perceptrons do). ``"saturating"`` is the one that
            :func:`saturating_batch` finds for the model.
        repeats: timings per network and batch size, at least 30.
        ways: execution modes in addition to eager: ``"compiled"`` by ``torch.compile``, which
            takes seconds, or ``"captured"`` in a CUDA graph.
        pairs: other forms to be timed, eagerly: name → the model and the form, each of which
            takes the example.

    Raises:
        InputError: a network in training mode or that gives no tensor, an example that it does not
            take, another answer of the compacted network in its shape, a device that is not there,
            a batch that does not fit, or too few repeats; says what is allowed.
    """
    check_ways(ways)
    check_pairs(pairs or {}, ways)
    whole_number(repeats, "{} repeats cannot be timed", LEAST_REPEATS, MOST_REPEATS)
    place = check_device(device)
    asked_sizes = check_sizes(batch_sizes)
    main = _placed((model, compacted), place, example)
    inputs = example.detach().to(place)
    operations = {name: count_operations(part, inputs) for name, part in main.items()}
    sizes = [
        saturating_batch(main["original"], inputs) if isinstance(size, str) else size
        for size in asked_sizes
    ]
    for size in sizes:
        check_memory(size, operations["original"].peak_activation_bytes, place)
    batches = tuple(_time_batch(main, inputs, size, repeats) for size in sizes)
    asked: list[_Asked] = [
        *((mode, mode, (model, compacted)) for mode in ways),
        *((name, "eager", pair) for name, pair in (pairs or {}).items()),
    ]
    if all(batch.status == "ok" for batch in batches):
        forms, notes = _time_forms(asked, inputs, sizes, repeats)
    else:
        forms, notes = {}, {name: "not timed: the machine is too busy" for name, *_ in asked}
    notes |= {
        f"operations of the {name} network": f"not counted: {_listed(counted.uncounted)}"
        for name, counted in operations.items()
        if counted.uncounted
    }
    return SpeedReport(
        str(place), batches, operations["original"], operations["compacted"], forms, notes
    )


def _listed(uncounted: Mapping[str, int]) -> str:
    return ", ".join(f"{operator} (called {calls} ×)" for operator, calls in uncounted.items())


def _time_forms(
    asked: Sequence[_Asked], inputs: Tensor, sizes: Sequence[int], repeats: int
) -> tuple[dict[str, tuple[BatchSpeed, ...]], dict[str, str]]:
    """Forms that this machine and these networks support, and reasons for the missing ones."""
    forms: dict[str, tuple[BatchSpeed, ...]] = {}
    notes: dict[str, str] = {}
    for name, mode, pair in asked:
        networks = _placed(pair, inputs.device, inputs)
        try:
            forms[name] = tuple(
                _time_batch(networks, inputs, size, repeats, mode) for size in sizes
            )
        except NotApplicableError as error:
            notes[name] = str(error)
    return forms, notes


def saturating_batch(network: nn.Module, example: Tensor, *, largest: int = _LARGEST_BATCH) -> int:
    """The smallest batch size, among powers of two, beyond which the throughput hardly grows.

    Doubles the batch until two sizes in a row did not raise the throughput; returns the smallest
    one within 10 % of the best.

    Args:
        network: in evaluation mode, on the device of the example.
        example: at least one input; repeated to fill a batch.
        largest: no larger batch is tried.

    Raises:
        InputError: a network in training mode, or an example that it does not take.
    """
    check_network(network)
    check_example(example)
    whole_number(largest, "a batch of {} inputs cannot be timed", 1)
    answer(network, example[:1])
    watch = stopwatch_for(example.device)
    rates: dict[int, float] = {}
    size, idle = 1, 0
    while size <= largest and idle < 2:
        call = functools.partial(network, _filled(example, size))
        try:
            with torch.inference_mode():
                seconds = min(watch.time(call, 1) for _ in range(_LOOKS))
        except torch.cuda.OutOfMemoryError:
            break
        best = max(rates.values(), default=0.0)
        rates[size] = size / seconds
        idle = 0 if rates[size] > best else idle + 1
        size *= 2
    enough = (1 - _SATURATED_WITHIN) * max(rates.values(), default=0.0)
    return next((one for one, rate in rates.items() if rate >= enough), 1)


def _placed(
    pair: tuple[nn.Module, nn.Module], device: torch.device, example: Tensor
) -> dict[str, nn.Module]:
    """Copies of two networks on the device, whose outputs for the example have equal shapes."""
    check_example(example)
    networks = dict(zip(("original", "compacted"), pair, strict=True))
    shapes: dict[str, tuple[int, ...]] = {}
    for name, network in networks.items():
        check_network(network, "model" if name == "original" else name)
        try:
            networks[name] = copy.deepcopy(network).to(device)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            raise InputError(
                f"{type(network).__name__} cannot be copied to {str(device)!r}: {error}",
                hint="make computed weights permanent first: torch.nn.utils.prune.remove, "
                "torch.nn.utils.parametrize.remove_parametrizations",
            ) from error
        shapes[name] = tuple(answer(networks[name], example[:1].detach().to(device)).shape)
    if shapes["original"] != shapes["compacted"]:
        raise InputError(
            f"the networks answer one input by {shapes['original']} and {shapes['compacted']} "
            "numbers",
            allowed="two forms of one network",
        )
    return networks


def _filled(example: Tensor, size: int) -> Tensor:
    return example[torch.arange(size) % len(example)].contiguous()


def _time_batch(
    networks: dict[str, nn.Module],
    example: Tensor,
    size: int,
    repeats: int,
    mode: ExecutionMode = "eager",
) -> BatchSpeed:
    batch = _filled(example, size)
    for network in networks.values():
        answer(network, batch)
    with torch.inference_mode():
        calls = calls_of(mode, networks, batch)
        sample = sample_latency(calls, repeats=repeats, stopwatch=stopwatch_for(example.device))
    return BatchSpeed(
        batch_size=size,
        original=sample.latency("original"),
        compacted=sample.latency("compacted"),
        speed_up=sample.speed_up("original", "compacted"),
        status=sample.status,
    )


def _ratio(before: int, after: int) -> float | None:
    return before / after if after else None
