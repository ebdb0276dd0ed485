"""What compiled kernels gain: whole compacted networks, with kernels against the library alone.

Each network loses half of its filters, or three quarters of the columns of its convolutions at
random places, is compacted, and brought into the inference form twice: with kernels, and with
`ROBENCH_KERNELS=off`. The second one is the peer: the library's own convolution (oneDNN), or im2col
over the remaining columns where that is faster. The autotuner chooses in both. Both are timed in
the same run, interleaved A B B A, on one thread, by the time that the thread had of its processor.
The table is that of docs/kernels.md; above 1 kernels are faster.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from robench._torchvision import import_torchvision
from robench.compaction import compact
from robench.deploy.backends import SWITCH, why_off
from robench.deploy.inference import inference_form
from robench.measure import sample_latency
from robench.measure.latency import LatencySample
from tests.benchmarks._compacted_networks import HALF, lenet_5, of_colour_images, remove
from tests.benchmarks.roofline import THREAD_TIME

REPEATS = 30
SIZES = (1, 32)
FILTERS, COLUMNS = 0.5, 0.75


def networks() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]]:
    """Name → maker and shape of the images; the weights are random and always the same."""
    resnet_18 = import_torchvision().models.resnet18
    return {
        "LeNet-5": (lenet_5, (1, 28, 28)),
        "half VGG-small": (lambda: of_colour_images("vgg-small", widths=HALF), (3, 32, 32)),
        "ResNet-20": (lambda: of_colour_images("resnet20"), (3, 32, 32)),
        "ResNet-18": (lambda: resnet_18(weights=None), (3, 224, 224)),
    }


def without_columns(model: nn.Module, share: float) -> nn.Module:
    """A copy in which a share of the columns of every convolution is zero, at random places."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Conv2d):
                columns = part.weight[0].numel()
                gone = torch.randperm(columns, generator=generator)[: int(share * columns)]
                part.weight.view(len(part.weight), -1)[:, gone] = 0
    return model


@contextmanager
def no_kernels() -> Iterator[None]:
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "off"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


def compared(sparse: nn.Module, images: Tensor) -> list[LatencySample]:
    """With and without kernels, for each batch size."""
    with_kernels = inference_form(compact(sparse, images), images)
    with no_kernels():
        library = inference_form(compact(sparse, images), images)
    return [timed(library, with_kernels, images[:size].contiguous()) for size in SIZES]


def timed(library: nn.Module, kernels: nn.Module, batch: Tensor) -> LatencySample:
    with torch.inference_mode():
        torch.testing.assert_close(kernels(batch), library(batch), atol=1e-3, rtol=1e-3)
        return sample_latency(
            {"library": lambda: library(batch), "kernels": lambda: kernels(batch)},
            repeats=REPEATS,
            stopwatch=THREAD_TIME,
        )


def main() -> None:
    torch.set_num_threads(1)
    if why_off() is not None:
        print(f"kernels are off: {why_off()}")
        return
    sizes = " | ".join(f"batch {size} [95 %]" for size in SIZES)
    print(f"| network | removed | {sizes} |")
    print("| --- | --- |" + " --- |" * len(SIZES))
    for name, (make, shape) in networks().items():
        torch.manual_seed(0)
        model = make().eval()
        images = torch.rand(max(SIZES), *shape, generator=torch.Generator().manual_seed(0))
        for removed, sparse in (
            (f"{FILTERS:.0%} of the filters", remove(model, FILTERS)),
            (f"{COLUMNS:.0%} of the columns", without_columns(model, COLUMNS)),
        ):
            cells = []
            for sample in compared(sparse, images):
                gain = sample.speed_up("library", "kernels")
                mark = "" if sample.status == "ok" else f" {sample.status}"
                cells.append(f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]{mark}")
            print(f"| {name} | {removed} | {' | '.join(cells)} |", flush=True)
