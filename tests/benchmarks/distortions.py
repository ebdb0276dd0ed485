"""What training on distorted images costs beyond training on clean ones.

LeNet-5, batches of 64, one thread, on MNIST where ROBENCH_DATA names it, else on random images of
that shape. A run has at least a period of adversarial noise, so that the training of new generators
is in its figure. Clean and distorted runs take turns; what is printed is the median of the ratios
within a pair. Then the projection: how far from the exact length it ends.
"""

from __future__ import annotations

import statistics
import time

import torch

from robench.data import Data
from robench.methods.base import make
from robench.models import build
from robench.spec import Distortion, Recipe
from robench.training.loop import RunSettings, train
from robench.training.projection import at_distance
from tests.benchmarks.training import mnist_or_noise

PAIRS = 5
STEPS = 120
NOISES = ("uniform-noise", "salt-and-pepper", "gaussian-noise", "speckle-noise", "contrast")
FILTERS = ("low-pass", "high-pass", "phase-noise", "rotation")
ADVERSARIAL = ("adversarial-noise", "adversarial-noise-3x3")


def run_s(data: Data, distortion: Distortion | None) -> float:
    """Seconds of the processor for a run."""
    model = build(
        "lenet-5", input_shape=(1, 28, 28), classes=10, mean=data.mean, std=data.std, seed=0
    )
    start = time.process_time()
    train(
        model,
        make("dense", {}),
        data,
        RunSettings(
            Recipe(batch_size=64, distortion=distortion),
            level=0.0,
            steps=STEPS,
            learning_rate=0.001,
            seeds={"order": 0, "method": 0, "distortion": 0},
        ),
    )
    return time.process_time() - start


def compare(data: Data, distortion: Distortion) -> tuple[float, float]:
    """The ratio to clean training, and milliseconds of a distorted step."""
    ratios, own = [], []
    for pair in range(PAIRS + 1):  # the first is a warm-up
        turns = [distortion, None] if pair % 2 else [None, distortion]
        seconds = {given is None: run_s(data, given) for given in turns}
        own.append(seconds[False] / STEPS)
        ratios.append(seconds[False] / seconds[True])
    return statistics.median(ratios[1:]), 1e3 * statistics.median(own[1:])


def projection_error() -> float:
    """The largest distance from the length asked for, on images of 28 and 32 pixels."""
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for shape in ((256, 1, 28, 28), (64, 3, 32, 32)):
        images = (3 * torch.rand(shape, generator=generator) - 1).clamp(0, 1)
        for length in (0.1, 1.0, 5.0, 10.0):
            noise = torch.randn(shape, generator=generator)
            moved = (at_distance(images, noise, length).double() - images).flatten(1).norm(dim=1)
            worst = max(worst, float((moved - length).abs().max()))
    return worst


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    data = mnist_or_noise()
    print(f"LeNet-5 on {data.name}, one thread, {PAIRS} pairs of {STEPS} steps")
    for kind in (*NOISES, *FILTERS, *ADVERSARIAL):
        share = 0.5 if kind in ADVERSARIAL else 0.0
        ratio, own_ms = compare(data, Distortion(kinds=(kind,), clean_share=share))
        print(f"{kind:<22} {own_ms:.2f} ms a step, {ratio:.2f} times the clean one", flush=True)
    print(f"projection: within {projection_error():.1e} of the length asked for")


if __name__ == "__main__":
    main()
