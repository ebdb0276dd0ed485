"""The front door of all attacks: it checks the inputs and verifies every result.

An attack is one class in one file:

    class Straight(Attack):
        \"\"\"Walk against the gradient of the own class.\"\"\"    # what `robench list` shows

        name = "straight"

        def run(self, oracle: Oracle) -> Tensor:
            own = oracle.labels[:, None]
            points = oracle.images
            for _ in range(100):
                _, gradient = oracle.gradient(
                    points, oracle.rows, lambda logits: logits.gather(1, own)[:, 0]
                )
                points = oracle.clip(points - 0.01 * gradient)
            return points

Nothing else is needed. "Front door" is the code in this file that every attack is called through.
It passes only correctly classified images to the attack, records the closest adversarial of every
query, clips points to the box, queries the model again at the returned points, and decides success
and measures distances itself.
"""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from pydantic import BaseModel
from torch import Tensor

from robench.attacks.core import watchdog
from robench.attacks.core.equality import EqualByValue
from robench.attacks.core.inputs import AttackInputs, check_inputs, within_bounds
from robench.attacks.core.judge import judge_all
from robench.attacks.core.network import Classifier, without_autocast
from robench.attacks.core.oracle import BudgetExhaustedError, Oracle
from robench.attacks.core.watchdog import SilentError, ended_when_silent
from robench.errors import AttackError
from robench.spec.base import Frozen
from robench.spec.params import check_params_schema, parse_params

__all__ = ["Attack", "AttackResult", "check_plugin"]


@dataclass(frozen=True, eq=False)
class AttackResult(EqualByValue):
    """The verified result of one attack.

    Attributes:
        adversarial: float32 [N, ...]; the image itself where nothing was found or needed.
        distance: Euclidean, float64 [N]; 0 for misclassified images, infinite where nothing was
            found.
        forwards: forward passes that each image cost, int64 [N]; 0 if misclassified.
        backwards: backward passes that each image cost, int64 [N].
        seconds: wall-clock time.
        error: how the attack failed, or `None`. Adversarials found before the failure count.
        out_of_bounds: the attack returned a point outside the box or one that is not finite, bool
            [N]; points outside the box are clipped, points that are not finite are dropped.
        surest: the adversarial with the largest margin that was seen, float32 [N, ...], not
            verified; the image itself where there is none. `None` once it is no longer needed.
    """

    adversarial: Tensor
    distance: Tensor
    forwards: Tensor
    backwards: Tensor
    seconds: float = field(compare=False)
    error: str | None
    out_of_bounds: Tensor
    surest: Tensor | None = field(default=None, compare=False)

    @property
    def success(self) -> Tensor:
        """Whether the image is misclassified, before or after the attack, bool [N]."""
        return self.distance.isfinite()

    @property
    def passes(self) -> Tensor:
        """Forward and backward passes that each image cost, int64 [N]."""
        return self.forwards + self.backwards

    @classmethod
    def join(cls, parts: Sequence[AttackResult]) -> AttackResult:
        """Concatenate the results of consecutive batches."""
        return cls(
            adversarial=torch.cat([part.adversarial for part in parts]),
            distance=torch.cat([part.distance for part in parts]),
            forwards=torch.cat([part.forwards for part in parts]),
            backwards=torch.cat([part.backwards for part in parts]),
            seconds=sum(part.seconds for part in parts),
            error=next((part.error for part in parts if part.error), None),
            out_of_bounds=torch.cat([part.out_of_bounds for part in parts]),
        )  # the surest points only serve where the parts are verified

    def to(self, device: torch.device) -> AttackResult:
        """The same with its tensors on another device."""
        return AttackResult(
            adversarial=self.adversarial.to(device),
            distance=self.distance.to(device),
            forwards=self.forwards.to(device),
            backwards=self.backwards.to(device),
            seconds=self.seconds,
            error=self.error,
            out_of_bounds=self.out_of_bounds.to(device),
        )


class Attack(ABC):
    """A minimum-norm attack: a search for the closest adversarial in Euclidean distance.

    Subclasses set `name`, may set `version` and `Params`, and fill `run`.

    Args:
        **params: the parameters that differ from the defaults of `Params`.

    Raises:
        ParameterError: an unknown parameter, or a value out of its range.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Increase it with every change that changes a distance."""
    Params: ClassVar[type[BaseModel]] = Frozen

    def __init__(self, **params: object) -> None:
        self.params: Any = parse_params(f"attack {self.name!r}", self.Params, params)

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.params)
        return f"{self.name}({given})"

    @abstractmethod
    def run(self, oracle: Oracle, /) -> Tensor:
        """Search, and return the points that were found, [n, ...] for `oracle.images` [n, ...].

        A returned point need not be adversarial, nor the closest one: the oracle records the
        closest adversarial of all queries. The result for an image must not depend on the other
        images in the batch.
        """

    @final
    @torch.inference_mode(False)
    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        box: bool = True,
        limit: int | None = None,
        seed: int = 0,
        references: Tensor | None = None,
        transferred: Tensor | None = None,
        batch_size: int | None = None,
    ) -> AttackResult:
        """Attack some images.

        Args:
            model: a module in evaluation mode or a function, deterministic, from [0, 1] to logits
                of at least two classes.
            images: float32 [N, C, H, W] or [N, F], in [0, 1].
            labels: integers [N]; `None` uses the predicted classes, so that every image is
                attacked until the *estimated* class changes.
            box: whether adversarials must lie in [0, 1].
            limit: query budget: forward and backward passes per image; `None` for no limit.
            seed: seed of all random numbers; it is combined with each image's pixels.
            references: images of other classes to start from, [M, ...]; `None` takes `images`.
            transferred: adversarials of a source model for the same images, [N, ...]; used by the
                attack `transfer`, which finds nothing without them.
            batch_size: images attacked at a time; `None` derives it from their size. It bounds the
                memory. It changes results only through rounding, which some attacks (`alma`)
                amplify.

        Returns:
            Verified results, on the device of `images`.

        Raises:
            InputError: names what is wrong with the model, the images or the labels.
            AttackError: the attack raised.
        """
        inputs = check_inputs(
            model,
            images,
            labels,
            references=references,
            transferred=transferred,
            box=box,
            seed=seed,
            batch_size=batch_size,
        )
        with without_autocast(inputs.images.device):
            parts = [self.attack(part, limit=limit) for part in inputs.split()]
        result = AttackResult.join(parts)
        if result.error is not None:
            raise AttackError(f"the attack {self.name!r} {result.error}", where=repr(self))
        return result.to(images.device)

    @final
    def attack(self, inputs: AttackInputs, *, limit: int | None = None) -> AttackResult:
        """Attack all images in one batch; an error of the attack is recorded, not raised.

        Args:
            inputs: what `check_inputs` returned, or a part of it.
            limit: query budget: forward and backward passes per image; `None` for no limit.
        """
        started = time.perf_counter()
        forwards, backwards = torch.zeros_like(inputs.labels), torch.zeros_like(inputs.labels)
        adversarial = inputs.images.clone()
        distance = torch.zeros(len(adversarial), dtype=torch.float64, device=adversarial.device)
        out_of_bounds = torch.zeros_like(inputs.correct)
        surest = inputs.images.clone()
        error = None
        rows = inputs.correct.nonzero().flatten()
        if len(rows):
            part = inputs.select(rows)
            oracle = Oracle(part, limit=limit)
            points, error = self._search(oracle)
            out_of_bounds[rows] = ~within_bounds(points, box=part.box)
            adversarial[rows], distance[rows] = judge_all(part, oracle, points)
            forwards[rows], backwards[rows] = oracle.forwards, oracle.backwards
            surest[rows] = oracle.surest
        seconds = time.perf_counter() - started
        return AttackResult(
            adversarial, distance, forwards, backwards, seconds, error, out_of_bounds, surest
        )

    def _search(self, oracle: Oracle) -> tuple[Tensor, str | None]:
        """The points that `run` returned (else the images), and its error message or `None`."""
        try:
            with ended_when_silent(oracle, watchdog.PATIENCE_S):
                points = self.run(oracle)
            if not isinstance(points, Tensor) or points.shape != oracle.images.shape:
                shape = getattr(points, "shape", type(points).__name__)
                raise AttackError(f"it returned {shape} for images {tuple(oracle.images.shape)}")
            return points.detach().to(oracle.images), None
        except BudgetExhaustedError:
            return oracle.images, None
        except SilentError:
            return oracle.images, f"made no query for {watchdog.PATIENCE_S:g} s and was aborted"
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it is recorded
            return oracle.images, f"raised {type(error).__name__}: {error}"


def check_plugin(value: object) -> str | None:
    """Why `value` is not an attack, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, Attack):
        return "it is not a subclass of robench.Attack"
    if inspect.isabstract(value):
        return "it does not fill `run(self, oracle)`"
    for door in ("__call__", "attack"):
        if getattr(value, door) is not getattr(Attack, door):
            return f"it replaces `{door}`: only robench judges what an attack found"
    try:
        inspect.signature(value.run).bind(None, None)
    except TypeError:
        return "its `run` does not take (self, oracle)"
    return check_params_schema(value)
