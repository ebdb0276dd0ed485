"""The noise that is worst for a finished network, and how much of it the network bears.

Rusak, Schott, Zimmermann, Bitterwolf, Bringmann, Bethge, Brendel 2020, *A simple way to make neural
networks robust against diverse image corruptions* (arXiv 2001.06057).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robench.data.base import to_float
from robench.degradations.random import Noise
from robench.spec.identity import seed_for
from robench.training.adversarial_noise import (
    NoiseGenerator,
    Trainer,
    check_gradient,
    retraining_rate,
)
from robench.training.evaluate import predict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.data.base import Split

__all__ = ["WORST_NOISE_VERSION", "distance_along", "noise_for", "trained_generator"]

WORST_NOISE_VERSION = 2
_BATCH_SIZE = 100
_FIRST_RMS = 0.01
_GROWTH = 1.8
_COARSE_STEPS = 18
"""The last of them is noise of 218 times the range of an image: all but black and white is left."""
_BISECTIONS = 40


def trained_generator(
    model: nn.Module, split: Split, *, kernel: int, rms: float, steps: int, seed: int
) -> NoiseGenerator:
    """A noise generator that was trained from scratch to mislead a network.

    Args:
        model: in evaluation mode; its weights stay as they are.
        split: training images.
        kernel: 1 or 3, see `NoiseGenerator`.
        rms: root mean square of the noise, after clipping.
        steps: of Adam.
        seed: of the weights, the images and the white noise.

    Raises:
        NotApplicableError: the network has no gradient by its images.
    """
    device = next(model.parameters()).device
    random = torch.Generator(device).manual_seed(seed_for(seed, "white noise"))
    order = torch.Generator().manual_seed(seed_for(seed, "images"))
    noise = NoiseGenerator(split.images.shape[1], kernel, seed=seed_for(seed, "weights")).to(device)
    trainer = Trainer(model, noise, rms, retraining_rate(steps), random)
    for step in range(steps):
        chosen = torch.randint(len(split), (min(_BATCH_SIZE, len(split)),), generator=order)
        chosen = chosen.to(split.images.device)
        images, labels = to_float(split.images[chosen]).to(device), split.labels[chosen].to(device)
        if step == 0:
            check_gradient(model, images, labels)
        trainer.step(images, labels)
    return noise.requires_grad_(False)


def noise_for(
    images: Tensor, index: Tensor, seed: int, generator: NoiseGenerator | None = None
) -> Tensor:
    """One draw of noise for each image, which depends on the seed and the image's index alone.

    Its mean over the pixels of each channel is zero, as that of a `NoiseGenerator` is.

    Args:
        images: float32 [N, C, H, W].
        index: int64 [N], the images' numbers in the data set.
        seed: of the white noise.
        generator: turns it into noise of another distribution; `None` leaves it white.
    """
    _, channels, height, width = images.shape
    more = generator.kernel - 1 if generator is not None else 0
    white = Noise(seed, index.to(images.device)).normal(channels, height + more, width + more)
    made: Tensor = white if generator is None else generator(white)
    return made - made.mean(dim=(2, 3), keepdim=True)


def distance_along(model: nn.Module, images: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
    """How far each image goes along its noise, clipped to [0, 1], until the answer is wrong.

    The noise grows 1.8 times at a step until the network errs, and then 40 bisections between the
    last two steps find the distance.

    Args:
        model: takes images in [0, 1].
        images: float32 [N, C, H, W], on the device of the network.
        labels: int64 [N].
        noise: of the shape of the images; its length does not matter.

    Returns:
        Euclidean distance, float64 [N]: 0 where the network is wrong without noise, infinite where
        it is right in any amount of it.
    """
    length = noise.flatten(1).square().mean(dim=1).sqrt().view(-1, 1, 1, 1)
    unit = noise / length.clamp_min(torch.finfo(noise.dtype).tiny)  # no noise leads nowhere
    rms = _least_rms(model, images, labels, unit)
    moved = rms.isfinite() & (rms > 0)
    away = _shown(images[moved], unit[moved], rms[moved]).double() - images[moved].double()
    distance = rms.double()
    distance[moved] = away.flatten(1).norm(dim=1)
    return distance


def _least_rms(model: nn.Module, images: Tensor, labels: Tensor, unit: Tensor) -> Tensor:
    """Of the noise before clipping, [N]: the least that was found to mislead the network."""

    def is_wrong(places: Tensor, rms: Tensor) -> Tensor:
        shown = _shown(images[places], unit[places], rms[places])
        return predict(model, shown).argmax(1) != labels[places]

    right = torch.zeros(len(images), device=images.device)
    wrong = torch.full_like(right, torch.inf)
    everyone = torch.arange(len(images), device=images.device)
    wrong[is_wrong(everyone, right)] = 0.0
    for step in range(_COARSE_STEPS):
        places = wrong.isinf().nonzero().squeeze(1)
        if not len(places):
            break
        tried = torch.full_like(right, _FIRST_RMS * _GROWTH**step)
        _note(places, is_wrong(places, tried), tried, right, wrong)
    places = (wrong.isfinite() & (wrong > 0)).nonzero().squeeze(1)
    for _ in range(_BISECTIONS if len(places) else 0):
        tried = (right + wrong) / 2
        _note(places, is_wrong(places, tried), tried, right, wrong)
    return wrong


def _note(places: Tensor, is_wrong: Tensor, tried: Tensor, right: Tensor, wrong: Tensor) -> None:
    """Move the bounds of the images that were shown."""
    wrong[places[is_wrong]] = tried[places[is_wrong]]
    right[places[~is_wrong]] = tried[places[~is_wrong]]


def _shown(images: Tensor, unit: Tensor, rms: Tensor) -> Tensor:
    return (images + rms.view(-1, 1, 1, 1) * unit).clamp_(0.0, 1.0)
