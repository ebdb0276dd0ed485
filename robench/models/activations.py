"""Activations by name, and smooth stand-ins for those whose gradients lead an attack astray.

An activation that jumps offers `surrogates() -> Mapping[str, nn.Module]`: modules that resemble it
and have a usable gradient. From these :func:`surrogates` makes whole networks, whose gradients an
attack may use in place of the network's own.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from robench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Activation", "KWinners", "Sign", "SoftWinners", "make_activation", "surrogates"]

Activation = Literal["relu", "tanh", "k-wta", "sign"]


def make_activation(name: Activation, *, active_share: float = 0.1) -> nn.Module:
    """A new activation of that name.

    Args:
        name: ``"relu"``, ``"tanh"``, ``"k-wta"`` or ``"sign"``.
        active_share: of the units that stay active under k-WTA, in (0, 1].
    """
    if name == "k-wta":
        return KWinners(active_share)
    plain: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sign": Sign}
    return plain[name]()


class KWinners(nn.Module):
    """Keeps the largest activations of each input and silences the rest: k-winners-take-all.

    Xiao, Zhong, Zheng 2020, *Enhancing Adversarial Defense by k-Winners-Take-All* (arXiv
    1905.10510). All units of a layer compete, in maps all channels and places together. The output
    jumps wherever the set of winners changes, so that the gradient says little of what lies near.

    Args:
        active_share: of the units that stay, in (0, 1]; at least one does. Units that tie for the
            last place all stay.

    Raises:
        InputError: a share outside of (0, 1].
    """

    def __init__(self, active_share: float = 0.1) -> None:
        super().__init__()
        if not 0 < active_share <= 1:
            raise InputError(f"active_share is {active_share}", allowed="above 0, at most 1")
        self.active_share = active_share

    def forward(self, x: Tensor) -> Tensor:
        """Activations of the same shape [N, ...], zero but for the winners."""
        return torch.where(x >= self.least_winner(x), x, 0)

    def least_winner(self, x: Tensor) -> Tensor:
        """The smallest activation of each input that stays, [N, 1, ...]."""
        rows = x.flatten(1)
        winners = math.ceil(self.active_share * rows.shape[1])
        least = rows.topk(winners, dim=1, sorted=False).values.amin(dim=1)
        return least.view(-1, *[1] * (x.dim() - 1))

    def surrogates(self) -> Mapping[str, nn.Module]:
        """One stand-in, ``"soft"``."""
        return {"soft": SoftWinners(self.active_share)}

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"active_share={self.active_share}"


class SoftWinners(KWinners):
    """k-winners-take-all with a gradual transition at the threshold.

    ``x · sigmoid((x − θ) / τ)`` with θ the least winner, which the gradient takes for a constant,
    and τ a quarter of the standard deviation of the input's activations. Our own choice.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Activations of the same shape [N, ...], weighed by how surely they win."""
        width = x.detach().flatten(1).std(dim=1).clamp_min(1e-6) / 4
        lead = (x - self.least_winner(x).detach()) / width.view(-1, *[1] * (x.dim() - 1))
        return x * lead.sigmoid()

    def surrogates(self) -> Mapping[str, nn.Module]:
        """None: it is smooth itself."""
        return {}


class Sign(nn.Module):
    """Activations of -1 and 1, trained by the straight-through estimator.

    Hubara, Courbariaux, Soudry, El-Yaniv, Bengio 2016, *Binarized Neural Networks* (arXiv
    1602.02830): the sign forwards, backwards the identity where the input lies in [-1, 1].
    """

    def forward(self, x: Tensor) -> Tensor:
        """1 from zero on, else -1, of the same shape and type."""
        slope = x.clamp(-1, 1)
        # The difference is zero; what it adds is a derivative.
        return torch.where(x >= 0, 1, -1).to(x) + (slope - slope.detach())

    def surrogates(self) -> Mapping[str, nn.Module]:
        """One stand-in, ``"tanh"``."""
        return {"tanh": nn.Tanh()}


def surrogates(model: nn.Module) -> dict[str, nn.Module]:
    """Networks with the same weights, whose activations are stand-ins with usable gradients.

    Args:
        model: any network. The surrogates share its parameters and buffers, and its mode.

    Returns:
        One surrogate for each name under which any activation of the network offers a stand-in; an
        activation that offers none under that name stays as it is. Empty for ordinary networks.
    """
    offers = {
        path: module.surrogates()
        for path, module in model.named_modules()
        if callable(getattr(module, "surrogates", None))
    }
    names = sorted({name for offered in offers.values() for name in offered})
    return {
        name: _with_replaced(model, {p: o[name] for p, o in offers.items() if name in o})
        for name in names
    }


def _with_replaced(model: nn.Module, replacements: Mapping[str, nn.Module]) -> nn.Module:
    """A copy of the modules, but not of their tensors, in which some are replaced."""
    tensors = [*model.parameters(), *model.buffers()]
    surrogate = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    for path, module in replacements.items():
        if not path:
            return module.train(model.training)
        surrogate.set_submodule(path, module.train(model.training))
    return surrogate
