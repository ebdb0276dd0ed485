"""Verification of adversarials under other conditions, to exclude those due to rounding.

Anyone can check what an evaluation claims, with one forward pass and no attack:

    claim = robench.attacks.verify_claim(model, images, labels, adversarial, distance)
    claim.holds.all(), print(claim)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.attacks.core.equality import EqualByValue
from robench.attacks.core.inputs import check_inputs, is_wrong, outputs_in_batches, within_bounds
from robench.attacks.core.judge import distances
from robench.attacks.core.losses import logit_margin
from robench.attacks.core.network import AttackedModel, Classifier
from robench.errors import InputError

__all__ = ["Claim", "Verifier", "verify_claim"]

_OTHER_BATCH = 8
"""Batch size of the verification: kernels for small batches sum in another order."""
_ROUNDING = 1e-6
"""Relative tolerance of stored distances, which may be in float32."""


class Verifier:
    """Checks adversarials with another batch size and in double precision.

    Points very close to the boundary may be adversarial in one batch and not in another. A point
    is accepted only if float32 in small batches and float64 agree that the class has changed. A
    network that computes in half precision, or decides by ties of saturated outputs, is a different
    function in float64: its points are verified in its own precision, with two batch sizes.

    Args:
        model: the attacked model.
        example: images that the model accepts, [N, ...].
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._model = model if isinstance(model, AttackedModel) else AttackedModel(model)
        self._double = self._model.in_double()
        if self._double is not None:
            try:
                outputs_in_batches(self._double, example[:1].double(), 1)
            except Exception:  # noqa: BLE001 - a model may refuse float64 in any way it likes
                self._double = None

    @property
    def in_double(self) -> bool:
        """Whether the model runs in float64; if not, its own precision is used."""
        return self._double is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the verification, for the reader."""
        notes = []
        if self._model.precision.is_low:
            notes.append(
                "the model computes in half precision: points were checked in that, with two "
                "batch sizes, and not in float64"
            )
        elif self._model.decides_by_ties:
            notes.append(
                "saturated answers of the model tie, and its decision is the first of the tied "
                "classes: points were checked in its own precision alone"
            )
        elif not self.in_double:
            notes.append(
                "the model does not run in float64: points were checked in its own precision alone"
            )
        return tuple(notes)

    def holds(
        self, labels: Tensor, points: Tensor, *, box: bool = True, smallest_margin: float = 0.0
    ) -> Tensor:
        """Which points are adversarial for images of these classes, bool [n].

        Args:
            labels: int64 [n].
            points: float32 [n, ...].
            box: whether they must lie in [0, 1].
            smallest_margin: by how much another logit must exceed that of the class.
        """
        return within_bounds(points, box=box) & self.is_fooled(labels, points, smallest_margin)

    def is_fooled(self, labels: Tensor, points: Tensor, smallest_margin: float = 0.0) -> Tensor:
        """Whether the answer is wrong in small batches and in float64, bool [n]."""
        batch_size = _OTHER_BATCH if len(points) > _OTHER_BATCH else 1
        answers = [outputs_in_batches(self._model, points, batch_size)]
        if self._double is not None:
            answers.append(outputs_in_batches(self._double, points.double(), 4 * _OTHER_BATCH))
        else:
            answers.append(outputs_in_batches(self._model, points, 4 * _OTHER_BATCH))
        fooled = [
            is_wrong(logits, labels) & (-logit_margin(logits, labels) >= smallest_margin)
            for logits in answers
        ]
        return torch.stack(fooled).all(dim=0)


@dataclass(frozen=True, eq=False)
class Claim(EqualByValue):
    """What holds of a claim that some points are adversarial, and how far they are.

    Attributes:
        holds: for each image, whether all of the following is true, bool [N].
        is_fooled: the model's answer is wrong, in small batches and in float64, bool [N]. Where the
            claim is that nothing was found, there is nothing to check, and it is true.
        in_bounds: the point is finite and, where there is a box, inside it, bool [N].
        is_as_far: the claimed distance is that of the point, computed in float64, to a millionth;
            for a misclassified image 0, at the image itself, bool [N].
        distance: of the points, Euclidean, float64 [N]; infinite where the claim is that nothing
            was found.
        notes: what else a reader must know.
    """

    holds: Tensor
    is_fooled: Tensor
    in_bounds: Tensor
    is_as_far: Tensor
    distance: Tensor
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        faults = (
            ("do not change the answer", ~self.is_fooled),
            ("are out of bounds", ~self.in_bounds),
            ("are not as far as claimed", ~self.is_as_far),
        )
        told = [f"{int(wrong.sum())} {what}" for what, wrong in faults if wrong.any()]
        counted = f"{int(self.holds.sum())} of {len(self.holds)} points hold"
        return "; ".join([counted, *told, *self.notes])


@torch.inference_mode(False)
def verify_claim(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    adversarial: Tensor,
    distance: Tensor,
    *,
    box: bool = True,
    allow_stochastic: bool = False,
) -> Claim:
    """Check somebody's adversarials: no attack is run.

    Args:
        model: a module in evaluation mode or a function, deterministic, from [0, 1] to logits of at
            least two classes.
        images: float32 [N, C, H, W] or [N, F], in [0, 1].
        labels: integers [N].
        adversarial: the claimed points, of the shape of `images`; the image itself where the claim
            is that it is misclassified, or that nothing was found.
        distance: the claimed Euclidean distances, [N]: 0 for misclassified images, infinite where
            nothing was found.
        box: whether adversarials must lie in [0, 1].
        allow_stochastic: whether to check a model whose logits depend on chance.

    Raises:
        InputError: names what is wrong with the model, the images, the labels or the claim.
    """
    inputs = check_inputs(model, images, labels, allow_stochastic=allow_stochastic)
    _check_claim(images, adversarial, distance)
    points = adversarial.detach().to(inputs.images)
    claimed = distance.detach().to(points.device, torch.float64)
    verifier = Verifier(inputs.model, inputs.images)
    nothing = claimed == torch.inf
    true = distances(inputs.images, points).masked_fill(nothing, torch.inf)
    checks = {
        "is_fooled": nothing | verifier.is_fooled(inputs.labels, points),
        "in_bounds": within_bounds(points, box=box),
        "is_as_far": nothing | ((claimed - true).abs() <= _ROUNDING * true),
    }
    holds = torch.stack(list(checks.values())).all(dim=0)
    outcome = {key: value.to(images.device) for key, value in checks.items()}
    return Claim(
        holds=holds.to(images.device),
        distance=true.to(images.device),
        notes=verifier.notes,
        **outcome,
    )


def _check_claim(images: Tensor, adversarial: Tensor, distance: Tensor) -> None:
    if not isinstance(adversarial, Tensor) or adversarial.shape != images.shape:
        raise InputError(
            f"the adversarials are {_form(adversarial)}", allowed=f"a tensor {tuple(images.shape)}"
        )
    if not isinstance(distance, Tensor) or distance.shape != images.shape[:1]:
        raise InputError(
            f"the distances are {_form(distance)}", allowed=f"a tensor [{len(images)}]"
        )


def _form(value: object) -> object:
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
