"""Training on noise that learns to mislead the network (ANT).

Rusak, Schott, Zimmermann, Bitterwolf, Bringmann, Bethge, Brendel 2020, *A simple way to make neural
networks robust against diverse image corruptions* (arXiv 2001.06057).
"""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.data.base import to_float
from robench.data.objective import objective
from robench.errors import NotApplicableError
from robench.models.layout import quick_layout
from robench.spec.distortion import ADVERSARIAL_NOISE
from robench.spec.identity import seed_for
from robench.training.distortion import check_images, clean_places
from robench.training.noise_level import NoiseTally
from robench.training.projection import at_distance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from robench.data.base import Split
    from robench.spec.distortion import Distortion

__all__ = [
    "ADVERSARIAL_NOISE_VERSION",
    "PUBLISHED_RMS",
    "AdversarialNoise",
    "NoiseGenerator",
    "Trainer",
    "check_gradient",
    "noisy",
    "retraining_rate",
]

ADVERSARIAL_NOISE_VERSION = 2
PUBLISHED_RMS = 135 / math.sqrt(224 * 224 * 3)
"""The published length of the noise, 135 for ImageNet's images, per value: about 0.348. It belongs
to ImageNet: other data sets have a level of their own, see `robench.training.noise_level`."""
_WIDTH = 20
_INITIAL_STD = 0.01
_CURRENT_SHARE = 0.6
"""Of the noisy images those whose noise is the present generator's; that of the others comes from
two that were drawn among the earlier ones."""
_ITERATIONS, _WAY = 1000, 0.5
"""A new generator has at most these steps before it is used, at the published rate of 5e-4. With
fewer the rate is so much higher that Adam, whose steps are as long as its rate, goes as far."""
_WAY_IN_PERIOD = 1e-4 * 18_286
"""Likewise beside the network: 1e-4 at each of 18,286 batches of 70, an epoch of ImageNet. Here the
highest rate ends it earlier in periods of less than 183 steps."""
_HIGHEST_RATE = 1e-2
_LEAST_ITERATIONS = 100
"""Steps of a new generator at the least, at a rate of 5e-3: on LeNet-5 they raised the loss as far
as the published thousand, 50 half as far, and 10 not at all."""
_PERIODS = 10
"""A run has so many generators, where an epoch is longer than that and a period not too short."""
_RETRAINING = 8
"""A new generator takes one step for so many steps of the network, or what it needs at least."""
_LEAST_PERIOD = _LEAST_ITERATIONS
"""Steps for which a generator is used: no fewer than it was trained for before."""


class NoiseGenerator(nn.Module):
    """Turns white noise into noise of another distribution, without a look at the image.

    Four convolutions of 20 channels with ReLU between them, beside the identity. All are of 1 x 1,
    so that the noise of each pixel is drawn apart from the others', but for the second one, which
    may be of 3 x 3. It starts as good as white.

    The mean of the noise over the pixels is taken away, channel by channel. Without, the noise that
    misleads most is one colour, which leads to a blank image where images are near black; it is of
    no shape that noise could have, and the mean of i.i.d. noise over an image is near zero anyway.

    Args:
        channels: of the images.
        kernel: 1 or 3, the width of the second convolution in pixels.
        seed: of the weights.
    """

    def __init__(self, channels: int, kernel: int = 1, *, seed: int = 0) -> None:
        super().__init__()
        self.channels, self.kernel = channels, kernel
        widths = (channels, _WIDTH, _WIDTH, _WIDTH, channels)
        kernels = (1, kernel, 1, 1)
        generator = torch.Generator().manual_seed(seed)
        shapes = [
            (out, into, k, k) for into, out, k in zip(widths, widths[1:], kernels, strict=False)
        ]
        self.weights = nn.ParameterList(
            torch.empty(shape).normal_(0.0, _INITIAL_STD, generator=generator) for shape in shapes
        )
        self.biases = nn.ParameterList(torch.zeros(shape[0]) for shape in shapes)

    def forward(self, white: Tensor) -> Tensor:
        """Noise [N, C, H, W] from white noise, [N, C, H + kernel - 1, W + kernel - 1]."""
        edge = self.kernel // 2
        hidden = white
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = _convolve(hidden if number == 0 else hidden.relu(), weight, bias)
        height, width = hidden.shape[2:]
        made = hidden + white[:, :, edge : edge + height, edge : edge + width]
        return made - made.mean(dim=(2, 3), keepdim=True)

    def white(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """White noise for a batch of images."""
        count, channels, height, width = images.shape
        more = self.kernel - 1
        return torch.randn(
            (count, channels, height + more, width + more),
            generator=generator,
            device=generator.device,
            dtype=images.dtype,
        ).to(images.device)


def _convolve(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Images [N, C, H, W] with their channels last in memory, as are those that come out."""
    if weight.shape[2] > 1:
        return nn.functional.conv2d(images, weight, bias)
    # A convolution of 1 x 1 is a product of matrices, which takes a CPU a fifth of the time.
    pixels = images.permute(0, 2, 3, 1)
    return nn.functional.linear(pixels, weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)


def noisy(images: Tensor, noise: NoiseGenerator, rms: float, random: torch.Generator) -> Tensor:
    """Images with a generator's noise, at its exact length; differentiable by its weights.

    Args:
        images: float [N, C, H, W] in [0, 1].
        noise: the generator.
        rms: root mean square of the noise over the values of an image, after clipping.
        random: source of the white noise.
    """
    made = noise(noise.white(images, random))
    return at_distance(images, made, rms * math.sqrt(images[0].numel()))


@dataclass
class Trainer:
    """Steps of a noise generator against a network.

    Attributes:
        model: the network, whose own gradients are not touched.
        noise: the generator.
        rms: root mean square of its noise.
        rate: of Adam.
        random: source of the white noise.
    """

    model: nn.Module
    noise: NoiseGenerator
    rms: float
    rate: float
    random: torch.Generator

    def __post_init__(self) -> None:
        self._optimiser = torch.optim.Adam(self.noise.parameters(), self.rate)
        self._layout = quick_layout(self.model)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step towards a larger loss of the network, which is in evaluation mode meanwhile.

        Returns:
            The noisy images that it was made on.
        """
        parameters = list(self.noise.parameters())
        with torch.enable_grad(), _evaluating(self.model):
            shown = noisy(images, self.noise, self.rms, self.random)
            loss = objective(self.model(self._layout(shown)), labels)
            gradients = torch.autograd.grad(-loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self._optimiser.step()
        return shown.detach()


class AdversarialNoise:
    """Noise for training images from a generator that is trained beside the network.

    At each step the generator moves towards a larger loss, on the images that its noise is meant
    for, and the network is trained on the same noisy images. After each period, an epoch or a tenth
    of the run if that is shorter, but never less than 100 steps, the generator is put by, a new one
    is trained from scratch against the network as it is, and goes on; two of those put by give
    their noise to four tenths of the noisy images, so that what was learnt is not forgotten.

    Args:
        distortion: which generator, the length of its noise (by default that of the data set, see
            `robench.training.noise_level.data_set_rms`), the clean share.
        seed: of everything random.
        model: the network that is trained.
        split: the training images, for new generators.
        batch_size: of the run.
        steps: of the run.

    Raises:
        NotApplicableError: the inputs are no images, or the network has no gradient by them.
    """

    def __init__(
        self,
        distortion: Distortion,
        seed: int,
        model: nn.Module,
        split: Split,
        *,
        batch_size: int,
        steps: int,
    ) -> None:
        check_images(split.images, distortion)
        self._distortion, self._seed, self._model, self._split = distortion, seed, model, split
        self.tally = NoiseTally.of(*distortion.levels, images=split.images)
        self._rms = self.tally.rms
        self._batch_size = min(batch_size, len(split))
        self._device = next(model.parameters()).device
        self._random = torch.Generator(self._device).manual_seed(seed_for(seed, "generator"))
        in_epoch = len(split) // self._batch_size
        self._period = max(_LEAST_PERIOD, min(in_epoch, math.ceil(steps / _PERIODS)))
        self._retraining = retraining_steps(self._period)
        self._earlier: list[NoiseGenerator] = []
        self._steps = 0
        self._trainer = self._renewed(_rate(_WAY_IN_PERIOD, self._period))
        check_gradient(model, *self._batch())

    def __call__(
        self, images: Tensor, labels: Tensor, index: Tensor, step: int, *, learns: bool
    ) -> Tensor:
        """See `robench.training.distortion.TrainingDistortion`."""
        if learns and self._steps and self._steps % self._period == 0:
            self._next_generator()
        self._steps += learns
        is_clean = clean_places(self._distortion, self._seed, index, step)
        to_change = (~is_clean).nonzero().squeeze(1)
        shown = images.clone()
        for places, generator in self._shared_out(to_change):
            if learns and generator is self._trainer.noise and len(places):
                shown[places] = self._trainer.step(images[places], labels[places])
                continue
            with torch.no_grad():
                shown[places] = noisy(images[places], generator, self._rms, self._random)
        if learns:
            self.tally.see(images[to_change], shown[to_change])
        return shown

    def _shared_out(self, places: Tensor) -> Iterator[tuple[Tensor, NoiseGenerator]]:
        """Which images get the noise of which generator."""
        if not self._earlier:
            yield places, self._trainer.noise
            return
        order = torch.randperm(len(places), generator=self._random, device=self._device)
        own, rest = places[order].tensor_split([round(_CURRENT_SHARE * len(places))])
        yield own, self._trainer.noise
        drawn = torch.randperm(len(self._earlier), generator=self._random, device=self._device)[
            :2
        ].tolist()
        parts = rest.tensor_split(len(drawn))
        yield from (
            (part, self._earlier[number]) for part, number in zip(parts, drawn, strict=True)
        )

    def _next_generator(self) -> None:
        self._earlier.append(copy.deepcopy(self._trainer.noise).requires_grad_(False))
        new = self._renewed(retraining_rate(self._retraining))
        for _ in range(self._retraining):
            new.step(*self._batch())
        self._trainer = self._with(new.noise, _rate(_WAY_IN_PERIOD, self._period))

    def _renewed(self, rate: float) -> Trainer:
        seed = seed_for(self._seed, "generator", len(self._earlier))
        kernel = ADVERSARIAL_NOISE[self._distortion.kinds[0]]
        new = NoiseGenerator(self._split.images.shape[1], kernel, seed=seed).to(self._device)
        return self._with(new, rate)

    def _with(self, noise: NoiseGenerator, rate: float) -> Trainer:
        return Trainer(self._model, noise, self._rms, rate, self._random)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """As many images as the present generator learns from at a step, and their labels."""
        share = _CURRENT_SHARE * (1 - self._distortion.clean_share)
        count = max(1, round(share * self._batch_size))
        chosen = torch.randint(
            len(self._split), (count,), generator=self._random, device=self._device
        ).to(self._split.images.device)
        images = to_float(self._split.images[chosen]).to(self._device)
        return images, self._split.labels[chosen].to(self._device)


def retraining_steps(period: int) -> int:
    """The steps of a new generator before it is used, for that many steps of the network."""
    return min(_ITERATIONS, max(_LEAST_ITERATIONS, period // _RETRAINING))


def retraining_rate(steps: int) -> float:
    """Adam's rate for a new generator that is trained for so many steps before it is used."""
    return _rate(_WAY, steps)


def _rate(way: float, steps: int) -> float:
    """What takes Adam as far in these steps."""
    return min(way / max(1, steps), _HIGHEST_RATE)


def check_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Refuse a network that no noise could learn to mislead.

    Raises:
        NotApplicableError: the loss has no gradient by the image.
    """
    leaf = images.clone().requires_grad_()
    with torch.enable_grad(), _evaluating(model):
        loss = objective(model(leaf), labels)
        gradient = None
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    if gradient is None or not bool(gradient.any()):
        raise _without_gradient(model)


def _without_gradient(model: nn.Module) -> NotApplicableError:
    return NotApplicableError(
        f"adversarial noise cannot learn: the loss of this {type(model).__name__} has no gradient "
        "by its images",
        hint="train on other noise, such as gaussian-noise, or give the network surrogate "
        "gradients",
    )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each part then has the mode back that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
