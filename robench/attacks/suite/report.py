"""Reports of attack suites: the result of `minimal_l2`."""

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
    """Result of one attack of the suite alone, with one gradient source or restart.

    Attributes:
        attack: its name, as in ``robench list attacks``, and its `version`.
        params: all of its parameters.
        view: source of its gradients: ``"own"``, ``"smoothed"``, or a surrogate's name.
        is_refinement: whether it started from the closest adversarials of all other attacks, so
            that its distance is never longer than theirs.
        distance: float64 [N]; 0 for misclassified images, infinite where nothing was found.
        distance_on_ray: the same after bisection along the ray, float64 [N].
        optimality: of `distance_on_ray`, see `robench.attacks.evaluation.optimality`; `None` if no
            attack found anything.
        wins: share of the correctly classified images for which it was closest; `None` if there are
            none.
        forwards: forward passes that each image cost, bisection included, int64 [N].
        backwards: backward passes that each image cost, int64 [N].
        allowed: query budget per image in passes, bisection included; `None` for no limit.
        seconds: wall-clock time without the bisection.
        out_of_bounds: number of images for which it returned a point outside the box or not finite.
        error: how it failed, or `None`. Adversarials found before the failure count.
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
    """Cost of the checks that need further attacks; their results are among the flags.

    Attributes:
        images: number of images that were checked.
        passes_per_image: forward and backward passes of each image, int64 [N]; 0 for images that
            were not checked.
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

    ``print(report)`` summarises it on one screen. Tensors are on the device of the images. Two
    reports are equal if everything but the wall-clock times is.

    Attributes:
        distance: Euclidean, float64 [N]: 0 for misclassified images, infinite where nothing was
            found.
        adversarial: float32 [N, C, H, W] or [N, F]; the image itself where there is none.
        margin: difference of the largest logit and that of the label at the adversarial, as a
            fraction of the median margin of the clean images, float64 [N]; 0 where there is none.
        winner: for each image the attack that was closest, or ``"misclassified"``, ``"none"``, or
            ``"reference"``: no attack found a verified point, and the distance is that of the
            nearest image of another class after bisection.
        passes: forward and backward passes that the attacks cost each image, int64 [N]. Those of
            the checks are in `check_passes`; verification is not counted.
        allowed: query budget per image of the suite with these views; `None` for no limit.
        correct: whether the image is classified correctly, bool [N].
        norm: Euclidean norm of each image, float64 [N].
        flags: symptoms of a failed evaluation, such as gradient masking, by name.
        attacks: result of each attack of the suite alone; ``"ddn@tanh"`` used the gradients of the
            surrogate ``tanh``, ``"ddn#2"`` is the second restart.
        views: gradient sources that were used, the network's own first.
        checks: cost of further checks, or `None` if the suite has none.
        suite: name and version, such as ``"l2-quick/1"``.
        seed: seed of all random numbers.
        box: whether adversarials had to lie in [0, 1].
        notes: further remarks for the reader.
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
        """Write the report to one safetensors file, atomically.

        Raises:
            StoreError: the file cannot be written.
        """
        from robench.attacks.suite.stored import save_report

        save_report(self, Path(path))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> AttackReport:
        """Read a report that `save` wrote, onto the CPU. It uses no pickle and executes no code.

        Raises:
            StoreError: there is no such file, it is no attack report, or it is damaged.
        """
        from robench.attacks.suite.stored import load_report

        return load_report(Path(path))

    @property
    def raised(self) -> tuple[str, ...]:
        """Names of the flags that are raised."""
        return tuple(name for name, flag in self.flags.items() if flag.raised)
