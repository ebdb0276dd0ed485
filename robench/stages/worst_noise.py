"""How much noise a trained network bears, of the kind that is worst for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from robench.attacks.resampling import median_figure
from robench.data.base import to_float
from robench.spec import Cell, Metric, ResolvedWorstNoiseOptions, seed_for
from robench.spec.distortion import ADVERSARIAL_NOISE
from robench.stages.base import Context, Outcome
from robench.stages.network import trained_network
from robench.training.evaluate import predict
from robench.training.projection import at_distance
from robench.training.worst_noise import distance_along, noise_for, trained_generator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["worst_noise"]


def worst_noise(cell: Cell, context: Context) -> Outcome:
    """The distance at which noise misleads the network, image by image.

    A generator is trained against the finished network on training images, and each test image is
    pushed along one draw of its noise until the answer is wrong; beside it along white noise, which
    the generator starts as: where the two are alike, it has learnt nothing.

    Raises:
        NotApplicableError: the network has no gradient by its images.
    """
    options = ResolvedWorstNoiseOptions.model_validate(cell.options)
    network, seed = trained_network(cell, context), cell.seed_for("evaluate")
    generator = trained_generator(
        network,
        context.data.train,
        kernel=ADVERSARIAL_NOISE[options.generator],
        rms=options.rms,
        steps=options.steps,
        seed=seed_for(seed, "generator"),
    )
    test = context.data.test.first(options.samples)
    images = to_float(test.images.to(context.device))
    labels = test.labels.to(context.device)
    metrics, arrays = [], {}
    for name, source in (("worst", generator), ("white", None)):
        noise = noise_for(images, test.index, seed_for(seed, "noise"), source)
        distance = distance_along(network, images, labels, noise).cpu().numpy()
        arrays[f"distance_{name}"] = distance
        metrics.append(_median(f"{name}_noise_l2", distance))
        shown = at_distance(images, noise, options.rms * math.sqrt(images[0].numel()))
        correct = int((predict(network, shown).argmax(1) == labels).sum())
        metrics.append(
            Metric.share("accuracy", correct, len(test), noise=name, noise_rms=options.rms)
        )
    return Outcome(
        metrics=tuple(metrics),
        details={
            "generator": options.generator,
            "steps": options.steps,
            "rms": options.rms,
            "images_misled": {
                name.removeprefix("distance_"): int(((of > 0) & (of < math.inf)).sum())
                for name, of in arrays.items()
            },
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            "generator": torch.cat([part.flatten() for part in generator.parameters()])
            .cpu()
            .numpy(),
            **arrays,
        },
    )


def _median(name: str, distance: NDArray[np.float64]) -> Metric:
    """Over the images that are classified correctly, with an interval over them."""
    of_correct = distance[distance > 0]
    value, low, high = (
        bound if math.isfinite(bound) else None for bound in median_figure(of_correct)
    )
    return Metric(name=name, value=value, n=len(of_correct), low=low, high=high)
