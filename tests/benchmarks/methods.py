"""What each method costs while it trains, against dense training of the same network.

LeNet-300-100, SGD with momentum, one thread, on MNIST where ROBENCH_DATA names it, else on random
images of that shape. The time of a step is the processor's from one forward pass to the next,
the median over a run; dense and sparse runs take turns, and what is printed is the median of the
ratios within a pair. Memory is what torch allocated at most between the first and the last step: a
multiple of what dense training holds there, and, all that is not parameters, gradients and momentum
taken away, of those alone. Of NoiseOut also a whole round of merges on a layer of 512 units.
"""

from __future__ import annotations

import gc
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from robench.data import Data
from robench.methods.base import make
from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.links import Widths, links_of
from robench.methods.noiseout.moments import Moments
from robench.methods.noiseout.plan import Candidates, plan_merges, reading
from robench.models.base import prunable
from robench.models.chain import chain
from robench.spec import Recipe
from robench.training.loop import RunSettings, train
from tests.benchmarks.training import mnist_or_noise, network

PAIRS = 9
STEPS = 200
STEPS_OF_MEMORY = 5
BATCH_SIZES = (64, 100)
SPARSE: list[tuple[str, dict[str, object], float]] = [
    ("magnitude", {}, 0.9),
    ("l1", {}, 0.0),
    ("l1", {"update": "prox"}, 0.0),
    ("halo", {}, 0.0),
    ("halo", {"update": "prox"}, 0.0),
    ("rln", {}, 0.0),
    ("rln", {"mode": "reference"}, 0.0),
    ("ssl", {}, 0.9),
    ("ssl", {"update": "prox"}, 0.9),
    ("noiseout", {}, 0.0),
    ("noiseout", {"noise": "none"}, 0.0),
]
"""Name, parameters, level."""


def run(
    data: Data, method: str, params: dict[str, object], level: float, batch_size: int, steps: int
) -> list[float]:
    """When each forward pass of a run began, in seconds of the processor."""
    model = network(data)
    starts: list[float] = []
    model.register_forward_pre_hook(lambda *_: starts.append(time.process_time()))
    train(
        model,
        make(method, params),
        data,
        RunSettings(
            Recipe(batch_size=batch_size),
            level=level,
            steps=steps,
            learning_rate=0.05,
            seeds={"order": 0, "method": 0},
        ),
    )
    return starts


def step_s(
    data: Data, method: str, params: dict[str, object], level: float, batch_size: int
) -> float:
    """Seconds of a step, the median over a run."""
    starts = run(data, method, params, level, batch_size, STEPS)
    return statistics.median(end - start for start, end in itertools.pairwise(starts))


def compare_steps(
    data: Data, method: str, params: dict[str, object], level: float, batch_size: int
) -> tuple[float, float, float]:
    """Median ratio to the dense step within a pair, and the median seconds of either."""
    own, dense = [], []
    for pair in range(PAIRS + 1):  # the first is a warm-up
        turns = [(own, (method, params, level)), (dense, ("dense", {}, 0.0))]
        for times, what in turns if pair % 2 else reversed(turns):
            times.append(step_s(data, *what, batch_size))
    ratios = [a / b for a, b in zip(own[1:], dense[1:], strict=True)]
    return statistics.median(ratios), statistics.median(own[1:]), statistics.median(dense[1:])


def peak_bytes(data: Data, method: str, params: dict[str, object], level: float) -> int:
    """The most that torch held at once between the first step of the optimiser and the last."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(data, method, params, level, 64, STEPS_OF_MEMORY)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    held = [(e["ts"], e["args"]) for e in events if e.get("name") == "[memory]"]
    before = held[0][1]["Total Allocated"] - held[0][1]["Bytes"]
    steps = [e["ts"] for e in events if str(e.get("name")).startswith("Optimizer.step#")]
    within = [args for at, args in held if min(steps) <= at <= max(steps)]
    return int(max(args["Total Allocated"] for args in within) - before)


def noiseout_round() -> tuple[float, int]:
    """Seconds of the processor for a round of merges on 512 units, and how many merges it is.

    From the activations on 1,000 images, given, to a network with a single unit left: correlations,
    which of all units goes next, folding. The median of several.
    """
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(1000, 64, generator=generator)
    mixed = sources @ torch.randn(64, 512, generator=generator)
    activations = (mixed + torch.randn(1000, 512, generator=generator)).tanh()[:, :, None]
    times, merges = [], []
    for _ in range(PAIRS + 1):
        model = nn.Sequential(nn.Linear(784, 512), nn.Tanh(), nn.Linear(512, 10))
        layers = chain(model)
        (link,) = links_of(layers, prunable(model))
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        start = time.process_time()
        moments = Moments(512)
        moments.add(activations)
        everyone = np.ones(512, dtype=np.bool_)
        candidates = Candidates(0, moments, reading(link, link.reader.module.weight), everyone)
        merges = plan_merges([candidates], Widths(layers, [link], [512]), 0, wanted=10**9)
        carry_out([link], merges, optimiser)
        times.append(time.process_time() - start)
    return statistics.median(times[1:]), len(merges)


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    data = mnist_or_noise()
    print(f"LeNet-300-100 on {data.name}, one thread, {PAIRS} pairs of {STEPS} steps")
    round_s, merges = noiseout_round()
    print(f"noiseout: {1e3 * round_s:.1f} ms for a round of {merges} merges on 512 units")
    own = sum(p.numel() * p.element_size() for p in network(data).parameters())
    dense_bytes = peak_bytes(data, "dense", {}, 0.0)
    other_bytes = dense_bytes - 3 * own  # parameters, gradients, momentum
    print(f"dense: {dense_bytes / 1e6:.2f} MB, {3 * own / 1e6:.2f} MB of it for parameters")
    for method, params, level in SPARSE:
        label = " ".join([method, *map(str, params.values())])
        for batch_size in BATCH_SIZES:
            ratio, own_s, dense_s = compare_steps(data, method, params, level, batch_size)
            print(f"{label:<14} batch {batch_size:>3}: {1e3 * own_s:.3f} ms a step, dense "
                  f"{1e3 * dense_s:.3f} ms: ratio {ratio:.3f}", flush=True)  # fmt: skip
        peak = peak_bytes(data, method, params, level)
        print(f"{label:<14} memory {peak / 1e6:.2f} MB: ratio {peak / dense_bytes:.2f}, of "
              f"parameters alone {(peak - other_bytes) / (3 * own):.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
