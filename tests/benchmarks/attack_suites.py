"""How near the attack suites come to the best of everything, and what they cost.

For each network the best of everything is, image by image, the closest adversarial of all suites,
of foolbox and, where it can be imported, of adv-lib. Printed are the optimality of each suite
against it (see `robench.attacks.optimality`), and in brackets against the best that attacks find by
themselves, without the refinement of what they found; the passes that it used and may use, seconds
of the processor on one thread, and the flags that it raises. Networks are trained on scikit-learn's
digits and, where the environment variable ROBENCH_DATA names the data, on MNIST; those with
k-winners-take-all or sign activations are made to be attacked in vain.

    python -m tests.benchmarks attack_suites
    python -c "from tests.benchmarks import attack_suites as a; a.main(count=100, only='mlp-sign')"

`profile` names the costs of a suite: ``a.profile('mnist lenet-5', 'l2-quick', count=1000)``.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from robench.attacks import ATTACKS
from robench.attacks.minimal import minimal_l2
from robench.attacks.optimality import optimality
from robench.attacks.report import AttackReport
from robench.attacks.suites import AttackSuite, Member
from robench.data import Data, load, to_float
from robench.errors import PluginError
from robench.models import build

SUITES = ("l2-quick", "l2-std", "l2-full")
PEERS = (
    Member("foolbox:ddn", {"steps": 1000}),
    Member("foolbox:deepfool", {"steps": 50}),
    Member("advlib:alma", {"num_steps": 1000}),
    Member("advlib:apgd"),
    Member("advlib:ddn", {"steps": 1000}),
    Member("advlib:fab", {"n_iter": 100}),
    Member("advlib:fmn", {"steps": 1000}),
    Member("advlib:superdeepfool"),
)


@dataclass(frozen=True)
class Subject:
    """A trained network and the images to push, float32 in [0, 1]."""

    network: nn.Module
    images: Tensor
    labels: Tensor


def main(count: int = 1000, only: str = "", suites: tuple[str, ...] = SUITES) -> None:
    """Every network whose name contains `only`, on so many images."""
    torch.set_num_threads(1)
    peers = AttackSuite("peers", 1, tuple(member for member in PEERS if is_installed(member)))
    for name, make in subjects().items():
        if only in name:
            compare(name, make(count), suites, peers)


def compare(name: str, subject: Subject, suites: tuple[str, ...], peers: AttackSuite) -> None:
    reports = {str(suite): attacked(subject, suite) for suite in (*suites, peers)}
    members = [member for report, _ in reports.values() for member in report.attacks.values()]
    best = torch.stack([report.distance for report, _ in reports.values()]).amin(dim=0)
    alone = torch.stack([m.distance_on_ray for m in members if not m.is_refinement]).amin(dim=0)
    correct = next(iter(reports.values()))[0].correct
    print(
        f"{name}: {len(correct)} images, accuracy {correct.double().mean():.3f}, "
        f"median of the best {best[correct].median():.4f}, "
        f"of attacks by themselves {alone[correct].median():.4f}"
    )
    for suite, (report, seconds) in reports.items():
        print(
            f"  {suite:9s} optimality {optimality(report.distance, best, correct):.4f} "
            f"({optimality(report.distance, alone, correct):.4f}), "
            f"{report.passes[correct].double().mean():.0f} of {report.allowed} passes, "
            f"{len(report.views)} views, {seconds:.1f} s, "
            f"flags: {', '.join(report.raised) or 'none'}; {strongest(report, best)}",
            flush=True,
        )


def strongest(report: AttackReport, best: Tensor) -> str:
    """The attacks that came nearest, with their optimality."""
    found = {
        key: optimality(member.distance_on_ray, best, report.correct) or 0.0
        for key, member in report.attacks.items()
    }
    ranked = sorted(found, key=lambda key: -found[key])
    return ", ".join(f"{key} {found[key]:.3f}" for key in ranked[:4])


def profile(name: str, suite: str, count: int) -> None:
    """The largest costs of a suite by function, in seconds of the processor."""
    torch.set_num_threads(1)
    subject = subjects()[name](count)
    attacked(Subject(subject.network, subject.images[:8], subject.labels[:8]), "l2-smoke")
    profiler = cProfile.Profile(time.process_time)
    report, seconds = profiler.runcall(attacked, subject, suite)
    print(f"{suite} on {count} images, {name}: {seconds:.1f} s, {report.passes.sum()} passes")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(10)


def attacked(subject: Subject, suite: str | AttackSuite) -> tuple[AttackReport, float]:
    """The report, and seconds of the processor, which other programs disturb less."""
    started = time.process_time()
    report = minimal_l2(subject.network, subject.images, subject.labels, suite)
    return report, time.process_time() - started


def is_installed(member: Member) -> bool:
    try:
        ATTACKS.get(member.attack)
    except PluginError as error:
        print(f"left out: {error.what}")
        return False
    return True


def subjects() -> Mapping[str, Callable[[int], Subject]]:
    """Name → a function that trains the network and takes the first so many test images."""
    widths = {"widths": (128, 128)}
    filters = {"widths": (16, 32)}
    made: dict[str, Callable[[int], Subject]] = {
        "digits mlp-relu": lambda n: digits(n, "mlp", widths),
        "digits mlp-relu 95 % pruned": lambda n: digits(n, "mlp", widths, level=0.95),
        "digits convnet-relu": lambda n: digits(n, "convnet", filters),
    }
    for activation in ("k-wta", "sign"):
        made[f"digits mlp-{activation}"] = lambda n, a=activation: digits(
            n, "mlp", {**widths, "activation": a}
        )
        made[f"digits convnet-{activation}"] = lambda n, a=activation: digits(
            n, "convnet", {**filters, "activation": a}
        )
    if os.environ.get("ROBENCH_DATA"):
        made["mnist lenet-300-100"] = lambda n: mnist(n, "lenet-300-100", {})
        made["mnist lenet-5"] = lambda n: mnist(n, "lenet-5", {})
        for activation in ("k-wta", "sign"):
            made[f"mnist mlp-{activation}"] = lambda n, a=activation: mnist(
                n, "mlp", {"widths": (300, 100), "activation": a}
            )
    return made


def digits(count: int, model: str, params: Mapping[str, object], level: float = 0.0) -> Subject:
    data = load("digits")
    return trained(data, model, params, count=count, epochs=40, level=level)


def mnist(count: int, model: str, params: Mapping[str, object]) -> Subject:
    return trained(load("mnist"), model, params, count=count, epochs=2)


def trained(
    data: Data,
    model: str,
    params: Mapping[str, object],
    *,
    count: int,
    epochs: int,
    level: float = 0.0,
) -> Subject:
    torch.manual_seed(0)
    network = build(
        model,
        input_shape=data.input_shape,
        classes=10,
        mean=data.mean,
        std=data.std,
        params=params,
        seed=0,
    )
    train(network, data, epochs)
    if level:
        hidden = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][:-1]
        for layer in hidden:
            prune.l1_unstructured(layer, "weight", level)
        train(network, data, epochs)
        for layer in hidden:
            prune.remove(layer, "weight")
    network.requires_grad_(requires_grad=False)
    return Subject(network, to_float(data.test.images[:count]), data.test.labels[:count])


def train(network: nn.Module, data: Data, epochs: int) -> None:
    images, labels = to_float(data.train.images), data.train.labels
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimiser.step()
    network.eval()


if __name__ == "__main__":
    main()
