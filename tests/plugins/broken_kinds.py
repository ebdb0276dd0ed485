"""Attacks, degradations, models and data sets that break a rule of the conformance kit each."""

from functools import partial

import numpy as np
import torch
from torch import nn

from robench.attacks.core.base import Attack
from robench.data.assembly import assemble
from robench.data.base import Dataset
from robench.data.splits import own_split
from robench.degradations.base import Degradation
from robench.models.base import Network
from robench.spec.base import Frozen

# -- attacks --------------------------------------------------------------------------------------


class Raises(Attack):
    """Divides by zero."""

    name = "broken-raises"

    def run(self, oracle):
        return 1 / 0


class Idle(Attack):
    """Does nothing."""

    name = "broken-idle"

    def run(self, oracle):
        return oracle.images


class Draws(Attack):
    """Draws from torch's global generator."""

    name = "broken-draws"

    def run(self, oracle):
        points = oracle.images
        for _ in range(20):
            points = oracle.clip(oracle.images + torch.randn_like(oracle.images))
            oracle.query(points, oracle.rows)
        return points


class OfTheBatch(Attack):
    """Walks as far as there are images in the batch."""

    name = "broken-batch"

    def run(self, oracle):
        own = oracle.labels[:, None]
        points = oracle.images
        for _ in range(30):
            _, gradient = oracle.gradient(
                points, oracle.rows, lambda logits: logits.gather(1, own)[:, 0]
            )
            points = oracle.clip(points - 0.03 * len(points) * gradient.sign())
        return points


class NeedsSteps(Attack):
    """Cannot be made by default."""

    name = "broken-params"

    class Params(Frozen):
        """Without a default."""

        steps: int

    def run(self, oracle):
        return oracle.images


# -- degradations ---------------------------------------------------------------------------------

plain = partial(
    Degradation, unit="1", levels=(0.0, 1.0), neutral=0.0, bounds=(0.0, 1.0), reads="colour"
)


@partial(plain, name="broken-range")
def leaves_the_range(pixels, level):
    """Brighter than white."""
    return pixels + level


@partial(plain, name="broken-same")
def same(pixels, level):
    """Nothing at any level."""
    return pixels.clone()


@partial(plain, name="broken-noise")
def global_noise(pixels, level):
    """Noise of the global generator."""
    return (pixels + level * torch.randn_like(pixels)).clamp(0, 1)


@partial(plain, name="broken-mean")
def of_the_batch(pixels, level):
    """Mixes the images of a batch."""
    return (pixels + level * pixels.mean(0)) / 2


@partial(plain, name="broken-in-place")
def in_place(pixels, level):
    """Works on what it is given."""
    return pixels.mul_(1 - level / 2)


# -- models ---------------------------------------------------------------------------------------


class _Flat(Network):
    """A linear layer behind another one."""

    def layers(self, params):
        features = int(np.prod(self.input_shape))
        return nn.Sequential(
            nn.Flatten(), nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, self.classes)
        )


class WrongLogits(_Flat):
    """Three classes, whatever is asked for."""

    name = "broken-logits"

    def layers(self, params):
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(self.input_shape)), 3))


class OverTheBatch(_Flat):
    """Takes the mean of the batch away."""

    name = "broken-batch-norm"

    def forward(self, x):
        logits = super().forward(x)
        return logits - logits.mean(0)


class Detached(_Flat):
    """Lets no gradient through."""

    name = "broken-detached"

    def forward(self, x):
        return super().forward(x.detach())


class HiddenState(_Flat):
    """Depends on a number that is no parameter."""

    name = "broken-state"

    def initialise(self):
        super().initialise()
        self.hidden = float(torch.rand(()))

    def forward(self, x):
        return super().forward(x) * self.hidden


class PrunesCopies(_Flat):
    """Offers copies of its weights."""

    name = "broken-pruned"

    def prunable(self):
        return {name: nn.Parameter(weight.clone()) for name, weight in super().prunable().items()}


# -- data sets ------------------------------------------------------------------------------------


def _two_classes(name, inputs):
    labels = np.arange(len(inputs)) % 2
    return assemble(
        name,
        classes=["a", "b"],
        inputs=inputs.astype(np.uint8),
        labels=labels,
        splits=own_split(labels, name),
    )


class Drawn(Dataset):
    """Drawn anew each time."""

    name = "broken-drawn"

    def load(self, root, /):
        return _two_classes(self.name, np.random.default_rng().integers(0, 256, (200, 1, 4, 4)))


class Twice(Dataset):
    """Every input is there many times."""

    name = "broken-twice"

    def load(self, root, /):
        draw = np.random.default_rng(0).integers(0, 256, (4, 1, 4, 4))
        return _two_classes(self.name, np.tile(draw, (50, 1, 1, 1)))
