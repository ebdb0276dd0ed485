"""Surrogate gradients (BPDA): logits of the attacked network, gradients of a surrogate.

With discontinuous activations (sign, spikes, k-winners-take-all) a network's own gradient is zero
or uninformative. This is gradient masking (obfuscated gradients): white-box attacks fail, although
the network is not robust. The remedy is backward pass differentiable approximation (BPDA; Athalye,
Carlini, Wagner 2018, arXiv 1802.00420). A network may offer surrogates with usable gradients, by
one method:

    class Binary(nn.Module):
        def surrogate_networks(self) -> Mapping[str, nn.Module]:
            return {"tanh": self.with_tanh_for_sign()}

Each surrogate takes the same images and returns as many logits. Attacks need no change: the oracle
returns the network's own logits, and gradients computed by the surrogate. An adversarial always
fools the attacked network itself. The surrogates that robench's own networks offer are in
`robench.models.activations`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robench.attacks.core.inputs import AttackInputs
from robench.attacks.core.network import AttackedModel, fenced
from robench.errors import InputError, RobenchError

__all__ = [
    "OWN",
    "SMOOTHED",
    "GradientSource",
    "Smoothed",
    "SurrogateGradient",
    "gradient_sources",
    "seen_through",
]

OWN, SMOOTHED = "own", "smoothed"
_NAME, _FORMER_NAME = "surrogate_networks", "attack_views"


@dataclass(frozen=True)
class GradientSource:
    """A source of gradients.

    Attributes:
        name: ``"own"``, ``"smoothed"``, or that under which the network offers the surrogate.
        surrogate: network whose gradient is used; `None` for the attacked network's own.
        passes: surrogate passes for each gradient.
    """

    name: str
    surrogate: nn.Module | None = None
    passes: int = 0


class SurrogateGradient(nn.Module):
    """Logits of one network with the gradients of another (BPDA).

    Args:
        model: network whose logits are returned.
        surrogate: network whose gradient is used; it only runs when a gradient is required.
    """

    def __init__(self, model: nn.Module, surrogate: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.surrogate = surrogate

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes], exactly those of `model`."""
        with torch.no_grad():
            answers: Tensor = self.model(images)
        if not (torch.is_grad_enabled() and images.requires_grad):
            return answers
        offered: Tensor = self.surrogate(images)
        # s - s.detach() is zero but has the gradient of s, [n, classes]. inf - inf would be NaN.
        offered = offered.nan_to_num()
        return answers + (offered - offered.detach())


class Smoothed(nn.Module):
    """Mean logits over small random perturbations: a smooth surrogate of any network.

    The shifts are drawn once, in opposite pairs, and are the same for every image: the result does
    not depend on the batch.

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


def gradient_sources(inputs: AttackInputs, *, smoothed: bool = False) -> tuple[GradientSource, ...]:
    """Every source of gradients for a network, its own first.

    Args:
        inputs: what `check_inputs` returned; its network may have a method `surrogate_networks`.
        smoothed: whether its own gradient, smoothed, is added where the network offers surrogates
            and so is not to be trusted: ten passes each.

    Raises:
        InputError: what the network offers cannot be used; names the surrogate and the fault.
    """
    offered = _offered(inputs.network)
    surrogates = [
        GradientSource(name, _prepared(surrogate, name, inputs), passes=1)
        for name, surrogate in offered.items()
    ]
    if not surrogates:
        return (GradientSource(OWN),)
    views = (GradientSource(OWN), *surrogates)
    if not smoothed:
        return views
    smooth = Smoothed(inputs.model, inputs.images.shape[1:]).to(inputs.images.device)
    return (*views, GradientSource(SMOOTHED, smooth.eval(), passes=len(smooth.shifts)))


def seen_through(inputs: AttackInputs, view: GradientSource) -> AttackInputs:
    """The same inputs with a model that has the gradients of a source."""
    if view.surrogate is None:
        return inputs
    model = SurrogateGradient(inputs.model, view.surrogate).eval()
    return replace(inputs, model=model, surrogate_passes=view.passes)


def _offered(network: nn.Module) -> Mapping[str, nn.Module]:
    name, method = _NAME, getattr(network, _NAME, None)
    if not callable(method):
        name, method = _FORMER_NAME, getattr(network, _FORMER_NAME, None)
        if not callable(method):
            return {}
        warnings.warn(
            f"{type(network).__name__}.{name}() is called {_NAME}() now; the old name goes with "
            "0.3",
            DeprecationWarning,
            stacklevel=2,
        )
    where = f"{type(network).__name__}.{name}()"
    try:
        offered = method()
    except Exception as error:
        raise InputError(f"it raised {type(error).__name__}: {error}", where=where) from error
    if not isinstance(offered, Mapping):
        raise InputError(
            f"it returned a {type(offered).__name__}", where=where, allowed="name → torch.nn.Module"
        )
    for name, surrogate in offered.items():
        if not isinstance(name, str) or name in ("", OWN, SMOOTHED):
            raise InputError(
                f"it names a surrogate {name!r}",
                where=where,
                allowed=f"words other than {OWN!r} and {SMOOTHED!r}",
            )
        if not isinstance(surrogate, nn.Module):
            raise InputError(
                f"its surrogate {name!r} is a {type(surrogate).__name__}",
                where=where,
                allowed="torch.nn.Module",
            )
        if any(module.training for module in surrogate.modules()):
            raise InputError(
                f"its surrogate {name!r} is in training mode", where=where, hint="call its eval()"
            )
    return offered


def _prepared(surrogate: nn.Module, name: str, inputs: AttackInputs) -> AttackedModel:
    """The surrogate, wrapped, checked, and with logits rescaled like those of the network."""
    try:
        seen, answers = fenced(surrogate, inputs.images, inputs.batch_size)
        fault = None if answers.shape == inputs.logits.shape else f"answers {tuple(answers.shape)}"
    except (RobenchError, RuntimeError, ValueError, TypeError) as error:
        fault = error.what.partition("\n")[0] if isinstance(error, RobenchError) else str(error)
        fault = f"cannot be used: {fault}"
    if fault is not None:
        raise InputError(
            f"the surrogate {name!r} {fault}",
            where=f"{type(inputs.network).__name__}.surrogate_networks()",
            allowed=f"logits {tuple(inputs.logits.shape)}, as the network gives",
        )
    return seen.rescaled(inputs.factor)
