"""How much noise a trained network bears, of the kind that is worst for it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from robench.data.base import to_float
from robench.spec import Cell, Metric, seed_for
from robench.spec.distortion import ADVERSARIAL_NOISE
from robench.stages.base import Context, Outcome
from robench.stages.declarations.worst_noise import ResolvedWorstNoiseOptions
from robench.stages.network import trained_network
from robench.stats.resampling import median_figure
from robench.training.evaluate import predict
from robench.training.noise_level import NoiseTally
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

    The generator learns with noise of the level that the suite gives, or else of that of the data
    set. At that level the record counts the images that are blank, and those whose noise is short.

    Raises:
        NotApplicableError: the network has no gradient by its images.
        InputError: the training images give noise no level.
    """
    options = cell.options_as(ResolvedWorstNoiseOptions)
    network, seed = trained_network(cell, context), cell.seed_for("evaluate")
    tally = NoiseTally.of(options.rms, images=context.data.train.images)
    rms = tally.rms
    generator = trained_generator(
        network,
        context.data.train,
        kernel=ADVERSARIAL_NOISE[options.generator],
        rms=rms,
        steps=options.steps,
        seed=seed_for(seed, "generator"),
    )
    test = context.data.test.first(options.samples)
    images = to_float(test.images.to(context.device))
    labels = test.labels.to(context.device)
    metrics, arrays, counted = [], {}, {}
    for name, source in (("worst", generator), ("white", None)):
        noise = noise_for(images, test.index, seed_for(seed, "noise"), source)
        distance = distance_along(network, images, labels, noise).cpu().numpy()
        arrays[f"distance_{name}"] = distance
        metrics.append(_median(f"{name}_noise_l2", distance))
        shown = at_distance(images, noise, rms * math.sqrt(images[0].numel()))
        counted[name] = replace(tally)
        counted[name].see(images, shown)
        correct = int((predict(network, shown).argmax(1) == labels).sum())
        metrics.append(Metric.share("accuracy", correct, len(test), noise=name, noise_rms=rms))
    return Outcome(
        metrics=tuple(metrics),
        details={
            "generator": options.generator,
            "steps": options.steps,
            "rms": rms,
            "noise": {name: of.notes() for name, of in counted.items()},
            "flags": counted["worst"].flags(),
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
