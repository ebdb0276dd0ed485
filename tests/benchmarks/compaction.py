"""Measured speed-up of compacted networks against the ratio of their MACs.

LeNet-5, VGG-small, a VGG of half its widths, and ResNet-20; 50 % and 75 % of the filters and hidden
neurons gone, batch 32, one thread; the target is 0.8 times the MACs ratio. Three lines each:

* `deployed`: the dense network as it was trained against the compacted one in the inference form,
  which is what one gains by compacting and deploying. Folding BatchNorm and other kernels than the
  library's have their part in it.
* `inference`: both in the inference form, in which each layer of either has its quickest form; what
  is left of the MACs ratio when the dense network is given all that, too.
* `as trained`: both as torch runs them.

Time is what the thread had of its processor, interleaved A B B A, medians of the ratios of the
blocks: on an idle machine it is the time on the wall, and on a busy one it leaves out what others
took, though not what they took of caches and memory.

`at most` is what the roofline leaves of the MACs ratio between the inference forms, in whole
vectors and with no step below the smallest call; the benchmark `roofline` shows it layer by layer.
What is below 0.8 there is out of reach.

Last, Torch-Pruning (Fang et al. 2023, arXiv 2301.12900) on the same masks, where it is installed:
how much quicker the network is that compaction leaves, and by how much either moves a logit. First
with all that a filter leads to at zero, then with only its own weights, as pruning leaves them:
what its BatchNorm adds remains, and is kept, or becomes a bias for each pixel.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from robench.compaction import compact
from robench.deploy.inference import inference_form
from robench.measure import SpeedUp, count_operations, sample_latency
from tests.benchmarks._compacted_networks import (
    BATCH,
    SHARES,
    examples,
    of_colour_images,
    remove,
    settled,
)
from tests.benchmarks.roofline import LANES, THREAD_TIME, Processor, bounds, steps_of

REPEATS = 60
TARGET = 0.8


def report(
    name: str, dense: nn.Module, small: nn.Module, images: Tensor, ratio: float, at_most: float
) -> None:
    with torch.inference_mode():
        sample = sample_latency(
            {"dense": lambda: dense(images), "small": lambda: small(images)},
            repeats=REPEATS,
            stopwatch=THREAD_TIME,
        )
    speed_up, before = sample.speed_up("dense", "small"), sample.latency("dense").median_ms
    reached = speed_up.value / ratio
    verdict = "reached" if reached >= TARGET else "out of reach" if at_most < TARGET else "missed"
    interval = f"[{speed_up.low:5.2f}, {speed_up.high:5.2f}]"
    after = sample.latency("small").median_ms
    print(
        f"{name:<36}{ratio:>7.2f}{speed_up.value:>8.2f}  {interval}{reached:>8.2f}{at_most:>9.2f}"
        f"{before:>10.2f}{after:>9.2f}  {verdict}, {sample.status}",
        flush=True,
    )


def against_torch_pruning(name: str, dense: nn.Module, images: Tensor) -> None:
    try:
        import torch_pruning
    except ImportError:
        print(f"{name}: Torch-Pruning is not installed, not compared")
        return
    bare = remove(settled(dense, images), 0.5, alone=True)
    for what, sparse, policy in (
        ("all at zero", remove(dense, 0.5), "keep"),
        ("weights alone, keep", bare, "keep"),
        ("weights alone, bias-map", bare, "bias-map"),
    ):
        own = compact(sparse, images, constants=policy)
        theirs = pruned_by(torch_pruning, sparse, images)
        try:
            with torch.inference_mode():
                moved = [
                    float((net(images) - sparse(images)).abs().amax()) for net in (own, theirs)
                ]
        except RuntimeError as error:
            print(f"{name}, 50% gone, {what}: Torch-Pruning's network does not run: {error}")
            continue
        found, status = times_as_quick(theirs, own, images)
        print(
            f"{name}, 50% gone, {what}: {found.value:.2f} [{found.low:.2f}, {found.high:.2f}] "
            f"times as quick as Torch-Pruning's; a logit moves by {moved[0]:.1g}, theirs by "
            f"{moved[1]:.1g}; {status}",
            flush=True,
        )


def pruned_by(library: Any, sparse: nn.Module, images: Tensor) -> nn.Module:
    """Without the filters whose weights are zero, and all that the package ties to them."""
    network = copy.deepcopy(sparse)
    graph = library.DependencyGraph().build_dependency(network, images[:1])
    for group in list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear])):
        root = group[0].dep.target.module
        gone = (root.weight == 0).flatten(1).all(1).nonzero().flatten().tolist()
        if gone and len(gone) < len(root.weight):
            graph.get_pruning_group(root, group[0].dep.handler, gone).prune()
    return network


def times_as_quick(slow: nn.Module, quick: nn.Module, images: Tensor) -> tuple[SpeedUp, str]:
    calls = {"slow": lambda: slow(images), "quick": lambda: quick(images)}
    with torch.inference_mode():
        sample = sample_latency(calls, repeats=REPEATS, stopwatch=THREAD_TIME)
    return sample.speed_up("slow", "quick"), sample.status


def main() -> None:
    torch.set_num_threads(1)
    best = Processor.measured()
    print(
        f"batch {BATCH}, one thread, vectors of {LANES}; at best "
        f"{2 * best.macs / 1e9:.0f} GFLOP/s, {best.bytes / 1e9:.0f} GB/s"
    )
    print(f"{'network':<36}{'MACs x':>7}{'time x':>8}{'95 %':>15}{'time/MACs':>10}{'at most':>8}"
          f"{'dense ms':>10}{'small ms':>9}")  # fmt: skip
    networks = examples()
    for name, (dense, images) in networks.items():
        whole = inference_form(dense, images)
        for share in SHARES:
            small = compact(remove(dense, share), images)
            form = inference_form(small, images)
            steps = steps_of(whole, images), steps_of(form, images)
            ratio = count_operations(dense, images).macs / count_operations(small, images).macs
            limits = bounds(*steps, best)
            at_most = min(limits["whole"], limits["calls"]) / ratio
            label = f"{name} {share:.0%} gone"
            report(f"{label}, deployed", dense, form, images, ratio, math.inf)
            report(f"{label}, inference", whole, form, images, ratio, at_most)
            report(f"{label}, as trained", dense, small, images, ratio, math.inf)
    # The control: zeros left in place gain nothing.
    dense, images = networks["half VGG-small"]
    report("half VGG-small, 50% zeros left", *(
        inference_form(network, images) for network in (dense, remove(dense, 0.5))
    ), images, 1.0, 1.0)  # fmt: skip
    of_projections = of_colour_images("resnet20", shortcut="projection")
    networks["ResNet-20 with projections"] = (of_projections, networks["ResNet-20"][1])
    for name in ("VGG-small", "ResNet-20", "ResNet-20 with projections"):
        against_torch_pruning(name, *networks[name])


if __name__ == "__main__":
    main()
