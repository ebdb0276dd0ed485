"""Just-in-time compilation by LLVM in this process; no compiler needs to be installed.

llvmlite (https://llvmlite.readthedocs.io) contains LLVM. Code of one shape is compiled once per
process, in some tens of milliseconds.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import platform
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from robench.deploy.kernels.convolution import ENTRY, written_for
from robench.deploy.kernels.layout import Layout, Machine

if TYPE_CHECKING:
    from torch import Tensor

    from robench.deploy.kernels.layout import Shape

__all__ = ["Kernel", "kernel_for", "this_machine", "why_off"]

_WORTH_A_THREAD = 8_000_000
"""Least number of multiplications per thread: with fewer, waking it costs more than it gains."""
_lock = threading.Lock()
_own = threading.local()


@lru_cache(maxsize=1)
def this_machine() -> Machine | None:
    """The target; ``None`` without llvmlite, or without fused multiply-add."""
    if importlib.util.find_spec("llvmlite") is None:
        return None
    if platform.machine().lower() in ("arm64", "aarch64"):
        return Machine(lanes=4, registers=32)
    has = _features()
    if has.get("avx512f") and has.get("avx512vl"):
        return Machine(lanes=16, registers=32)
    return Machine(lanes=8, registers=16) if has.get("avx2") and has.get("fma") else None


def why_off() -> str | None:
    """Reason that nothing can be compiled here, or ``None``."""
    if importlib.util.find_spec("llvmlite") is None:
        return "llvmlite is not installed (pip install 'robench[kernels]')"
    if this_machine() is None:
        return "the processor has neither AVX2 with FMA nor NEON of AArch64"
    return None


@lru_cache(maxsize=256)
def kernel_for(shape: Shape, machine: Machine) -> Kernel:
    """The compiled convolution of one shape."""
    return Kernel(Layout(shape, machine))


class Kernel:
    """A compiled convolution of one shape.

    Args:
        layout: of the shape, for this machine.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        with _lock:
            self._engine, address = _compiled(written_for(layout))
        kinds = [ctypes.c_void_p] * 8 + [ctypes.c_int64] * 4
        self._call = ctypes.CFUNCTYPE(None, *kinds)(address)
        self._blocks = layout.blocks[2]
        shape = layout.shape
        self._macs = shape.filters * shape.columns * math.prod(shape.positions)

    def __call__(
        self,
        images: int,
        added: int,
        outputs: int,
        weights: int,
        channels: int,
        offsets: int,
        bias: int,
        count: int,
    ) -> None:
        """Compute all outputs; the arguments are addresses, as in :func:`written_for`.

        Images are divided among as many threads as torch uses; with fewer images than threads,
        blocks of filters are.
        """
        if not count:
            return
        places = images, added, outputs, weights, channels, offsets, bias
        worth = count * self._macs // _WORTH_A_THREAD
        threads = min(torch.get_num_threads(), worth) if worth > 1 else 1
        if threads == 1:
            self._call(*places, self._scratch(), 0, count, 0, self._blocks)
            return
        if count >= threads:
            parts = [(*own, 0, self._blocks) for own in _shares(count, threads)]
        else:
            parts = [(0, count, *own) for own in _shares(self._blocks, threads)]
        own, *others = parts
        waiting = [_pool(os.getpid()).submit(self._part, places, other) for other in others]
        self._part(places, own)
        for one in waiting:
            one.result()

    def _part(self, places: tuple[int, ...], part: tuple[int, int, int, int]) -> None:
        self._call(*places, self._scratch(), *part)

    def _scratch(self) -> int:
        """Thread-local scratch memory, shared by the kernels of the thread."""
        held: Tensor | None = getattr(_own, "scratch", None)
        if held is None or held.numel() < self.layout.scratch:
            # Twice the required size, so that it seldom has to grow.
            size = 2 * self.layout.scratch + 1
            # Explicit, since torch's default precision and device may differ.
            held = _own.scratch = torch.empty(size, dtype=torch.float32, device="cpu")
        return held.data_ptr()


def _shares(count: int, threads: int) -> list[tuple[int, int]]:
    """Nearly equal, nonempty parts of range(count)."""
    parts = min(count, threads)
    edges = [count * number // parts for number in range(parts + 1)]
    return list(pairwise(edges))


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Thread pool of this process; a fork does not inherit threads."""
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="robench-kernels")


@lru_cache(maxsize=1)
def _llvm() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


def _features() -> dict[str, bool]:
    features: dict[str, bool] = dict(_llvm().get_host_cpu_features())
    return features


def _compiled(source: str) -> tuple[Any, int]:
    """The engine, which owns the code, and the address of the function."""
    binding = _llvm()
    target = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )
    module = binding.parse_assembly(source)
    module.verify()
    tuning = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(target, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    return engine, engine.get_function_address(ENTRY)
