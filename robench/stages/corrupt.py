"""Show a trained network the common corruptions, made here or read from the published files."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from robench.data.base import Split, to_float
from robench.data.corrupted import corrupted_files
from robench.data.loading import data_root
from robench.degradations import corruptions
from robench.degradations.corruptions import COMMON, CORRUPTIONS, Constants, obstacle
from robench.degradations.corruptions.library import INSTALL_HINT, library_versions
from robench.degradations.corruptions.native import NATIVE_VERSION
from robench.errors import DataError, NotApplicableError, PluginError, UnknownNameError
from robench.measure.corruption_error import mean_corruption_error
from robench.reference.hendrycks2019 import ALEXNET_CLEAN_ERROR, ALEXNET_ERRORS
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.declarations.corrupt import CorruptOptions, ResolvedCorruptOptions
from robench.stages.graded import GradedAnswers, over_levels, parts_of
from robench.stages.network import trained_network
from robench.stages.quality import quality
from robench.training.evaluate import predict

if TYPE_CHECKING:
    from pathlib import Path

    from robench.data.base import Data

__all__ = ["corrupt", "resolve"]

_SMALL_SIDE = 64
"""Images of up to so many pixels get the constants of CIFAR-10-C."""
_KEPT_BYTES = 1 << 18
"""Corrupted images are kept for the next network if those of one severity are no larger."""


def corrupt(cell: Cell, context: Context) -> Outcome:
    """Accuracy and answers at each severity of each kind, on the same images for everyone.

    Raises:
        NotApplicableError: these images can bear none of the kinds.
        PluginError: a package is missing that would corrupt them.
        DataError: the published files are missing, or not those of this data set.
    """
    options = cell.options_as(ResolvedCorruptOptions)
    _check(options)
    test = context.data.test.first(options.samples)
    network = trained_network(cell, context)
    answers = GradedAnswers(network, context.data.outputs)
    (clean,) = quality(context.data, predict(network, test.images), test, "_clean")
    metrics = [clean]
    errors: dict[str, float] = {}
    shown: Split | None = None
    for kind in options.kinds:
        accuracies = []
        for severity in options.severities:
            shown = _shown(kind, severity, options, cell, context)
            condition: dict[str, str | float] = {
                "kind": kind,
                "severity": severity,
                "images": options.origin,
            }
            found = tuple(
                answers.show([shown.images], shown.labels, f"{kind} {severity}", **condition)
            )
            accuracies.append(found[0].value or 0.0)
            metrics += found
        errors[kind] = 1 - sum(accuracies) / len(accuracies)
        # The clean image stands before the first severity.
        steps, curve = (0, *options.severities), (clean.value or 0.0, *accuracies)
        metrics += over_levels(kind, steps, curve, len(test), images=options.origin)
    metrics += _summary(errors, clean, options, context.data)
    last = shown or test
    return Outcome(
        metrics=tuple(metrics),
        details={
            "conditions": answers.conditions,
            "origin": options.origin,
            # A mean over other kinds than the fifteen common ones is another mean.
            "kinds": {
                "shown": len(errors),
                "common_shown": len(set(COMMON) & errors.keys()),
                "common": len(COMMON),
            },
            "left_out": options.left_out,
        },
        arrays={"index": last.index.numpy(), "label": last.labels.numpy(), **answers.arrays()},
    )


def resolve(asked: CorruptOptions, data: Data, root: Path | None) -> ResolvedCorruptOptions:
    """What a suite asks for, with everything that can change the figures.

    What is missing is noted, not raised: each row then says so, and the rest of the suite runs.

    Args:
        asked: from the suite.
        data: whose test images are corrupted.
        root: the folder of data sets.

    Raises:
        UnknownNameError: a kind that does not exist.
    """
    if asked.images == "stored":
        return _resolve_stored(asked, data, root)
    constants = _constants(asked, data)
    wanted = {"common": COMMON, "all": tuple(CORRUPTIONS)}.get(str(asked.kinds), asked.kinds)
    obstacles = {kind: obstacle(kind, constants, data.input_shape) for kind in wanted}
    named = "ImageNet-C" if constants == "imagenet-c" else "CIFAR-10-C"
    versions = _versions(constants)
    return ResolvedCorruptOptions(
        origin=f"generated, constants of {named}",
        images="generated",
        constants=constants,
        kinds=tuple(kind for kind in wanted if obstacles[kind] is None),
        severities=asked.severities,
        samples=asked.samples,
        left_out={kind: why for kind, why in obstacles.items() if why is not None},
        made_by=versions,
        missing=None if versions else "imagecorruptions-imaug",
    )


def _constants(asked: CorruptOptions, data: Data) -> Constants:
    if asked.constants != "auto":
        return asked.constants
    return "cifar-10-c" if max(data.input_shape[1:]) <= _SMALL_SIDE else "imagenet-c"


def _versions(constants: Constants) -> dict[str, str]:
    """Of what makes the pixels; empty where the package is not there."""
    if constants == "imagenet-c":
        return library_versions()
    return {"native": str(NATIVE_VERSION), "pillow": importlib.metadata.version("pillow")}


def _resolve_stored(asked: CorruptOptions, data: Data, root: Path | None) -> ResolvedCorruptOptions:
    try:
        files = corrupted_files(data.name, data_root(root), asked.path)
    except DataError as error:
        return ResolvedCorruptOptions(
            origin="stored",
            images="stored",
            path=asked.path,
            kinds=(),
            severities=asked.severities,
            samples=asked.samples,
            missing=str(error),
        )
    there = tuple(kind for kind in files.kinds() if kind != "identity")
    kinds = there if isinstance(asked.kinds, str) else asked.kinds
    # MNIST-C has kinds of its own; of the others, the four extra kinds are not to be reported.
    if asked.kinds == "common" and set(COMMON) & set(there) and files.name != "MNIST-C":
        kinds = tuple(kind for kind in COMMON if kind in there)
    for kind in kinds:
        if kind not in there:
            raise UnknownNameError(f"corruption in {files.name}", kind, there)
    graded = files.severities() != (0,)
    return ResolvedCorruptOptions(
        origin=f"files of {files.name}",
        images="stored",
        path=asked.path,
        kinds=kinds,
        severities=asked.severities if graded else (0,),
        samples=asked.samples,
        # Version 1 took a level at half accuracy from files of a single strength.
        made_by={files.name: files.fingerprint(), **({} if graded else {"summary": "2"})},
    )


def _check(options: ResolvedCorruptOptions) -> None:
    if options.missing is not None and options.images == "stored":
        what, *rest = options.missing.splitlines()
        raise DataError(what, hint="; ".join(line.strip() for line in rest))
    if options.missing is not None:
        raise PluginError(
            f"the package {options.missing} is not installed, and images of this size are "
            "corrupted by it",
            hint=f"{INSTALL_HINT}, and run the suite again",
        )
    if not options.kinds:
        reasons = "; ".join(f"{kind}: {why}" for kind, why in options.left_out.items())
        raise NotApplicableError(f"these images can bear none of the corruptions ({reasons})")


def _shown(
    kind: str, severity: int, options: ResolvedCorruptOptions, cell: Cell, context: Context
) -> Split:
    """The corrupted images, as uint8, with their labels."""
    data = context.data
    if options.images == "stored":
        files = corrupted_files(data.name, data_root(context.data_root), options.path)
        return files.load(kind, severity, data, options.samples)
    test = data.test.first(options.samples)
    is_small = test.images.numel() <= _KEPT_BYTES
    make = _kept if is_small else _generated
    constants: Constants = "imagenet-c" if options.constants == "imagenet-c" else "cifar-10-c"
    images = make(data, kind, severity, constants, options.samples, cell.seed_for("evaluate"))
    return Split(images, test.labels, test.index)


def _generated(
    data: Data, kind: str, severity: int, constants: Constants, samples: int | None, seed: int
) -> torch.Tensor:
    test = data.test.first(samples)
    made = torch.empty_like(test.images)
    for part in parts_of(test.images):
        shown = corruptions.corrupt(
            # On the CPU, where the library and Pillow work; the rest takes little time there too.
            to_float(test.images[part]),
            kind,
            severity,
            seed=seed,
            index=test.index[part],
            constants=constants,
        )
        made[part] = shown.mul_(255).round_().to(torch.uint8)
    return made


_kept = lru_cache(maxsize=256)(_generated)


def _summary(
    errors: Mapping[str, float], clean: Metric, options: ResolvedCorruptOptions, data: Data
) -> Iterator[Metric]:
    """The mean error; and the mCE, where everything is as it was defined."""
    condition: dict[str, str | float] = {"images": options.origin, "kinds": len(errors)}
    mean = sum(errors.values()) / len(errors)
    yield Metric(name="corrupted_error", value=mean, n=clean.n, condition=condition)
    is_as_published = (
        options.origin == "files of ImageNet-C"
        and set(COMMON) <= errors.keys()
        and sorted(options.severities) == [1, 2, 3, 4, 5]
        and len(data.classes) == 1000
    )
    if is_as_published:
        common = {kind: errors[kind] for kind in COMMON}
        condition = {"images": options.origin, "reference": "AlexNet"}
        value = mean_corruption_error(common, ALEXNET_ERRORS)
        yield Metric(name="mce", value=value, n=clean.n, condition=condition)
        relative = mean_corruption_error(
            common,
            ALEXNET_ERRORS,
            clean_error=1 - (clean.value or 0.0),
            reference_clean_error=ALEXNET_CLEAN_ERROR,
        )
        yield Metric(name="relative_mce", value=relative, n=clean.n, condition=condition)
