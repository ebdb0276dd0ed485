"""Attacks against foolbox: the same medians, how many seconds; and the suite per 1000 images.

One thread, 1000 correctly classified images: an MLP on scikit-learn's digits and, where the
environment variable ROBENCH_DATA names the data, LeNet-300-100 and LeNet-5 on MNIST after two
epochs. Times are the best of several runs, ours and theirs in turn, of the processor rather than of
the clock, so that a busy machine disturbs them less.

foolbox computes the gradients of the weights too wherever weights ask for them, which those of a
trained network do. It is timed both ways; ours does not.

`peers` asks for DeepFool and DDN alone, `suite` for the suite alone:
``python -c "from tests.benchmarks import attacks; attacks.main(['peers'])"``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import foolbox
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import robench
from robench.attacks.algorithms.ddn import DDN
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.algorithms.superdeepfool import SuperDeepFool
from robench.attacks.core.base import Attack
from robench.attacks.evaluation.metrics import median_distance
from robench.data import load, to_float
from robench.models import build

T = TypeVar("T")

COUNT = 1000
REPEATS = 3


def main(parts: Sequence[str] = ("peers", "suite")) -> None:
    torch.set_num_threads(1)
    for name, model, images, labels in problems():
        print(f"{name}, n = {len(images)}", flush=True)
        if "peers" in parts:
            compare(DeepFool(), foolbox.attacks.L2DeepFoolAttack(steps=50), model, images, labels)
            compare(DDN(), foolbox.attacks.DDNAttack(steps=100), model, images, labels)
            show(DeepFool(steepening=None), model, images, labels)
            show(SuperDeepFool(), model, images, labels)
        if "suite" in parts:
            time_suite(model, images, labels)


def problems() -> Iterator[tuple[str, nn.Module, Tensor, Tensor]]:
    """Name, trained model, images and labels."""
    yield digits()
    if os.environ.get("ROBENCH_DATA"):
        yield mnist("lenet-300-100")
        yield mnist("lenet-5")


def digits() -> tuple[str, nn.Module, Tensor, Tensor]:
    data = load_digits()
    images = torch.tensor(data.data / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    torch.manual_seed(0)
    order = torch.randperm(len(images))
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    train(model, images[order[:700]], labels[order[:700]], epochs=40)
    rest = order[700:]
    return "digits, MLP 64-128-128-10", model, *classified(model, images[rest], labels[rest])


def mnist(name: str) -> tuple[str, nn.Module, Tensor, Tensor]:
    data = load("mnist")
    torch.manual_seed(0)
    model = build(name, input_shape=(1, 28, 28), classes=10, mean=data.mean, std=data.std, seed=0)
    train(model, to_float(data.train.images), data.train.labels, epochs=2)
    images = to_float(data.test.images[: 2 * COUNT])
    labels = data.test.labels[: 2 * COUNT]
    return f"MNIST, {name}", model, *classified(model, images, labels)


def classified(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The first images that the model puts in their class, and their labels."""
    with torch.no_grad():
        correct = (model(images).argmax(dim=1) == labels).nonzero().flatten()[:COUNT]
    return images[correct], labels[correct]


def train(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimiser.step()
    model.eval()


def compare(
    attack: Attack, peer: foolbox.Attack, model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1))

    def run_peer() -> Tensor:
        points, _, success = peer(bounded, images, labels, epsilons=None)
        return torch.where(success, (points - images).flatten(1).norm(dim=1), torch.inf)

    def run_peer_on_frozen_weights() -> Tensor:
        model.requires_grad_(requires_grad=False)
        found = run_peer()
        model.requires_grad_(requires_grad=True)
        return found

    def run_ours() -> Tensor:
        return attack(model, images, labels).distance

    contestants = (run_ours, run_peer, run_peer_on_frozen_weights)
    rounds = [[timed(run) for run in contestants] for _ in range(REPEATS)]
    ours, theirs, _ = (found for found, _ in rounds[0])
    times = [[seconds for _, seconds in contest] for contest in rounds]
    own_s, peer_s, frozen_s = (min(column) for column in zip(*times, strict=True))
    print(
        f"  {attack.name:9s} median {median(ours):.4f} (foolbox {median(theirs):.4f}), "
        f"{own_s:.2f} s (foolbox {peer_s:.2f} s, with frozen weights {frozen_s:.2f} s): "
        f"{peer_s / own_s:.1f} ({frozen_s / own_s:.1f}) times as fast",
        flush=True,
    )
    show(attack, model, images, labels)


def show(attack: Attack, model: nn.Module, images: Tensor, labels: Tensor) -> None:
    result, seconds = timed(lambda: attack(model, images, labels))
    print(
        f"    {attack}: median {median(result.distance):.4f}, {seconds:.2f} s, "
        f"{result.forwards.double().mean():.1f} + {result.backwards.double().mean():.1f} passes",
        flush=True,
    )


def time_suite(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    report, seconds = timed(lambda: robench.minimal_l2(model, images, labels))
    members = ", ".join(f"{key} {part.seconds:.2f} s" for key, part in report.attacks.items())
    print(
        f"  {report.suite} median {median(report.distance):.4f}, "
        f"{seconds * 1000 / len(images):.2f} s per 1000 images ({members}), "
        f"{report.passes.double().mean():.0f} passes, flags: {', '.join(report.raised) or 'none'}"
    )


def median(distance: Tensor) -> float:
    return median_distance(distance, distance > 0)


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and the seconds of the processor that it took."""
    started = time.process_time()
    value = function()
    return value, time.process_time() - started
