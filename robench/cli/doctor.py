"""`robench doctor`: what this machine can run, and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from robench.cli.output import say

__all__ = ["EXTRAS", "LIBRARIES", "doctor"]

LIBRARIES = {
    "foolbox": ("foolbox", "attacks of foolbox"),
    "imagecorruptions-imaug": ("imagecorruptions", "the corruptions of ImageNet-C"),
}
"""Dependencies that are imported only when they are used: distribution → module, and its use."""

EXTRAS = {
    "ray": ("ray", "`--engine ray`, more than one machine"),
    "gbt": ("lightgbm", "boosted trees as reference rows"),
    "kernels": ("llvmlite", "kernels compiled for what is left of a convolution"),
    "timm": ("timm", "networks of timm"),
    "pruning": ("torch_pruning", "compaction of graphs that cannot be traced"),
    "parquet": ("pyarrow", "tables in Parquet"),
}
"""Extras of pyproject.toml: name → module, and its use."""


def doctor(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets.", envvar="ROBENCH_DATA", show_envvar=True),
    ] = None,
) -> None:
    """Say what this machine can run, and what is missing."""
    for verdict, text in _findings(data):
        say(f"  {verdict:<8}{text}\n")


def _findings(data: Path | None) -> Iterator[tuple[str, str]]:
    import psutil
    import torch

    import robench
    from robench.engine.run import default_jobs

    memory = psutil.virtual_memory()
    yield "ok", f"robench {robench.__version__}, Python {platform.python_version()}"
    yield "ok", f"torch {torch.__version__}, numpy and friends import"
    yield "ok", f"{default_jobs()} cores: `robench run` starts as many workers of one thread"
    enough = "ok" if memory.available > 2e9 else "careful"
    yield enough, f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB memory are free"
    yield _threads()
    yield _torchvision()
    if torch.cuda.is_available():
        yield "ok", f"CUDA: {torch.cuda.get_device_name()}"
    else:
        yield "none", "no CUDA device: everything runs on the CPU"
    for distribution, (module, use) in LIBRARIES.items():
        yield _package(module, use, "missing", f"pip install {distribution}")
    for extra, (module, use) in EXTRAS.items():
        yield _package(module, use, "none", f"pip install 'robench[{extra}]'")
    yield _kernels()
    yield _data_root(data)


def _package(module: str, use: str, otherwise: str, remedy: str) -> tuple[str, str]:
    """Whether a package is installed; it is not imported."""
    if importlib.util.find_spec(module):
        return "ok", f"{module} is installed: {use}"
    return otherwise, f"{module} is not installed ({remedy}): {use}"


def _threads() -> tuple[str, str]:
    variable = os.environ.get("OMP_NUM_THREADS")
    if variable is None or variable == "1":
        return "ok", "workers use one torch thread each"
    return "careful", f"OMP_NUM_THREADS={variable}: workers use one torch thread all the same"


def _kernels() -> tuple[str, str]:
    from robench.deploy.backends import why_off

    reason = why_off()
    if reason is None:
        return "ok", "compiled convolution kernels are on"
    return "none", f"compiled convolution kernels are off: {reason}"


def _torchvision() -> tuple[str, str]:
    from robench._torchvision import import_torchvision

    try:
        module = import_torchvision()
    except Exception as error:  # noqa: BLE001 - whatever it is, the doctor reports it
        return "missing", f"torchvision does not import ({error}): no mnist, cifar10 and relatives"
    return "ok", f"torchvision {module.__version__}"


def _data_root(data: Path | None) -> tuple[str, str]:
    if data is None:
        return (
            "none",
            "no data root (--data or ROBENCH_DATA): digits and breast-cancer are embedded",
        )
    if not data.is_dir():
        return "missing", f"the data root {str(data)!r} does not exist"
    names = sorted(path.name for path in data.iterdir())
    return "ok", f"data root {data}: {', '.join(names) or 'empty'}"
