"""What `minimal_l2` gives back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robench.attacks.core.equality import EqualByValue
from robench.attacks.evaluation.flags import Flag
from robench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AttackReport", "CheckReport", "MemberReport"]


@dataclass(frozen=True, eq=False)
class MemberReport(EqualByValue):
    """What one attack of the suite found by itself, under one gradient view or restart.

    Attributes:
        attack: its name, as in ``robench list attacks``, and its `version`.
        params: all of its parameters.
        view: whose gradients it followed: ``"own"``, ``"smoothed"``, or a surrogate's name.
        is_refinement: it went on from the closest adversarials of all others, so that its distance
            is theirs too.
        distance: float64 [N]; 0 for misclassified images, infinite where nothing was found.
        distance_on_ray: the same after bisection along the ray, float64 [N].
        optimality: of `distance_on_ray`, see `robench.attacks.evaluation.optimality`; `None` where
        no attack
            found anything.
        wins: share of the images put in their class for which it came closest; `None` for none.
        forwards: passes of the model that each image cost, bisection included, int64 [N].
        backwards: passes of its derivative, int64 [N].
        allowed: passes that one image may cost, bisection included; `None` for no limit.
        seconds: wall-clock time without the bisection.
        out_of_bounds: images for which it returned a point outside the box, or none that is finite.
        error: how it failed, or `None`. What it had found by then counts.
    """

    attack: str
    version: int
    params: Mapping[str, object]
    view: str
    is_refinement: bool
    distance: Tensor
    distance_on_ray: Tensor
    optimality: float | None
    wins: float | None
    forwards: Tensor
    backwards: Tensor
    allowed: int | None
    seconds: float = field(compare=False)
    out_of_bounds: int
    error: str | None

    @property
    def passes(self) -> Tensor:
        """Forward and backward passes that each image cost, int64 [N]."""
        return self.forwards + self.backwards

    def to(self, device: torch.device) -> MemberReport:
        """The same with its tensors on another device."""
        return replace(
            self,
            distance=self.distance.to(device),
            distance_on_ray=self.distance_on_ray.to(device),
            forwards=self.forwards.to(device),
            backwards=self.backwards.to(device),
        )


@dataclass(frozen=True, eq=False)
class CheckReport(EqualByValue):
    """What the checks cost that need attacks of their own; their outcome is among the flags.

    Attributes:
        images: how many they ran on.
        passes_per_image: forward and backward passes of each image, int64 [N]; 0 for those that
            they did not run on.
        seconds: wall-clock time.
    """

    images: int
    passes_per_image: Tensor
    seconds: float = field(compare=False)

    @property
    def passes(self) -> int:
        """Forward and backward passes of all images together."""
        return int(self.passes_per_image.sum())

    def told(self) -> dict[str, int | float]:
        """Plain data for a record."""
        return {"images": self.images, "passes": self.passes, "seconds": self.seconds}

    def to(self, device: torch.device) -> CheckReport:
        """The same with its tensors on another device."""
        return replace(self, passes_per_image=self.passes_per_image.to(device))


@dataclass(frozen=True, eq=False, repr=False)
class AttackReport(EqualByValue):
    """The closest verified adversarial of each image, over all attacks of a suite.

    ``print(report)`` sums it up on one screen. Tensors are on the device of the images. Two reports
    are equal where all but the wall-clock times is.

    Attributes:
        distance: Euclidean, float64 [N]: 0 for misclassified images, infinite where nothing was
            found.
        adversarial: float32 [N, C, H, W] or [N, F]; the image itself where there is none.
        margin: by how much the logit of the class falls short of the largest at the adversarial, as
            a fraction of the median margin of the clean images, float64 [N]; 0 where there is none.
        winner: for each image the attack that came closest, or ``"misclassified"``, ``"none"``, or
            ``"reference"`` where no attack found a point that holds, and the distance is that of
            the nearest image of another class, brought nearer.
        passes: forward and backward passes that the attacks cost each image, int64 [N]. Those of
            the checks are told apart, in `check_passes`; verification is not counted.
        allowed: passes that the suite allows an image under these views; `None` for no limit.
        correct: whether the model puts the image in its class, bool [N].
        norm: Euclidean length of each image, float64 [N].
        flags: signs that these figures must not be trusted, by name.
        attacks: what each attack of the suite found by itself; ``"ddn@tanh"`` ran under the view
            ``tanh``, ``"ddn#2"`` is the second restart.
        views: whose gradients were followed, the network's own first.
        checks: what further checks cost, or `None` where the suite has none.
        suite: name and version, such as ``"l2-quick/1"``.
        seed: of everything random.
        box: whether adversarials had to lie in [0, 1].
        notes: what else a reader must know.
    """

    distance: Tensor
    adversarial: Tensor
    margin: Tensor
    winner: tuple[str, ...]
    passes: Tensor
    allowed: int | None
    correct: Tensor
    norm: Tensor
    flags: Mapping[str, Flag]
    attacks: Mapping[str, MemberReport]
    views: tuple[str, ...]
    checks: CheckReport | None
    suite: str
    seed: int
    box: bool
    notes: tuple[str, ...] = ()

    def to(self, device: torch.device) -> AttackReport:
        """The same with its tensors on another device."""
        return replace(
            self,
            distance=self.distance.to(device),
            adversarial=self.adversarial.to(device),
            margin=self.margin.to(device),
            passes=self.passes.to(device),
            correct=self.correct.to(device),
            norm=self.norm.to(device),
            attacks={key: member.to(device) for key, member in self.attacks.items()},
            checks=None if self.checks is None else self.checks.to(device),
        )

    def __repr__(self) -> str:
        return f"AttackReport({self.suite!r}, {len(self.distance)} images)"

    def __str__(self) -> str:
        from robench.attacks.suite.summary import summary_of

        return summary_of(self)

    @property
    def check_passes(self) -> Tensor:
        """Forward and backward passes that the checks of the suite cost each image, int64 [N]."""
        none = torch.zeros_like(self.passes)
        return none if self.checks is None else self.checks.passes_per_image

    def robust_accuracy(self, radius: float) -> float:
        """Robust accuracy at a radius: share of all images whose distance exceeds it, in [0, 1].

        Args:
            radius: Euclidean, from 0, where it is the clean accuracy.

        Raises:
            InputError: a radius below 0, or NaN.
        """
        if not radius >= 0:
            raise InputError(f"radius is {radius}", allowed="numbers from 0")
        return (self.distance > radius).to(torch.float64).mean().item()

    def accuracy_at(self, radius: float) -> float:
        """The former name of `robust_accuracy`; it will be removed in 0.3."""
        warnings.warn(
            "AttackReport.accuracy_at() is called robust_accuracy() now; the old name goes with "
            "0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.robust_accuracy(radius)

    def to_frame(self) -> pd.DataFrame:
        """One row an image, indexed by ``image``.

        Columns are ``correct``, ``distance``, ``winner``, ``margin``, ``norm``, ``passes`` of the
        attacks, ``check_passes`` of the checks, and for each attack by itself, after bisection,
        ``distance[NAME]``.
        """
        from robench.attacks.suite.summary import frame_of

        return frame_of(self)

    def save(self, path: str | Path) -> Path:
        """Write all of it to one safetensors file, whole or not at all.

        Raises:
            StoreError: the file cannot be written.
        """
        from robench.attacks.suite.stored import save_report

        save_report(self, Path(path))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> AttackReport:
        """Read what `save` wrote, onto the CPU. No pickle is read, and nothing in it is run.

        Raises:
            StoreError: there is no such file, it is no attack report, or it is damaged.
        """
        from robench.attacks.suite.stored import load_report

        return load_report(Path(path))

    @property
    def raised(self) -> tuple[str, ...]:
        """Names of the flags that are raised."""
        return tuple(name for name, flag in self.flags.items() if flag.raised)
