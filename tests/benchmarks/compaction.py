"""Measured speed-up of compacted networks against the ratio of their operations.

LeNet-5, VGG-small, a VGG of half its widths, and ResNet-20; 50 % and 75 % of the filters and hidden
neurons gone, batch 32, one thread; the target is 0.8 times the operation ratio. Dense and
compacted network stand in the same form: as trained, and for inference (BatchNorm folded, channels
last). Time is what the thread had of its processor, interleaved A B B A, medians of the ratios of
the blocks: on an idle machine it is the time on the wall, and on a busy one it leaves out what
others took, though not what they took of caches and memory.

`at most` is the roofline: what the dense time over the least time of the compacted network's
layers would give. A layer takes no less than its multiply-accumulates at the best rate that this
processor showed, nor than its bytes at the best rate out of a near cache; and filters come in whole
vectors, so that 5 filters take the time of 16 where a vector holds 16 numbers. ReLU and BatchNorm
are let off. What is below 0.8 there is out of reach.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.compaction import compact
from robench.compaction.inference import inference_form
from robench.measure import count_operations, sample_latency
from robench.measure.latency import Stopwatch
from robench.models import build

BATCH = 32
REPEATS = 60
SHARES = (0.5, 0.75)
HALF = (32, 32, "M", 64, 64, "M", 128, 128, "M")
TARGET = 0.8
THREAD_TIME = Stopwatch(clock=time.thread_time)
LANES = {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)


def lenet_5() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def of_colour_images(name: str, **params: object) -> nn.Module:
    channels = [0.5] * 3
    return build(
        name, input_shape=(3, 32, 32), classes=10, mean=channels, std=channels, params=params
    ).eval()


def remove(model: nn.Module, share: float) -> nn.Module:
    """Zero the weights, biases and BatchNorm of a share of the units, but those of the logits.

    One of so many stays, so that what a residual sum ties together has the same places.
    """
    model = copy.deepcopy(model)
    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for part in (*layers[:-1], *norms):
            every = round(1 / (1 - share))
            gone = (torch.arange(len(part.weight)) + 1) % every != 0
            part.weight[gone] = 0
            if part.bias is not None:
                part.bias[gone] = 0
    return model


@dataclass(frozen=True)
class Processor:
    """Best rates seen, a second."""

    macs: float
    bytes: float

    @classmethod
    def measured(cls) -> Processor:
        maps = torch.rand(BATCH, 128, 16, 16).contiguous(memory_format=torch.channels_last)
        conv = nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last).eval()
        macs = maps.numel() * conv.weight[0].numel()
        square, near = torch.rand(512, 512), torch.rand(64 * 1024)
        times = {
            name: least_s(call)
            for name, call in {
                "conv": lambda: conv(maps),
                "product": lambda: square @ square,
                "near": lambda: near.add_(1.0),  # reads and writes a quarter of a MiB
            }.items()
        }
        best = max(macs / times["conv"], 512**3 / times["product"])
        return cls(best, 2 * near.nbytes / times["near"])

    def least_s(self, model: nn.Module, images: Tensor) -> float:
        """No implementation that goes layer by layer, in vectors, is quicker than this."""
        total = 0.0

        def note(layer: nn.Module, read: tuple[Tensor, ...], written: Tensor) -> None:
            nonlocal total
            moved = read[0].nbytes + written.nbytes
            macs = 0.0
            if isinstance(layer, nn.Conv2d | nn.Linear):
                filters = len(layer.weight)
                whole = math.ceil(filters / LANES) * LANES
                macs = written.numel() / filters * whole * layer.weight[0].numel()
                moved += layer.weight.nbytes
            total += max(macs / self.macs, moved / self.bytes)

        counted = (nn.Conv2d, nn.Linear, nn.MaxPool2d)
        hooks = [
            part.register_forward_hook(note)
            for part in model.modules()
            if isinstance(part, counted)
        ]
        with torch.no_grad():
            model(images)
        for hook in hooks:
            hook.remove()
        return total


def least_s(call: Callable[[], object], rounds: int = 30) -> float:
    with torch.inference_mode():
        call()
        return min(THREAD_TIME.time(call, 5) for _ in range(rounds))


def report(name: str, dense: nn.Module, small: nn.Module, images: Tensor, best: Processor) -> None:
    ratio = count_operations(dense, images).macs / count_operations(small, images).macs
    with torch.inference_mode():
        sample = sample_latency(
            {"dense": lambda: dense(images), "small": lambda: small(images)},
            repeats=REPEATS,
            stopwatch=THREAD_TIME,
        )
    speed_up, before = sample.speed_up("dense", "small"), sample.latency("dense").median_ms
    reached = speed_up.value / ratio
    at_most = before / 1e3 / best.least_s(small, images) / ratio
    verdict = "reached" if reached >= TARGET else "out of reach" if at_most < TARGET else "missed"
    interval = f"[{speed_up.low:5.2f}, {speed_up.high:5.2f}]"
    after = sample.latency("small").median_ms
    print(
        f"{name:<36}{ratio:>7.2f}{speed_up.value:>8.2f}  {interval}{reached:>8.2f}{at_most:>9.2f}"
        f"{before:>10.2f}{after:>9.2f}  {verdict}, {sample.status}",
        flush=True,
    )


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    colour = torch.rand(BATCH, 3, 32, 32, generator=generator)
    networks: dict[str, tuple[nn.Module, Tensor]] = {
        "LeNet-5": (lenet_5().eval(), torch.rand(BATCH, 1, 28, 28, generator=generator)),
        "VGG-small": (of_colour_images("vgg-small"), colour),
        "half VGG-small": (of_colour_images("vgg-small", widths=HALF), colour),
        "ResNet-20": (of_colour_images("resnet20"), colour),
    }
    best = Processor.measured()
    print(
        f"batch {BATCH}, one thread, vectors of {LANES}; at best {best.macs / 1e9:.1f} GMAC/s, "
        f"{best.bytes / 1e9:.0f} GB/s"
    )
    print(f"{'network':<36}{'MACs x':>7}{'time x':>8}{'95 %':>15}{'time/MACs':>10}{'at most':>8}"
          f"{'dense ms':>10}{'small ms':>9}")  # fmt: skip
    for name, (dense, images) in networks.items():
        for share in SHARES:
            sparse = remove(dense, share)
            small = compact(sparse, images)
            label = f"{name} {share:.0%} gone"
            report(f"{label}, as trained", dense, small, images, best)
            forms = (inference_form(network, images) for network in (dense, small))
            report(f"{label}, inference", *forms, images, best)
    # The control: zeros left in place gain nothing but what max pooling does over constant maps,
    # whose comparisons the processor predicts.
    dense, images = networks["half VGG-small"]
    report("half VGG-small, 50% zeros left", *(
        inference_form(network, images) for network in (dense, remove(dense, 0.5))
    ), images, best)  # fmt: skip


if __name__ == "__main__":
    main()
