"""Gradient views: the answers of the true network, the gradient of a twin.

Where activations jump, or spikes and signs stand in for numbers, a network's own gradient is zero
or says nothing about what lies near; an attack that follows it fails, and the network looks robust.
A network may therefore offer twins with usable gradients, by one method:

    class Binary(nn.Module):
        def attack_views(self) -> Mapping[str, nn.Module]:
            return {"tanh": self.with_tanh_for_sign()}

Each twin takes the same images and gives as many logits. An attack needs not know: it asks the
oracle as ever, gets the network's own answers, and the twin's derivatives of them. An adversarial
is always one of the true network. What networks of robench offer by themselves is in
`robench.models.activations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robench.attacks.core.network import AttackedModel, fenced
from robench.attacks.core.problem import Problem
from robench.errors import InputError, RobenchError

__all__ = ["OWN", "SMOOTHED", "GradientView", "Smoothed", "View", "gradient_views", "seen_through"]

OWN, SMOOTHED = "own", "smoothed"


@dataclass(frozen=True)
class View:
    """A source of gradients.

    Attributes:
        name: ``"own"``, ``"smoothed"``, or that under which the network offers the twin.
        twin: lends its gradient; `None` for the network's own.
        passes: of the twin, for each gradient.
    """

    name: str
    twin: nn.Module | None = None
    passes: int = 0


class GradientView(nn.Module):
    """The answers of one network with the gradients of another.

    Args:
        model: answers.
        twin: lends its gradient; where none is asked for, it does not run.
    """

    def __init__(self, model: nn.Module, twin: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes], exactly those of `model`."""
        with torch.no_grad():
            answers: Tensor = self.model(images)
        if not (torch.is_grad_enabled() and images.requires_grad):
            return answers
        lent: Tensor = self.twin(images)
        # The difference is zero; what it adds is a derivative. An infinite one would add NaN.
        lent = lent.nan_to_num()
        return answers + (lent - lent.detach())


class Smoothed(nn.Module):
    """The mean answer over small random shifts of the image: a smooth stand-in for any network.

    The shifts are drawn once, in opposite pairs, and are the same for every image, so that the
    mean is a function of the image alone, whatever the batch.

    Args:
        model: from images to logits.
        shape: of one image.
        draws: shifts; an even number.
        deviation: standard deviation of each pixel's shift.
    """

    shifts: Tensor

    def __init__(
        self, model: nn.Module, shape: torch.Size, *, draws: int = 10, deviation: float = 0.05
    ) -> None:
        super().__init__()
        if draws < 2 or draws % 2:
            raise InputError(f"draws is {draws}", allowed="even numbers from 2")
        self.model = model
        half = torch.randn(draws // 2, *shape, generator=torch.Generator().manual_seed(0))
        self.register_buffer("shifts", deviation * torch.cat([half, -half]))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes]."""
        answers = [self.model(images + shift) for shift in self.shifts]
        return torch.stack(answers).mean(dim=0)


def gradient_views(problem: Problem, *, smoothed: bool = False) -> tuple[View, ...]:
    """Every source of gradients for a network, its own first.

    Args:
        problem: what `examine` returned; its network may have a method `attack_views`.
        smoothed: whether its own gradient, smoothed, is added where the network offers twins, and
            so is not to be trusted: ten passes each.

    Raises:
        InputError: what the network offers cannot be used; names the twin and the fault.
    """
    offered = _offered(problem.network)
    twins = [View(name, _prepared(twin, name, problem), passes=1) for name, twin in offered.items()]
    if not twins:
        return (View(OWN),)
    views = (View(OWN), *twins)
    if not smoothed:
        return views
    smooth = Smoothed(problem.model, problem.images.shape[1:]).to(problem.images.device)
    return (*views, View(SMOOTHED, smooth.eval(), passes=len(smooth.shifts)))


def seen_through(problem: Problem, view: View) -> Problem:
    """The same problem, whose model has the gradients of a view."""
    if view.twin is None:
        return problem
    model = GradientView(problem.model, view.twin).eval()
    return replace(problem, model=model, twin_passes=view.passes)


def _offered(network: nn.Module) -> Mapping[str, nn.Module]:
    method = getattr(network, "attack_views", None)
    if not callable(method):
        return {}
    where = f"{type(network).__name__}.attack_views()"
    try:
        offered = method()
    except Exception as error:
        raise InputError(f"it raised {type(error).__name__}: {error}", where=where) from error
    if not isinstance(offered, Mapping):
        raise InputError(
            f"it returned a {type(offered).__name__}", where=where, allowed="name → torch.nn.Module"
        )
    for name, twin in offered.items():
        if not isinstance(name, str) or name in ("", OWN, SMOOTHED):
            raise InputError(
                f"it names a twin {name!r}",
                where=where,
                allowed=f"words other than {OWN!r} and {SMOOTHED!r}",
            )
        if not isinstance(twin, nn.Module):
            raise InputError(
                f"its twin {name!r} is a {type(twin).__name__}",
                where=where,
                allowed="torch.nn.Module",
            )
        if any(module.training for module in twin.modules()):
            raise InputError(
                f"its twin {name!r} is in training mode", where=where, hint="call its eval()"
            )
    return offered


def _prepared(twin: nn.Module, name: str, problem: Problem) -> AttackedModel:
    """The twin behind a fence, with logits of the size that attacks see, checked on the images."""
    try:
        seen, answers = fenced(twin, problem.images, problem.batch_size)
        fault = None if answers.shape == problem.logits.shape else f"answers {tuple(answers.shape)}"
    except (RobenchError, RuntimeError, ValueError, TypeError) as error:
        fault = error.what.partition("\n")[0] if isinstance(error, RobenchError) else str(error)
        fault = f"cannot be used: {fault}"
    if fault is not None:
        raise InputError(
            f"the twin {name!r} {fault}",
            where=f"{type(problem.network).__name__}.attack_views()",
            allowed=f"logits {tuple(problem.logits.shape)}, as the network gives",
        )
    return seen.rescaled(problem.factor)
