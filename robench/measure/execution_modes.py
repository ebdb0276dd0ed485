"""Execution modes of a network: eager, ``torch.compile``, or captured in a CUDA graph.

A mode that this machine lacks, or that does not support the network, raises an error; it never
falls back to another mode.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from robench.errors import NotApplicableError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Call", "ExecutionMode", "calls_of"]

Call: TypeAlias = "Callable[[], object]"
ExecutionMode = Literal["eager", "compiled", "captured"]

_COMPILERS = ("c++", "g++", "clang++", "cl")
_TOLERANCE = 1e-3
"""Largest change of a logit by another mode, as a share of the largest logit."""
_CALLS_BEFORE_CAPTURE = 3
"""Warm-up calls, which CUDA graphs need before the capture."""


def calls_of(
    mode: ExecutionMode, networks: Mapping[str, nn.Module], batch: Tensor
) -> dict[str, Call]:
    """A function without arguments for each network, ready to be timed.

    Args:
        mode: ``compiled`` takes seconds per network.
        networks: in evaluation mode, on the device of the batch.
        batch: their input.

    Raises:
        NotApplicableError: no compiler, no CUDA, or the network cannot be compiled or captured.
    """
    if mode == "compiled":
        _check_compiler(batch.device)
        # Networks of one class share a code object, and torch caches only a few versions of it.
        torch.compiler.reset()
    elif mode == "captured" and not batch.is_cuda:
        raise NotApplicableError("there are no CUDA graphs on the CPU")
    return {name: _MAKERS[mode](network, batch) for name, network in networks.items()}


def _eager(network: nn.Module, batch: Tensor) -> Call:
    return lambda: network(batch)


def _compiled(network: nn.Module, batch: Tensor) -> Call:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        try:
            compiled = torch.compile(network, dynamic=False, fullgraph=True)
            logits = compiled(batch)
        except Exception as error:  # compilers raise errors of many types
            raise NotApplicableError(f"torch.compile fails: {_first_line(error)}") from error
    _check_equal(logits, network(batch), "torch.compile")
    return lambda: compiled(batch)


def _captured(network: nn.Module, batch: Tensor) -> Call:
    stream = torch.cuda.Stream(batch.device)  # type: ignore[no-untyped-call]
    current = torch.cuda.current_stream(batch.device)
    graph = torch.cuda.CUDAGraph()
    try:
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(_CALLS_BEFORE_CAPTURE):
                network(batch)
        current.wait_stream(stream)
        with torch.cuda.graph(graph):
            logits = network(batch)
        graph.replay()
        torch.cuda.synchronize(batch.device)
    except RuntimeError as error:
        raise NotApplicableError(f"no CUDA graph: {_first_line(error)}") from error
    _check_equal(logits, network(batch), "the CUDA graph")
    return graph.replay


_MAKERS: dict[ExecutionMode, Callable[[nn.Module, Tensor], Call]] = {
    "eager": _eager,
    "compiled": _compiled,
    "captured": _captured,
}


def _check_compiler(device: torch.device) -> None:
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise NotApplicableError("torch.compile needs Triton on a GPU", hint="install triton")
        return
    named = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ((named,) if named else _COMPILERS)):
        raise NotApplicableError(
            "torch.compile needs a C++ compiler, and there is none here",
            where=f"CXX={named}" if named else None,
            hint="install g++ or clang++, or name one in the variable CXX",
        )


def _check_equal(found: Tensor, expected: Tensor, what: str) -> None:
    gap = float((found - expected).detach().abs().amax())
    if not gap <= _TOLERANCE * max(1.0, float(expected.detach().abs().amax())):
        raise NotApplicableError(f"{what} moves a logit by {gap:.3g}")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
