"""What the training loop costs beyond a bare PyTorch loop that takes the same steps.

LeNet-300-100, batches of 64, SGD with momentum, cosine schedule, one thread, on MNIST where
ROBENCH_DATA names it, else on random images of that shape. The two take turns, and the order of a
pair is swapped every time; what is printed is the median of the ratios within a pair.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from robench.data import Data, Split, load
from robench.methods.base import make
from robench.models import Network, build
from robench.spec import Recipe
from robench.training.loop import RunSettings, train

STEPS = 400
PAIRS = 11
RECIPE = Recipe(batch_size=64, schedule="cosine", weight_decay=1e-4)
PEAK = 0.05
LEVELS = {"dense": 0.0, "magnitude": 0.9, "random": 0.9, "ssl": 0.9, "halo": 0.9}


def mnist_or_noise() -> Data:
    """MNIST, or as many random images."""
    root = os.environ.get("ROBENCH_DATA")
    if root and (Path(root) / "MNIST").is_dir():
        return load("mnist", root=root)
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)
        return Split(images, torch.randint(0, 10, (count,), generator=generator),
                     torch.arange(count))  # fmt: skip

    return Data(
        name="noise",
        kind="image",
        classes=tuple("0123456789"),
        train=split(55_000),
        validation=split(100),
        test=split(100),
        sha256="",
        mean=(0.5,),
        std=(0.29,),
    )


def network(data: Data) -> Network:
    return build(
        "lenet-300-100", input_shape=(1, 28, 28), classes=10, mean=data.mean, std=data.std, seed=0
    )


def bare(data: Data) -> float:
    """Seconds of the steps alone, as one would write them down."""
    model = network(data).train()
    images, labels, size = data.train.images, data.train.labels, RECIPE.batch_size
    optimiser = torch.optim.SGD(
        model.parameters(), lr=PEAK, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    order = torch.randperm(len(labels), generator=generator)
    for step in range(STEPS):
        chosen = order[step * size : (step + 1) * size]
        loss = F.cross_entropy(model(images[chosen].float() / 255), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        scheduler.step()
    return time.perf_counter() - start


def ours(data: Data, method: str) -> float:
    """Seconds of the whole call, with its checks."""
    model = network(data)
    start = time.perf_counter()
    train(
        model,
        make(method),
        data,
        RunSettings(
            RECIPE,
            level=LEVELS[method],
            steps=STEPS,
            learning_rate=PEAK,
            seeds={"order": 0, "method": 0},
        ),
    )
    return time.perf_counter() - start


def compare(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float, float]:
    """Median ratio first / second within a pair, and the median seconds of each."""
    first(), second()
    times = []
    for pair in range(PAIRS):
        if pair % 2:
            after = second()
            times.append((first(), after))
        else:
            times.append((first(), second()))
    ratio = statistics.median(a / b for a, b in times)
    return ratio, statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    data = mnist_or_noise()
    print(f"{STEPS} steps of {RECIPE.batch_size} on {data.name}, one thread, {PAIRS} pairs")
    for method in LEVELS:
        ratio, own_s, bare_s = compare(lambda name=method: ours(data, name), lambda: bare(data))
        print(f"{method:<10} {1000 * own_s / STEPS:.3f} ms a step, bare loop "
              f"{1000 * bare_s / STEPS:.3f} ms: ratio {ratio:.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
