"""What `minimal_l2` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from robench.attacks.flags import Flag

__all__ = ["AttackReport", "MemberReport"]


@dataclass(frozen=True)
class MemberReport:
    """What one attack of the suite found by itself.

    Attributes:
        distance: float64 [N]; 0 for misclassified images, infinite where nothing was found.
        distance_on_ray: the same after bisection along the ray, float64 [N].
        forwards: passes of the model that each image cost, bisection included, int64 [N].
        backwards: passes of its derivative, int64 [N].
        seconds: wall-clock time without the bisection.
        error: what the attack raised, or `None`.
    """

    distance: Tensor
    distance_on_ray: Tensor
    forwards: Tensor
    backwards: Tensor
    seconds: float
    error: str | None


@dataclass(frozen=True)
class AttackReport:
    """The closest verified adversarial of each image, over all attacks of a suite.

    Tensors are on the device of the images.

    Attributes:
        distance: Euclidean, float64 [N]: 0 for misclassified images, infinite where nothing was
            found.
        adversarial: float32 [N, C, H, W] or [N, F]; the image itself where there is none.
        winner: for each image the attack that came closest, or ``"misclassified"`` or ``"none"``.
        passes: forward and backward passes that each image cost, int64 [N]. Checks are not billed.
        correct: whether the model puts the image in its class, bool [N].
        norm: Euclidean length of each image, float64 [N].
        flags: signs that these figures must not be trusted, by name.
        attacks: what each attack of the suite found by itself.
        suite: name and version, such as ``"l2-quick/1"``.
        seed: of everything random.
        box: whether adversarials had to lie in [0, 1].
        notes: what else a reader must know.
    """

    distance: Tensor
    adversarial: Tensor
    winner: tuple[str, ...]
    passes: Tensor
    correct: Tensor
    norm: Tensor
    flags: Mapping[str, Flag]
    attacks: Mapping[str, MemberReport]
    suite: str
    seed: int
    box: bool
    notes: tuple[str, ...] = ()

    @property
    def raised(self) -> tuple[str, ...]:
        """Names of the flags that are raised."""
        return tuple(name for name, flag in self.flags.items() if flag.raised)
