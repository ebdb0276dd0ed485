"""Inputs of an attack (model, images, labels and rules), checked once before it runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robench.attacks.core.losses import logit_margin
from robench.attacks.core.network import AttackedModel, Classifier, as_module, device_of, fenced
from robench.errors import InputError

__all__ = [
    "BOX_TOLERANCE",
    "AttackInputs",
    "check_inputs",
    "is_wrong",
    "outputs_in_batches",
    "within_bounds",
]

BOX_TOLERANCE = 1e-6
"""Tolerance for pixels outside [0, 1]: rounding of a normalisation undone in float32."""
STABLE_WITHIN = 1e-4
"""Largest relative change of the logits between two passes of a deterministic model."""
PASSES, PROBED = 5, 64
"""Number of passes, and of images, for the check that the model is deterministic."""
SOUND_MARGINS = (0.1, 100.0)
"""Range of median logit margins that are not rescaled; others are rescaled to about 1."""
BATCH_ELEMENTS = 2**18
"""Pixels in one batch if no batch size is given: 1024 digits, 334 images of MNIST, 85 of
CIFAR-10. Larger batches waste less time between operations, until their activations fill memory."""


@dataclass(frozen=True, eq=False)
class AttackInputs:
    """The images, the model under attack, and the rules.

    Attributes:
        network: the network as given, in evaluation mode.
        model: the wrapped network that attacks and checks query: float32 in and out, with the
            logits before a final softmax or sigmoid, rescaled if they are extremely small or large.
            It always predicts the same class as the network.
        images: float32 [N, C, H, W] or [N, F], in [0, 1].
        labels: int64 [N], the classes to leave.
        logits: logits of the images, [N, classes].
        references: further images, some of other classes, to start from, [M, ...].
        reference_classes: int64 [M], the classes that the model predicts for them.
        box: whether adversarials must lie in [0, 1].
        seed: seed of all random numbers.
        batch_size: images attacked at a time.
        is_probabilistic: whether the network ends in a softmax or the like, so that the logits
            before it are attacked.
        saturated: for each image, whether its probabilities are so close to 0 and 1 that the logits
            could not be recovered, bool [N].
        margin: median absolute margin of the clean logits, before rescaling.
        factor: factor by which the logits are rescaled for the attacks: a power of two, so that
            rounding does not change their order; 1 for logits of usual size.
        instability: largest relative change of the logits between passes over the same images.
        transferred: adversarials of a source model for the same images, [N, ...], or `None`.
        surrogate_passes: surrogate passes per gradient; 0 where the model has its own gradient.
        starts: where searches begin, [N, ...]; `None` for the images themselves.
        found: adversarials known already, from which an attack continues, [N, ...]; the image
            itself where there is none. `None` if no image has one.
    """

    network: nn.Module
    model: nn.Module
    images: Tensor
    labels: Tensor
    logits: Tensor
    references: Tensor
    reference_classes: Tensor
    box: bool
    seed: int
    batch_size: int
    is_probabilistic: bool
    saturated: Tensor
    margin: float
    factor: float
    instability: float
    transferred: Tensor | None = None
    surrogate_passes: int = 0
    starts: Tensor | None = None
    found: Tensor | None = None

    @property
    def correct(self) -> Tensor:
        """Which images are classified correctly, bool [N]; only these are attacked."""
        return self.logits.argmax(dim=1) == self.labels

    @property
    def unit(self) -> float:
        """Median absolute margin of the clean logits after rescaling; 1 if it is zero."""
        return self.margin * self.factor or 1.0

    def select(self, rows: Tensor) -> AttackInputs:
        """The same inputs for some of the images."""
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            logits=self.logits[rows],
            saturated=self.saturated[rows],
            transferred=_rows_of(self.transferred, rows),
            starts=_rows_of(self.starts, rows),
            found=_rows_of(self.found, rows),
        )

    def split(self) -> Iterator[AttackInputs]:
        """The same inputs in consecutive batches."""
        every = torch.arange(len(self.images), device=self.images.device)
        return (self.select(rows) for rows in torch.split(every, self.batch_size))


def _rows_of(points: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if points is None else points[rows]


def check_inputs(
    model: Classifier,
    images: Tensor,
    labels: Tensor | None,
    *,
    references: Tensor | None = None,
    transferred: Tensor | None = None,
    box: bool = True,
    seed: int = 0,
    batch_size: int | None = None,
    allow_stochastic: bool = False,
) -> AttackInputs:
    """Check everything that an attack relies on.

    Args:
        model: a module in evaluation mode or a function, deterministic, from [0, 1] to logits of at
            least two classes. It may compute in another type than float32.
        images: float32 [N, C, H, W] or [N, F], in [0, 1].
        labels: integers [N]; `None` takes what the model answers, so that every image is attacked
            until the *estimated* class changes, as in the paper on DeepFool.
        references: more images, to start from; `None` takes `images`.
        transferred: adversarials of another network for the same images, [N, ...].
        box: whether adversarials must lie in [0, 1].
        seed: of everything random.
        batch_size: images attacked at a time; `None` derives it from their size.
        allow_stochastic: whether to attack a model whose logits depend on chance.

    Raises:
        InputError: names what is wrong, how often, and where first.
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}", allowed="whole numbers from 1")
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}", allowed="whole numbers from 0 to 2**63 - 1")
    network = as_module(model)
    _check_mode(network)
    _check_images(images, "images")
    batch_size = batch_size or min(max(BATCH_ELEMENTS // images[0].numel(), 64), 1024)
    device = device_of(network, images)
    # A copy: an attack may not touch the caller's images, and rounding is cut off at the box.
    images_in_box = images.detach().to(device).clamp(0, 1)
    seen, answered = fenced(network, images_in_box, batch_size)
    _check_logits(answered)
    instability = _instability(seen, images_in_box[:PROBED])
    if instability > STABLE_WITHIN and not allow_stochastic:
        raise _is_stochastic(instability)
    logits = outputs_in_batches(seen, images_in_box, batch_size)
    answers = logits.argmax(dim=1)
    labels = answers if labels is None else _checked_labels(labels, logits).to(device)
    median_margin = logit_margin(logits, labels).abs().median().item()
    factor = _factor(median_margin)
    if factor != 1:
        seen, logits = seen.rescaled(factor), logits * factor

    if references is None:
        starts, classes = images_in_box, answers
    else:
        _check_images(references, "references")
        _check_same_shape("references", references.shape[1:], images.shape[1:])
        starts = references.detach().to(device).clamp(0, 1)
        classes = outputs_in_batches(seen, starts, batch_size).argmax(dim=1)
    if transferred is not None:
        _check_images(transferred, "transferred")
        _check_same_shape("transferred", transferred.shape, images.shape)
        transferred = transferred.detach().to(device).clamp(0, 1)
    return AttackInputs(
        network=network,
        model=seen,
        images=images_in_box,
        labels=labels,
        logits=logits,
        references=starts,
        reference_classes=classes,
        box=box,
        seed=seed,
        batch_size=batch_size,
        is_probabilistic=seen.readout.squashed,
        saturated=torch.cat([seen.saturated(p) for p in torch.split(images_in_box, batch_size)]),
        margin=median_margin,
        factor=factor,
        instability=instability,
        transferred=transferred,
    )


def outputs_in_batches(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """What the model answers, [N, classes], without gradients."""
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(images, batch_size)])


def within_bounds(points: Tensor, *, box: bool) -> Tensor:
    """Whether a point is finite and, where there is a box, inside it, bool [n]."""
    inside = points.isfinite()
    if box:
        inside &= (points >= -BOX_TOLERANCE) & (points <= 1 + BOX_TOLERANCE)
    return inside.flatten(1).all(dim=1)


def is_wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the largest logit is finite and not that of the label, bool [n]."""
    largest = logits.max(dim=1)  # NaN if any logit is
    return largest.values.isfinite() & (largest.indices != labels)


def _check_mode(model: nn.Module) -> None:
    training = [name or "the model itself" for name, m in model.named_modules() if m.training]
    if training:
        raise InputError(
            f"{len(training)} modules are in training mode, for instance {training[0]}",
            hint="call model.eval() first",
        )


def _check_images(images: Tensor, what: str) -> None:
    if not isinstance(images, Tensor):
        raise InputError(f"{what} is a {type(images).__name__}", allowed="torch.Tensor")
    if images.dtype != torch.float32:
        raise InputError(
            f"{what} has the type {images.dtype}",
            allowed="torch.float32 in [0, 1]",
            hint="robench.data.base.to_float turns stored images into these",
        )
    if images.dim() not in (2, 4) or images.numel() == 0:
        raise InputError(
            f"{what} has the shape {tuple(images.shape)}",
            allowed="[N, C, H, W] or [N, features], none of them zero",
        )
    outside = (images < -BOX_TOLERANCE) | (images > 1 + BOX_TOLERANCE) | ~images.isfinite()
    if outside.any():
        rows = outside.flatten(1).any(dim=1).nonzero().flatten()
        value = images[outside][0].item()
        raise InputError(
            f"{len(rows)} of {len(images)} {what} leave [0, 1], first {what}[{rows[0]}] by the "
            f"value {value:g}",
            allowed="finite values in [0, 1]",
            hint="normalisation belongs inside the model",
        )


def _check_same_shape(what: str, shape: torch.Size, expected: torch.Size) -> None:
    if shape != expected:
        raise InputError(
            f"{what} have the shape {tuple(shape)}, images {tuple(expected)}",
            allowed="the same shape",
        )


def _check_logits(logits: Tensor) -> None:
    count = len(logits)
    if logits.shape[1] < 2:
        raise InputError(
            f"the model returns the shape {tuple(logits.shape)} for {count} images",
            allowed="[N, classes] with at least two classes",
        )
    broken = (~logits.isfinite()).any(dim=1).nonzero().flatten()
    if len(broken):
        raise InputError(
            f"the model answers {len(broken)} of {count} clean images with NaN or infinity, "
            f"first images[{broken[0]}]",
            hint="look for NaN in its weights; training may have diverged",
        )


def _checked_labels(labels: Tensor, logits: Tensor) -> Tensor:
    if not isinstance(labels, Tensor) or labels.shape != logits.shape[:1]:
        shape = tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels are {shape}", allowed=f"an integer tensor [{len(logits)}]")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise InputError(f"labels have the type {labels.dtype}", allowed="integers")
    classes = logits.shape[1]
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise InputError(
            f"{len(wrong)} labels are not classes of the model, for instance {wrong[0].item()}",
            allowed=f"0 … {classes - 1}",
        )
    return labels.to(torch.int64)


def _instability(model: AttackedModel, images: Tensor) -> float:
    with torch.no_grad():
        passes = torch.stack([model.answers(images).double() for _ in range(PASSES)])
    size = passes.abs().amax().clamp_min(torch.finfo().tiny)
    return ((passes - passes[0]).abs().amax() / size).nan_to_num().item()


def _factor(median_margin: float) -> float:
    """What brings an extreme margin near to 1; a usual one stays as it is."""
    is_usual = SOUND_MARGINS[0] <= median_margin <= SOUND_MARGINS[1]
    return 1.0 if is_usual or median_margin == 0 else 2.0 ** -round(math.log2(median_margin))


def _is_stochastic(instability: float) -> InputError:
    return InputError(
        f"the model is stochastic: its logits change by {instability:.2g} of their size "
        "between two passes over the same images",
        allowed=f"at most {STABLE_WITHIN:g}",
        hint="switch dropout and noise off, or fix their seed inside the model; "
        "allow_stochastic=True attacks it all the same, and raises the flag 'mode'",
    )
