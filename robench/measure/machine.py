"""Fingerprint of this machine, so that only comparable latencies are compared."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from robench.deploy import backends
from robench.errors import MeasurementError

__all__ = ["check_machine", "fingerprint", "hardware_key"]

_GIB = 2**30
_HARDWARE = ("cpu", "cores", "memory_gib", "system", "architecture", "torch", "llvmlite")
# Facts that may change between two runs on one machine without an effect on latency.
_NOT_IN_KEY = {"kernel"}


def fingerprint() -> dict[str, Any]:
    """Facts about this machine, as JSON takes them.

    Returns:
        ``cpu``, ``cores`` (physical), ``cores_logical``, ``cores_usable`` by this process,
        ``memory_gib``, ``system``, ``architecture``, ``kernel``, ``python``, ``torch``,
        ``llvmlite`` (version of the compiler of kernels; ``None`` without kernels), ``threads`` of
        torch, ``gpus``, ``hardware``: see :func:`hardware_key`, and ``key``: 12 hexadecimal digits,
        equal where everything but the version of the operating system's kernel is equal.
    """
    import torch

    facts = {**_facts(), "cores_usable": _usable_cores(), "threads": torch.get_num_threads()}
    keyed = {name: value for name, value in facts.items() if name not in _NOT_IN_KEY}
    own = {device: hardware_key(device) for device in ("cpu", *(["cuda"] * bool(facts["gpus"])))}
    return {**facts, "hardware": own, "key": _digest(keyed)}


def hardware_key(device: str) -> str:
    """Hash of everything that single-thread latency on this machine depends on, 12 hex digits.

    It is part of the id of a timed cell, so that another machine measures again: processor, cores,
    memory, system, the versions of torch and of the compiler of kernels, and the GPUs if used.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    names = (*_HARDWARE, "gpus") if device == "cuda" else _HARDWARE
    facts = _facts()
    return _digest({name: facts[name] for name in names})


def check_machine(planned: str, device: str) -> None:
    """Refuse to measure latency that was planned for another machine.

    Args:
        planned: hardware key of the cell.
        device: ``cpu`` or ``cuda``.

    Raises:
        MeasurementError: this machine is another one.
    """
    own = hardware_key(device)
    if own != planned:
        raise MeasurementError(
            f"time is to be taken on the machine {planned}, and this is {own}",
            hint="run the suite on this machine: what takes time is measured again there",
        )


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@lru_cache(maxsize=1)
def _facts() -> dict[str, Any]:
    """Facts that cannot change during the process."""
    import psutil
    import torch

    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "cpu": _model_in(Path("/proc/cpuinfo")) or platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / _GIB),
        "system": platform.system(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "llvmlite": _version_of("llvmlite") if backends.is_enabled() else None,
        "gpus": [torch.cuda.get_device_name(index) for index in gpus],
    }


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _usable_cores() -> int | None:
    """Number of cores that this process may run on; macOS has no such limit."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count()


def _model_in(cpuinfo: Path) -> str | None:
    """The first model name in Linux's cpuinfo; other systems lack the file, ARM lacks the line."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)
