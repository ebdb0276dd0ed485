"""What bounds a speed-up: each layer's operations and bytes beside what this processor can do.

First the networks of the benchmark `compaction`, dense and with 50 % and 75 % of the filters gone,
in the inference form, at batch 32; then AlexNet's convolutions at the sparsities of SSL (Wen et al.
2016, Table 4, rows 2 and 5), one image. One thread; time is what the thread had of its processor,
the best of several, step by step in forward order.

`least` is the roofline: the larger of the multiply-accumulates at the best rate of any product that
was tried, and of the bytes (read, written, weights) at the best rate out of a near cache. `whole`
counts whole vectors: of filters, the fewest that computing up to four pixels at a time leaves
(`robench.deploy.nhwc_forms`), or of outputs, where a kernel was compiled. `calls` lets no step take
less than the smallest call of a layer does. The speed-up can be no more than the dense time over
the sum of these; `share` is what is left of the ratio of operations then. For AlexNet's layers,
`product` is a plain matrix product of their size, and `free` what that would give if lowering the
maps to a matrix cost nothing.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from robench.compaction import compact
from robench.compaction.surgery import shrink_layer
from robench.deploy import InferenceForm, inference_form
from robench.deploy.columns import forms_of, used_columns
from robench.deploy.executables import executable
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.forms.widened import WidenedConv2d
from robench.deploy.recipe import Execution
from robench.measure.latency import Stopwatch
from robench.reference.wen2016 import CONVOLUTIONS, ENTRIES, Convolution, Entry
from robench.stages.layers import sparse_convolution
from tests.benchmarks._compacted_networks import SHARES, examples, remove

THREAD_TIME = Stopwatch(clock=time.thread_time)
_LAYERS = (nn.Conv2d, nn.Linear, WidenedConv2d, DirectConv2d)
_STEPWISE: tuple[Execution, ...] = ("channels last", "planar")
LANES = {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)
ROUNDS = 20


def least_s(call: Callable[[], object], rounds: int = 30, calls: int = 5) -> float:
    with torch.inference_mode():
        call()
        return min(THREAD_TIME.time(call, calls) for _ in range(rounds))


@dataclass(frozen=True)
class Processor:
    """Best rates seen, a second, and the seconds of the smallest call of a layer."""

    macs: float
    bytes: float
    call_s: float

    @classmethod
    def measured(cls) -> Processor:
        near = torch.rand(64 * 1024)
        products = [torch.rand(size, size) for size in (128, 256, 512)]
        maps = torch.rand(32, 128, 16, 16).contiguous(memory_format=torch.channels_last)
        conv = nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last).eval()
        rates = [len(one) ** 3 / least_s(lambda one=one: one @ one) for one in products]
        rates.append(maps.numel() * conv.weight[0].numel() / least_s(lambda: conv(maps)))
        moved = 2 * near.nbytes / least_s(lambda: near.add_(1.0))
        one, smallest = torch.rand(1, 1), nn.Linear(1, 1).eval()
        return cls(max(rates), moved, least_s(lambda: smallest(one), calls=100))

    def least_s(self, macs: float, moved: float) -> float:
        return max(macs / self.macs, moved / self.bytes)


@dataclass
class Step:
    """One step of a network.

    Attributes:
        name: of the step.
        layer: the convolution or linear layer, or `None`.
        seconds: the best time.
        macs: multiply-accumulates.
        whole: the same in whole vectors.
        moved: bytes read and written, weights included.
    """

    name: str
    layer: nn.Module | None
    seconds: float
    macs: float
    whole: float
    moved: float


class Timed(fx.Interpreter):
    """Runs a graph, and notes how long each step takes, and what it reads and writes."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.seconds: dict[fx.Node, float] = defaultdict(lambda: math.inf)
        self.moved: dict[fx.Node, int] = {}
        self.written: dict[fx.Node, int] = {}
        self.last_s = 0.0

    def run_node(self, n: fx.Node) -> object:
        read = [self.env[other] for other in n.all_input_nodes]
        value = super().run_node(n)
        self.seconds[n] = min(self.seconds[n], self.last_s)
        tensors = [one for one in (*read, value) if isinstance(one, Tensor)]
        self.moved[n] = sum(one.nbytes for one in tensors)
        self.written[n] = value.numel() if isinstance(value, Tensor) else 0
        return value

    def call_module(self, *call: Any) -> Any:
        return self._timed(super().call_module, *call)

    def call_function(self, *call: Any) -> Any:
        return self._timed(super().call_function, *call)

    def call_method(self, *call: Any) -> Any:
        return self._timed(super().call_method, *call)

    def _timed(self, function: Callable[..., Any], *call: Any) -> Any:
        begun = time.thread_time()
        value = function(*call)
        self.last_s = time.thread_time() - begun
        return value


def steps_of(network: nn.Module, images: Tensor) -> list[Step]:
    """Every step of a network in the inference form, timed: in the quickest way that has steps."""
    assert isinstance(network, InferenceForm)
    taken_ms = {way: list(network.recipe.latency_ms[way].values())[-1] for way in _STEPWISE}
    quickest = min(_STEPWISE, key=taken_ms.__getitem__)
    with torch.inference_mode(mode=False):
        stepwise = executable(quickest, network.network, network.recipe, images)
    assert isinstance(stepwise, fx.GraphModule)
    timed = Timed(stepwise)
    with torch.inference_mode():
        for _ in range(ROUNDS):
            timed.run(images)
    parts = dict(stepwise.named_modules())
    found = []
    for node, seconds in timed.seconds.items():
        part = parts.get(str(node.target)) if node.op == "call_module" else None
        layer = part if isinstance(part, _LAYERS) else None
        macs, whole, weights = (0.0, 0.0, 0) if layer is None else work(layer, timed.written[node])
        if node.op.startswith("call_"):
            moved = timed.moved[node] + 4 * weights
            found.append(Step(node.name, layer, seconds, macs, whole, moved))
    return found


def work(layer: nn.Module, written: int) -> tuple[float, float, int]:
    """Multiply-accumulates for so many outputs, the same in whole vectors, and weights."""
    if isinstance(layer, DirectConv2d):
        macs = whole = 0.0
        for layout in layouts(layer):
            shape, positions = layout.shape, math.prod(layout.shape.positions)
            images = written / (shape.all_filters * math.prod(shape.written))
            lanes = sum(
                tile.repeats * segment.lanes for tile in layout.tiles for segment in tile.segments
            )
            own = images * shape.filters * shape.columns
            macs, whole = macs + own * positions, whole + own * lanes
        return macs, whole, sum(value.numel() for value in layer.parameters())
    filters, inputs, across, stride = kernel(layer)
    fill = min(
        math.ceil(pixels * filters / LANES) * LANES / (pixels * filters)
        * (across + (pixels - 1) * stride) / across
        for pixels in (1, 2, 3, 4)
    )  # fmt: skip
    return written * inputs, written * inputs * fill, filters * inputs


def layouts(layer: DirectConv2d) -> list[Any]:
    """How the compiled kernel computes each group of a layer."""
    kernel = layer.kernel
    return [] if kernel is None else kernel.layouts


def kernel(layer: nn.Module) -> tuple[int, int, int, int]:
    """Filters, inputs of each, width of the kernel and horizontal stride of a layer."""
    if isinstance(layer, DirectConv2d):
        shape = layouts(layer)[0].shape
        return shape.all_filters, shape.columns, shape.kernel[1], shape.stride[1]
    if isinstance(layer, nn.Linear):
        return layer.out_features, layer.in_features, 1, 1
    conv, pixels = (layer.conv, layer.pixels) if isinstance(layer, WidenedConv2d) else (layer, 1)
    assert isinstance(conv, nn.Conv2d)
    stride = conv.stride[1] // pixels
    width = conv.kernel_size[1] - (pixels - 1) * stride
    filters = conv.out_channels // pixels
    return filters, conv.in_channels // conv.groups * conv.kernel_size[0] * width, width, stride


def bounds(dense: list[Step], small: list[Step], best: Processor) -> dict[str, float]:
    """The most that the speed-up can be, by the name of what bounds it."""
    taken = sum(step.seconds for step in dense)
    return {
        "least": taken / sum(best.least_s(step.macs, step.moved) for step in small),
        "whole": taken / sum(best.least_s(step.whole, step.moved) for step in small),
        "calls": taken / sum(of_calls_s(step, best) for step in small),
    }


def of_calls_s(step: Step, best: Processor) -> float:
    return max(best.call_s, best.least_s(step.whole, step.moved))


def table(steps: list[Step], best: Processor) -> Iterator[str]:
    """One line a layer, and one for all steps between them."""
    others = [step for step in steps if step.layer is None]
    between = Step(
        f"{len(others)} steps between", None, sum(step.seconds for step in others), 0.0, 0.0,
        sum(step.moved for step in others),
    )  # fmt: skip
    lines = [(step, of_calls_s(step, best)) for step in steps if step.layer is not None]
    lines.append((between, sum(of_calls_s(step, best) for step in others)))
    for step, calls_s in lines:
        shape = "x".join(map(str, kernel(step.layer)[:2])) if step.layer is not None else ""
        least, whole = (best.least_s(macs, step.moved) for macs in (step.macs, step.whole))
        yield (
            f"  {step.name:<34}{shape:>9}{step.macs / 1e6:>9.2f}{step.moved / 1e6:>8.2f}"
            f"{step.seconds * 1e6:>9.0f}{2 * step.macs / step.seconds / 1e9:>9.1f}"
            f"{step.moved / step.seconds / 1e9:>8.1f}{least * 1e6:>8.0f}{whole * 1e6:>8.0f}"
            f"{calls_s * 1e6:>8.0f}"
        )


HEAD = (
    f"  {'layer':<34}{'filters':>9}{'MMACs':>9}{'MB':>8}{'us':>9}{'GFLOP/s':>9}{'GB/s':>8}"
    f"{'least':>8}{'whole':>8}{'calls':>8}"
)


def networks(best: Processor) -> None:
    for name, (dense, images) in examples().items():
        steps = {0.0: steps_of(inference_form(dense, images), images)}
        for share in SHARES:
            small = compact(remove(dense, share), images)
            steps[share] = steps_of(inference_form(small, images), images)
        for share, own in steps.items():
            print(f"{name}, {share:.0%} gone\n{HEAD}")
            print("\n".join(table(own, best)))
            if share:
                taken = [sum(step.seconds for step in one) for one in (steps[0.0], own)]
                ratio = sum(step.macs for step in steps[0.0]) / sum(step.macs for step in own)
                limits = " ".join(
                    f"{what} {limit:.2f} (share {limit / ratio:.2f})"
                    for what, limit in bounds(steps[0.0], own, best).items()
                )
                speed_up = taken[0] / taken[1]
                print(
                    f"  MACs x {ratio:.2f}, time x {speed_up:.2f} (share {speed_up / ratio:.2f}); "
                    f"at most: {limits}",
                    flush=True,
                )


def alexnet(best: Processor) -> None:
    """The convolutions at SSL's sparsities: the layer, its product alone, and what bounds it."""
    print(
        f"AlexNet, one image\n  {'layer':<14}{'columns':>8}{'filters':>8}{'MMACs':>8}"
        f"{'dense us':>9}{'us':>7}{'GFLOP/s':>9}{'product':>9}{'GFLOP/s':>9}"
        f"{'x':>8}{'paper':>8}{'free':>8}{'at most':>8}"
    )
    for entry in (entry for entry in ENTRIES if entry.method == "ssl"):
        lines = [alexnet_line(shape, entry, best) for shape in CONVOLUTIONS]
        means = [
            sum(values) / len(values) for values in zip(*(own for _, own in lines), strict=True)
        ]
        print("\n".join(line for line, _ in lines))
        print(
            f"  row {entry.row}: mean x {means[0]:.2f}, paper {means[1]:.2f}, were lowering free "
            f"{means[2]:.2f}, at most {means[3]:.2f}"
        )


def alexnet_line(
    shape: Convolution, entry: Entry, best: Processor
) -> tuple[str, tuple[float, ...]]:
    conv, kept = sparse_convolution(shape, entry, torch.Generator().manual_seed(0))
    maps = torch.rand(1, shape.channels, shape.maps_px, shape.maps_px)
    dense = least_s(lambda: conv(maps), ROUNDS, 2)
    with torch.inference_mode():
        positions = conv(maps)[0, 0].numel()
    shrink_layer(conv, kept, torch.ones(conv.in_channels, dtype=torch.bool))
    used = used_columns(conv)
    columns, filters = int(used.sum()) // len(used), conv.out_channels // len(used)
    forms = forms_of(conv, maps).values()
    taken = min(least_s(lambda form=form: form(maps), ROUNDS, 2) for form in forms)
    left, right = torch.rand(filters, columns), torch.rand(columns, positions)
    product = len(used) * least_s(lambda: left @ right, ROUNDS, 2)
    macs = len(used) * filters * columns * positions
    moved = 4 * (maps.numel() + conv.out_channels * positions + macs // positions)
    speed_ups = (
        dense / taken,
        entry.speedup_cpu[CONVOLUTIONS.index(shape)],
        dense / min(taken, product),
        dense / best.least_s(macs, moved),
    )
    line = (
        f"  {shape.name + f' row {entry.row}':<14}{columns:>8}{filters:>8}{macs / 1e6:>8.1f}"
        f"{dense * 1e6:>9.0f}{taken * 1e6:>7.0f}{2 * macs / taken / 1e9:>9.1f}{product * 1e6:>9.0f}"
        f"{2 * macs / product / 1e9:>9.1f}" + "".join(f"{speed_up:>8.2f}" for speed_up in speed_ups)
    )
    return line, speed_ups


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    best = Processor.measured()
    print(
        f"one thread, vectors of {LANES}; at best {2 * best.macs / 1e9:.0f} GFLOP/s, "
        f"{best.bytes / 1e9:.0f} GB/s out of a near cache, {best.call_s * 1e6:.1f} us a call"
    )
    alexnet(best)
    networks(best)


if __name__ == "__main__":
    main()
