"""How near the attack suites come to the best of everything, and what they cost.

For each network the best of everything is, image by image, the closest adversarial of all suites,
of foolbox and, where it can be imported, of adv-lib. Printed are the optimality of each suite
against it (see `robench.attacks.evaluation.optimality`), and in brackets against the best that
attacks find by themselves, without the refinement of what they found; the median ratio of its
distances to the best, and the share of images more than 1 % above it; the passes that it used and
may use, those of its checks for each image checked, seconds of the processor on one thread, and the
flags that it raises. Networks are trained on scikit-learn's digits and, where the environment
variable ROBENCH_DATA names the data, on MNIST; some on adversarial images (projected gradients in a
Euclidean ball), and those with k-winners-take-all or sign activations are made to be attacked in
vain.

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
from robench.attacks.core.losses import likeliest_others
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.attacks.evaluation.optimality import optimality
from robench.attacks.libraries.advlib import family
from robench.attacks.libraries.base import LibraryAttack
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.report import AttackReport
from robench.attacks.suite.suites import AttackSuite, Member
from robench.data import Data, load, to_float
from robench.errors import PluginError
from robench.models import build

SUITES = ("l2-quick", "l2-std", "l2-full")
PEERS = (
    Member("foolbox:ddn", {"steps": 1000}),
    Member("foolbox:deepfool", {"steps": 50}),
    Member("advlib:alma", {"num_steps": 1000}),
    Member("alma-of-advlib-targeted"),
    Member("advlib:apgd"),
    Member("advlib:ddn", {"steps": 1000}),
    Member("advlib:fab", {"n_iter": 100}),
    Member("advlib:fmn", {"steps": 1000}),
    Member("advlib:superdeepfool"),
)


class TargetedALMA(LibraryAttack):
    """adv-lib's ALMA, targeted at each of the likeliest other classes in turn."""

    name = "alma-of-advlib-targeted"
    targets, steps = 3, 300

    def run(self, oracle: Oracle) -> Tensor:
        for place in range(min(self.targets, oracle.classes - 1)):
            self.place = place
            super().run(oracle)
        return oracle.best

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        search = import_alma()
        with torch.no_grad():
            classes = likeliest_others(model(images), labels, self.place + 1)[:, self.place]
        found: Tensor = search(
            model, images, classes, targeted=True, num_steps=self.steps, init_lr_distance=0.1
        )
        return found


@dataclass(frozen=True)
class Subject:
    """A trained network and the images to push, float32 in [0, 1]."""

    network: nn.Module
    images: Tensor
    labels: Tensor


def main(count: int = 1000, only: str = "", suites: tuple[str, ...] = SUITES) -> None:
    """Every network whose name contains `only`, on so many images."""
    torch.set_num_threads(1)
    ATTACKS.add(TargetedALMA.name, TargetedALMA, source=__file__)
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
        ratio = (report.distance / best)[correct]
        print(
            f"  {suite:9s} optimality {optimality(report.distance, best, correct):.4f} "
            f"({optimality(report.distance, alone, correct):.4f}), "
            f"ratio to the best {ratio.median():.4f}, {(ratio > 1.01).double().mean():.1%} above "
            f"1.01, "
            f"{report.passes[correct].double().mean():.0f} of {report.allowed} passes, "
            f"{checked(report)} of checks, "
            f"{len(report.views)} views, {seconds:.1f} s, "
            f"flags: {', '.join(report.raised) or 'none'}; {strongest(report, best)}",
            flush=True,
        )


def checked(report: AttackReport) -> str:
    """Passes of the checks for each image that they ran on."""
    if report.checks is None or not report.checks.images:
        return "none"
    return f"{report.checks.passes / report.checks.images:.0f}"


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


def import_alma() -> Callable[..., Tensor]:
    family("alma")  # which tells what to install
    from adv_lib.attacks import alma

    search: Callable[..., Tensor] = alma
    return search


def is_installed(member: Member) -> bool:
    try:
        ATTACKS.get(member.attack)
        if member.attack == TargetedALMA.name:
            import_alma()
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
        "digits mlp-relu robust": lambda n: digits(n, "mlp", widths, radius=1.0),
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
        small = {"filters": (16, 32), "hidden": 100}
        made["mnist lenet-5 robust"] = lambda n: mnist(n, "lenet-5", small, radius=1.0)
        for activation in ("k-wta", "sign"):
            made[f"mnist mlp-{activation}"] = lambda n, a=activation: mnist(
                n, "mlp", {"widths": (300, 100), "activation": a}
            )
    return made


def digits(
    count: int, model: str, params: Mapping[str, object], level: float = 0.0, radius: float = 0.0
) -> Subject:
    data = load("digits")
    return trained(data, model, params, count=count, epochs=40, level=level, radius=radius)


def mnist(count: int, model: str, params: Mapping[str, object], radius: float = 0.0) -> Subject:
    return trained(load("mnist"), model, params, count=count, epochs=2, radius=radius)


def trained(
    data: Data,
    model: str,
    params: Mapping[str, object],
    *,
    count: int,
    epochs: int,
    level: float = 0.0,
    radius: float = 0.0,
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
    train(network, data, epochs, radius)
    if level:
        hidden = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][:-1]
        for layer in hidden:
            prune.l1_unstructured(layer, "weight", level)
        train(network, data, epochs)
        for layer in hidden:
            prune.remove(layer, "weight")
    network.requires_grad_(requires_grad=False)
    return Subject(network, to_float(data.test.images[:count]), data.test.labels[:count])


def train(network: nn.Module, data: Data, epochs: int, radius: float = 0.0) -> None:
    """Train on the images, or on those that projected gradient ascent makes of them."""
    images, labels = data.train.images, data.train.labels
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            points = to_float(images[batch])
            if radius:
                points = pushed(network, points, labels[batch], radius)
            optimiser.zero_grad()
            F.cross_entropy(network(points), labels[batch]).backward()
            optimiser.step()
    network.eval()


def pushed(
    network: nn.Module, images: Tensor, labels: Tensor, radius: float, steps: int = 7
) -> Tensor:
    """Projected gradient ascent in a Euclidean ball (Madry et al. 2018, arXiv 1706.06083)."""
    moved = torch.zeros_like(images)
    for _ in range(steps):
        moved.requires_grad_()
        loss = F.cross_entropy(network(images + moved), labels)
        (slope,) = torch.autograd.grad(loss, moved)
        step = per_row(radius / 3 / lengths(slope).clamp_min(1e-12), slope) * slope
        moved = (moved.detach() + step).renorm(2, 0, radius)
        moved = (images + moved).clamp(0, 1) - images
    return images + moved.detach()


if __name__ == "__main__":
    main()
