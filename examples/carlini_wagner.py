"""The l2 attack of Carlini and Wagner 2017, *Towards evaluating the robustness of neural networks*.

arXiv 1608.04644. For each image x the attack minimises

    ||x' - x||^2 + c * f(x'),    f(x') = max(Z(x')_own - max_{i != own} Z(x')_i, 0)

over w with x' = (tanh(w) + 1) / 2, by Adam, and searches by bisection for the least c at which the
image is fooled. Z are the logits; the margin kappa is zero, since the smallest change is asked for.
"""

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.oracle import Oracle
from robench.spec.base import Frozen

__all__ = ["CarliniWagner"]

_INSIDE = 1 - 1e-6
"""Images are pulled this far into the box, where the inverse of tanh is finite."""
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
"""Of Adam (Kingma and Ba 2015)."""


class CarliniWagner(Attack):
    """Adam on distance plus c times the margin, bisection for c (Carlini and Wagner 2017)."""

    name = "carlini-wagner"

    class Params(Frozen):
        """How long, and how c is searched for."""

        steps: int = Field(100, ge=1)
        """Steps of Adam for each c."""
        searches: int = Field(6, ge=1)
        """Values of c that are tried."""
        initial_c: float = Field(1.0, gt=0)
        """The first of them."""
        learning_rate: float = Field(0.05, gt=0)
        """Of Adam, on w."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """One c after the other; the oracle remembers the closest adversarial of all of them."""
        rows, count = oracle.rows, len(oracle.images)
        least = oracle.images.new_zeros(count)
        most = oracle.images.new_full((count,), torch.inf)
        c = oracle.images.new_full((count,), self.params.initial_c)
        for _ in range(self.params.searches):
            fooled = self._descend(oracle, rows, c)  # bool [n]
            most = torch.where(fooled, torch.minimum(most, c), most)
            least = torch.where(fooled, least, torch.maximum(least, c))
            # Ten times as much until an image is fooled for the first time, then bisection.
            c = torch.where(most.isinf(), 10 * c, (least + most) / 2)
        return oracle.best

    def _descend(self, oracle: Oracle, rows: Tensor, c: Tensor) -> Tensor:
        """Whether any step fooled the network with these c, bool [n]."""
        images, own = oracle.images, oracle.labels[:, None]  # [n, ...], [n, 1]
        w = _into_w(oracle.starts) if oracle.box else oracle.starts.clone()
        mean, square = torch.zeros_like(w), torch.zeros_like(w)
        fooled = torch.zeros(len(images), dtype=torch.bool, device=images.device)

        def margin(logits: Tensor) -> Tensor:
            """f, of each row: [n]."""
            others = logits.scatter(1, own, -torch.inf).amax(dim=1)
            return (logits.gather(1, own)[:, 0] - others).clamp_min(0)

        weight = c.view(-1, *(1 for _ in images.shape[1:]))  # [n, 1, ...]
        for step in range(1, self.params.steps + 1):
            points = (w.tanh() + 1) / 2 if oracle.box else w
            logits, slope = oracle.gradient(points, rows, margin)
            fooled |= oracle.is_adversarial(logits, rows)
            downhill = 2 * (points - images) + weight * slope  # with respect to x'
            if oracle.box:
                downhill = downhill * (1 - (2 * points - 1) ** 2) / 2  # dx'/dw, by the chain rule
            mean = _BETAS[0] * mean + (1 - _BETAS[0]) * downhill
            square = _BETAS[1] * square + (1 - _BETAS[1]) * downhill**2
            unbiased = mean / (1 - _BETAS[0] ** step)
            scale = (square / (1 - _BETAS[1] ** step)).sqrt() + _EPSILON
            w = w - self.params.learning_rate * unbiased / scale
        return fooled


def _into_w(images: Tensor) -> Tensor:
    """The w whose x' is the image, but for the border of the box."""
    return (_INSIDE * (2 * images - 1)).atanh()
