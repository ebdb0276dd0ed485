"""The state that all code of a process shares, read before a cell and set back after it.

A plug-in may set torch's default dtype, patch ``F.relu`` or change directory. In the cell that does
so this is its own affair; the next cell, of another method, must not see it.
"""

from __future__ import annotations

import contextlib
import gc
import operator
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from robench.spec import seed_for

__all__ = ["SharedState", "seed_global_generators"]

_Read = Callable[[], Any]
_Restore = Callable[[Any], object]


def _always(_: object) -> None:
    """Cannot be set back in a process that goes on."""
    raise RuntimeError("this cannot be set back")


def _set_default_device(device: torch.device) -> None:
    # ``set_default_device`` leaves a mode in force, even for what was the device before.
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _set_grad_mode(mode: tuple[bool, bool]) -> None:
    torch.set_grad_enabled(mode[0])
    if torch.is_inference_mode_enabled() != mode[1]:
        raise RuntimeError("the inference mode cannot be left from outside")


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _autocast() -> tuple[object, ...]:
    return tuple(
        (device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
        for device in ("cpu", "cuda")
    )


def _set_autocast(value: tuple[tuple[str, bool, torch.dtype], ...]) -> None:
    for device, is_enabled, dtype in value:
        torch.set_autocast_enabled(device, is_enabled)
        torch.set_autocast_dtype(device, dtype)


def _backends() -> dict[str, object]:
    return {
        "cudnn.enabled": torch.backends.cudnn.enabled,
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
        "mkldnn.enabled": torch.backends.mkldnn.enabled,
    }


def _set_backends(value: Mapping[str, object]) -> None:
    for name, setting in value.items():
        backend, _, attribute = name.partition(".")
        setattr(getattr(torch.backends, backend), attribute, setting)


def _flushes_denormals() -> bool:
    return bool(torch.tensor(1e-310, dtype=torch.float64) * 1 == 0)


def _signal_handlers() -> dict[int, object]:
    return {int(number): signal.getsignal(number) for number in _WATCHED_SIGNALS}


def _set_signal_handlers(value: Mapping[int, Any]) -> None:
    for number, handler in value.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


_WATCHED_SIGNALS = tuple(
    number
    for number in signal.valid_signals()
    if number not in (signal.SIGKILL, signal.SIGSTOP)
    and signal.getsignal(number) is not None  # of no code that Python knows
)


def _set_environment(value: Mapping[str, str]) -> None:
    for name in os.environ.keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _in_place(target: list[Any]) -> _Restore:
    """Restores a list that others may hold on to."""

    def restore(value: tuple[Any, ...]) -> None:
        target[:] = value

    return restore


def _working_directory() -> str | None:
    try:
        return str(os.getcwd())  # noqa: PTH109 - as text, to be compared
    except FileNotFoundError:
        return None


def _set_working_directory(value: str | None) -> None:
    if value is not None:
        os.chdir(value)


def _set_warnings(value: tuple[Any, ...]) -> None:
    warnings.filters[:] = value  # type: ignore[index]
    # Filters that were seen are remembered until this is called.
    getattr(warnings, "_filters_mutated", lambda: None)()


def _threads() -> frozenset[int]:
    """Threads that may take time from later cells; those of robench and of tqdm sleep."""
    return frozenset(
        thread.ident or 0
        for thread in threading.enumerate()
        if not thread.name.startswith(("robench", "tqdm"))
    )


def _affinity() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _set_affinity(value: frozenset[int]) -> None:
    os.sched_setaffinity(0, value)


def _global_hooks() -> dict[str, tuple[int, ...]]:
    """Hooks that every module of every network would call."""
    room = sys.modules["torch.nn.modules.module"]
    return {
        name: tuple(hooks)
        for name, hooks in vars(room).items()
        if name.startswith("_global_") and isinstance(hooks, dict)
    }


def _set_global_hooks(value: Mapping[str, tuple[int, ...]]) -> None:
    room = sys.modules["torch.nn.modules.module"]
    for name, keys in value.items():
        hooks = getattr(room, name)
        for key in [key for key in hooks if key not in keys]:
            del hooks[key]


def _set_streams(value: Mapping[str, object]) -> None:
    for name, stream in value.items():
        setattr(sys, name, stream)


def _set_gc(value: bool) -> None:
    (gc.enable if value else gc.disable)()


_ASPECTS: Mapping[str, tuple[_Read, _Restore]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, _set_default_device),
    "torch's grad mode": (
        lambda: (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        _set_grad_mode,
    ),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's number of interop threads": (torch.get_num_interop_threads, _always),
    "torch's deterministic mode": (
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _set_deterministic,
    ),
    "torch's precision of float32 products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch's autocast": (_autocast, _set_autocast),
    "torch's anomaly detection": (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.set_anomaly_enabled(*value),
    ),
    "torch's backends": (_backends, _set_backends),
    "torch's flushing of denormals": (_flushes_denormals, torch.set_flush_denormal),
    "torch's hooks on all modules": (_global_hooks, _set_global_hooks),
    "numpy's handling of floating-point errors": (np.geterr, lambda value: np.seterr(**value)),
    "the environment": (lambda: dict(os.environ), _set_environment),
    "the working directory": (_working_directory, _set_working_directory),
    "the warning filters": (lambda: tuple(warnings.filters), _set_warnings),
    "the signal handlers": (_signal_handlers, _set_signal_handlers),
    "sys.path": (lambda: tuple(sys.path), _in_place(sys.path)),
    "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "the standard streams": (
        lambda: {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")},
        _set_streams,
    ),
    "the garbage collector": (gc.isenabled, _set_gc),
    "the cores that may be used": (_affinity, _set_affinity),
    "the priority of the process": (lambda: os.nice(0), _always),
    "the threads that run": (_threads, _always),
}
"""What is read, and how it is set back, by a name that can stand in a sentence."""


@dataclass(frozen=True)
class Changes:
    """What a cell left changed.

    Attributes:
        names: of what was changed, for people.
        is_undone: whether all of it is surely as it was; else the process should not go on.
    """

    names: tuple[str, ...]
    is_undone: bool


class SharedState:
    """What the state was when this was made."""

    def __init__(self) -> None:
        self._values = {name: read() for name, (read, _) in _ASPECTS.items()}
        self._code = {room: _members(room) for room in _patchable()}
        self._generators = (torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002

    def restore(self) -> Changes:
        """Set everything back; says what was changed.

        The global generators are set back as well, without a word: to draw from them is no fault,
        and every cell begins with generators of its own.
        """
        torch.set_rng_state(self._generators[0])
        np.random.set_state(self._generators[1])  # noqa: NPY002
        random.setstate(self._generators[2])
        names: list[str] = []
        is_undone = True
        for name, (read, set_back) in _ASPECTS.items():
            before = self._values[name]
            if read() == before:
                continue
            if name == "the threads that run" and _threads() <= before:
                continue
            names.append(name)
            with contextlib.suppress(Exception):
                set_back(before)
            is_undone &= read() == before
        patched = list(self._unpatch())
        return Changes((*names, *patched), is_undone and not patched)

    def _unpatch(self) -> Iterator[str]:
        """Put functions and classes back that were replaced; names them."""
        for room, before in self._code.items():
            for name in _departures(room, before):
                yield f"{room.__name__}.{name}"
                with contextlib.suppress(Exception):
                    _put_back(room, name, before)


_Members = dict[str, Any]

_CODE: dict[FunctionType, tuple[object, object]] = {}
"""What was in each function when it was first seen: it can be replaced within."""


def _members(room: ModuleType | type) -> _Members:
    """What a module or class holds."""
    found = dict(vars(room))
    for value in found.values():
        if type(value) is FunctionType and value not in _CODE:
            _CODE[value] = (value.__code__, value.__defaults__)
    return found


def _departures(room: ModuleType | type, before: _Members) -> list[str]:
    """The names under which something else is found now.

    Modules get new names when others are imported for the first time; a class does not.
    """
    now = vars(room)
    names = [name for name, value in before.items() if _is_recoded(value)]
    if len(now) == len(before) and all(map(operator.is_, now.values(), before.values())):
        return names
    names += [
        name
        for name, value in before.items()
        if name not in now or (now[name] is not value and not _is_profiled(now[name], value))
    ]
    new = [name for name in now if name not in before] if isinstance(room, type) else []
    return [name for name in (*names, *new) if not _is_housekeeping(name)]


def _is_recoded(value: object) -> bool:
    """Whether a function has other code, or other defaults, than when it was first seen."""
    if type(value) is not FunctionType:
        return False
    code, defaults = _CODE[value]
    return value.__code__ is not code or value.__defaults__ is not defaults


def _is_profiled(value: object, before: object) -> bool:
    """Whether torch has wrapped an optimiser's step, as it does when the first one is made."""
    return getattr(value, "hooked", False) and getattr(value, "__wrapped__", None) is before


def _is_housekeeping(name: str) -> bool:
    """What Python and torch write down for themselves."""
    return name in _HOUSEKEEPING or name.startswith("_abc_")


_HOUSEKEEPING = {"__annotations__", "__warningregistry__", "__doc__", "__path__", "__dict__"}


def _put_back(room: ModuleType | type, name: str, before: _Members) -> None:
    if name not in before:
        delattr(room, name)
        return
    value = before[name]
    if type(value) is FunctionType:
        value.__code__, value.__defaults__ = _CODE[value]  # type: ignore[assignment]
    setattr(room, name, value)


@cache
def _torch_rooms() -> tuple[ModuleType | type, ...]:
    """Where networks, losses and optimisers find their functions."""
    modules = (torch, nn, nn.functional, nn.init, torch.autograd, torch.optim, torch.linalg, np)
    kinds = {
        value
        for module in (nn, torch.optim)
        for value in vars(module).values()
        if isinstance(value, type)
    }
    classes = sorted(kinds | {torch.Tensor, nn.Module}, key=lambda kind: kind.__qualname__)
    return (*modules, *classes)


def _patchable() -> tuple[ModuleType | type, ...]:
    own = tuple(
        module
        for name, module in tuple(sys.modules.items())
        if name.startswith("robench.") and isinstance(module, ModuleType)
    )
    return (*_torch_rooms(), *own)


def seed_global_generators(cell_id: str) -> None:
    """Let what draws from a global generator draw the same in every run, whoever ran before."""
    seed = seed_for(0, "global generators", cell_id)
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
