"""Networks to attack: one trained on digits, one linear with a known answer, broken ones."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils import prune

from robench.attacks.suite.suites import AttackSuite, Member
from robench.models.activations import KWinners, Sign, surrogates


@pytest.fixture(scope="session")
def foolbox() -> ModuleType:
    """The library, whose import warns of an old name in scipy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("foolbox")


@dataclass(frozen=True)
class Task:
    """A model with images, most of which it classifies correctly."""

    model: nn.Module
    images: Tensor
    labels: Tensor

    def correct(self, count: int) -> tuple[Tensor, Tensor]:
        """The first images that the model puts in their class, and their labels."""
        with torch.no_grad():
            rows = (self.model(self.images).argmax(dim=1) == self.labels).nonzero().flatten()
        return self.images[rows[:count]], self.labels[rows[:count]]


@pytest.fixture(scope="session")
def digits() -> Task:
    """An MLP trained on 1400 digits, and the other 397."""
    return trained(nn.ReLU)


@pytest.fixture(scope="session")
def winners() -> Task:
    """The same with 10 % of its activations kept."""
    return trained(KWinners)


@pytest.fixture(scope="session")
def signs() -> Task:
    """The same with activations of -1 and 1."""
    return trained(Sign)


@pytest.fixture(scope="session")
def pruned() -> Task:
    """The ReLU network with 95 % of its hidden weights removed by magnitude, and trained on."""
    return trained(nn.ReLU, level=0.95)


@pytest.fixture(scope="session")
def robust() -> Task:
    """The ReLU network trained on adversarial images, at most 0.7 away."""
    return trained(nn.ReLU, radius=0.7)


@pytest.fixture
def short() -> AttackSuite:
    """Every kind of attack of the suites, for a few steps."""
    refinement = {"steps": 3, "probes": 5, "reach": 0.1}
    return AttackSuite(
        name="short",
        version=1,
        members=(
            Member("deepfool", {"steps": 20}, budget=220),
            Member("ddn", {"steps": 20, "targets": 3}, budget=120),
            Member("alma", {"steps": 30}, budget=60),
            Member("nearest-other-class", {"candidates": 3}, budget=48, is_gradient_free=True),
            Member("hopskipjump", refinement, "refinement", 200, True, True),
        ),
    )


class WithSurrogates(nn.Sequential):
    """Layers that offer the stand-ins of their activations."""

    def surrogate_networks(self) -> Mapping[str, nn.Module]:
        return surrogates(self)


def trained(activation: Callable[[], nn.Module], level: float = 0.0, radius: float = 0.0) -> Task:
    data = load_digits()
    images = torch.tensor(data.data / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        order = torch.randperm(len(images))
        model = WithSurrogates(
            *(nn.Linear(64, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 10))
        )
        train(model, images, labels, order[:1400], epochs=10 if radius else 25, radius=radius)
        if level:
            for layer in (model[0], model[2]):
                prune.l1_unstructured(layer, "weight", level)
            train(model, images, labels, order[:1400], epochs=15)
            for layer in (model[0], model[2]):
                prune.remove(layer, "weight")
    model.eval().requires_grad_(requires_grad=False)
    return Task(model, images[order[1400:]], labels[order[1400:]])


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    *,
    epochs: int,
    radius: float = 0.0,
) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in rows[torch.randperm(len(rows))].split(64):
            points = images[batch]
            if radius:
                points = pushed(model, points, labels[batch], radius)
            optimiser.zero_grad()
            F.cross_entropy(model(points), labels[batch]).backward()
            optimiser.step()


def pushed(model: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
    """Four steps of projected gradient ascent in a Euclidean ball (Madry et al. 2018)."""
    moved = torch.zeros_like(images)
    for _ in range(4):
        moved.requires_grad_()
        loss = F.cross_entropy(model(images + moved), labels)
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + radius / 2 * F.normalize(slope, dim=1)
        moved = (images + moved.renorm(2, 0, radius)).clamp(0, 1) - images
    return images + moved.detach()


@dataclass(frozen=True)
class LinearTask(Task):
    """A linear model, and how far each image really is from the nearest other class."""

    distance: Tensor


@pytest.fixture
def linear() -> Callable[[int], LinearTask]:
    """A random linear model of so many classes with images deep inside the box, all correct."""

    def make(classes: int) -> LinearTask:
        generator = torch.Generator().manual_seed(classes)
        model = nn.Linear(20, classes)
        with torch.no_grad():
            model.weight.copy_(torch.randn(classes, 20, generator=generator))
            model.bias.copy_(torch.randn(classes, generator=generator) / 10)
        images = 0.3 + 0.4 * torch.rand(24, 20, generator=generator)
        logits = model(images).detach()
        labels = logits.argmax(dim=1)
        weight = model.weight.detach()
        gaps = logits.gather(1, labels[:, None]) - logits
        slopes = (weight[labels][:, None] - weight[None]).norm(dim=2)
        distance = torch.where(slopes > 0, gaps / slopes, torch.inf).amin(dim=1)
        return LinearTask(model.eval(), images, labels, distance.double())

    return make
