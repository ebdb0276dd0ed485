"""From what a network returns to logits that an attack can follow.

A softmax or a sigmoid at the end saturates: behind it probabilities are exactly 0 or 1, their
gradients vanish, and the network looks robust (gradient masking). Where the network computes such a
step in Python, its input is read off as it runs: that are the logits. Else they are recovered from
the probabilities, in float64 where float32 has lost them. The *decision* is always that of the
network as given, the argmax of what it returns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = [
    "AsReturned",
    "BeforeLastStep",
    "Forward",
    "OfProbabilities",
    "Readout",
    "choose_readout",
    "with_decisions",
]

Forward: TypeAlias = Callable[[Tensor], Tensor]
"""From images [n, ...] to what the network returns, [n, classes]."""
Kind = Literal["softmax", "sigmoid"]

_SQUASHING = frozenset(
    {
        *("softmax", "sigmoid", "sigmoid_", "expit", "special_expit", "tanh", "tanh_"),
        *("exp", "exp_", "logsigmoid", "log_sigmoid"),
    }
)
"""Functions that keep the order of their inputs (softmax, within a row) and saturate."""
_PASSING = frozenset(
    {
        *("to", "type", "float", "double", "half", "bfloat16", "contiguous", "clone", "detach"),
        *("view", "reshape", "flatten", "squeeze", "clamp", "clip", "clamp_min", "clamp_max"),
    }
)
"""Functions that may follow: they keep the order too, or the shape alone changes."""
_FAR = 10.0
"""How far beyond the box probabilities must still be probabilities, to be taken for such."""
_ROUNDED = 1e-4
"""Beyond 1 minus this, a probability in float32 holds too few digits of its logit."""


@dataclass(frozen=True, eq=False)
class AsReturned:
    """The network returns logits, or something that is as good."""

    squashed: bool = False

    def __call__(self, forward: Forward, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the network returns, and the logits, both [n, classes]."""
        answers = forward(images)
        return answers, answers

    def saturated(self, forward: Forward, images: Tensor) -> Tensor:
        """For which images the logits are lost, bool [n]: for none."""
        del forward
        return torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def in_double(self) -> Readout:
        """The same for a copy of the network in float64."""
        return self


@dataclass(frozen=True, eq=False)
class BeforeLastStep(AsReturned):
    """The network ends in a squashing function: the logits are what enters it."""

    squashed: bool = True

    def __call__(self, forward: Forward, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the network returns, and what entered the last step, both [n, classes]."""
        with _Recorder() as recorder:
            answers = forward(images)
        entered = recorder.input_of(answers)
        return answers, answers if entered is None else entered


@dataclass(frozen=True, eq=False)
class OfProbabilities(AsReturned):
    """The network returns probabilities: the logits are recovered from them.

    Attributes:
        kind: of the function that seems to be its last one.
        double: a copy of the network in float64, whose probabilities are used; `None` for none.
    """

    squashed: bool = True
    kind: Kind = "softmax"
    double: nn.Module | None = None

    def __call__(self, forward: Forward, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the network returns, and logits, both [n, classes]."""
        answers = forward(images)
        exact = answers if self.double is None else self.double(images.double())
        return answers, _INVERSES[self.kind](exact)

    def saturated(self, forward: Forward, images: Tensor) -> Tensor:
        """Whose probabilities are too near to 0 and 1 to tell the logits, bool [n]."""
        answers = forward(images) if self.double is None else self.double(images.double())
        top, second = answers.topk(2, dim=1).values.unbind(dim=1)
        lost = second <= torch.finfo(answers.dtype).tiny
        if self.kind == "sigmoid":
            lost |= top >= 1 - torch.finfo(answers.dtype).eps
        return lost

    def in_double(self) -> Readout:
        """The same for a copy of the network in float64."""
        return OfProbabilities(kind=self.kind)


Readout: TypeAlias = AsReturned


def choose_readout(model: nn.Module, forward: Forward, images: Tensor, answers: Tensor) -> Readout:
    """How to get at the logits of a network.

    Args:
        model: the network.
        forward: runs it, in the type that it takes.
        images: clean ones, [n, ...].
        answers: what it returns for them, finite, [n, classes].
    """
    with torch.no_grad(), _Recorder() as recorder:
        again = forward(images)
    if _keeps_the_order(recorder.input_of(again), again):
        return BeforeLastStep()
    kind = _kind_of(forward, images, answers)
    if kind is None:
        return AsReturned()
    if _is_rounded(answers, kind):
        double = _double_of(model, images)
        if double is not None:
            return OfProbabilities(kind=kind, double=double)
    return OfProbabilities(kind=kind)


def with_decisions(logits: Tensor, answers: Tensor) -> Tensor:
    """The logits, in which the class that the network decides for is the largest one, [n, classes].

    Saturated answers tie, and the argmax takes the first of them, which need not be the class with
    the largest logit. That class is lifted just above the largest; gradients stay.

    Args:
        logits: [n, classes].
        answers: what the network returns, [n, classes].
    """
    decided = answers.argmax(dim=1, keepdim=True)
    values = logits.detach()
    top = values.amax(dim=1, keepdim=True)
    is_other = values.argmax(dim=1, keepdim=True) != decided
    # One step of float32 above the top, relative to the size of the logits, survives the rounding.
    goal = top + 1e-6 * top.abs().clamp_min(1)
    lift = torch.where(is_other, goal - values.gather(1, decided), torch.zeros_like(goal))
    lifted = logits.scatter_add(1, decided, lift)
    is_number = answers.isfinite().all(dim=1, keepdim=True)
    return torch.where(is_number, lifted, torch.full_like(lifted, torch.nan))


class _Recorder(TorchFunctionMode):
    """Remembers what entered every squashing function that is called."""

    def __init__(self) -> None:
        super().__init__()
        # By the id of the output; the output is kept, so that no id is used twice.
        self._steps: dict[int, tuple[str, Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in _SQUASHING and name not in _PASSING:
            return func(*args, **kwargs)
        entered = args[0] if args else kwargs.get("input")
        if name.endswith("_") and isinstance(entered, Tensor):
            entered = entered.clone()  # it is overwritten
        result = func(*args, **kwargs)
        if isinstance(entered, Tensor) and isinstance(result, Tensor) and result is not entered:
            self._steps[id(result)] = (name, entered, result)
        return result

    def input_of(self, answers: object) -> Tensor | None:
        """What entered the squashing function that gave the answers; `None` if none did."""
        current = answers
        while isinstance(current, Tensor) and id(current) in self._steps:
            name, entered, _ = self._steps[id(current)]
            if name in _SQUASHING:
                return _shaped_like(entered, answers)
            current = entered
        return None


def _shaped_like(entered: Tensor, answers: object) -> Tensor | None:
    if not isinstance(answers, Tensor) or entered.numel() != answers.numel():
        return None
    return entered.reshape(answers.shape)


def _keeps_the_order(entered: Tensor | None, answers: Tensor) -> bool:
    """Whether the largest logit is among the largest answers, in every row."""
    if entered is None or not entered.isfinite().all():
        return False
    chosen = answers.gather(1, entered.argmax(dim=1, keepdim=True))[:, 0]
    return bool((chosen == answers.amax(dim=1)).all())


def _kind_of(forward: Forward, images: Tensor, answers: Tensor) -> Kind | None:
    """What the answers look like, on the images and elsewhere; `None` for logits."""
    if not _in_unit_range(answers):
        return None
    sums_to_one = _sum_to_one(answers)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(images.shape, generator=generator).to(images)
    for probe in (1 - images, noise, _FAR * (2 * noise - 1)):
        with torch.no_grad():
            try:
                found = forward(probe)
            except (RuntimeError, ValueError, IndexError):  # it may refuse what lies out of range
                continue
        found = found[found.isfinite().all(dim=1)]
        if not _in_unit_range(found):
            return None
        sums_to_one &= _sum_to_one(found)
    return "softmax" if sums_to_one else "sigmoid"


def _in_unit_range(answers: Tensor) -> bool:
    return bool(((answers >= -1e-5) & (answers <= 1 + 1e-5)).all())


def _sum_to_one(answers: Tensor) -> bool:
    # The rounding of a sum in half precision is a few times its epsilon.
    tolerance = max(1e-4, 4 * torch.finfo(answers.dtype).eps)
    return bool(((answers.to(torch.float64).sum(dim=1) - 1).abs() < tolerance).all())


def _is_rounded(answers: Tensor, kind: Kind) -> bool:
    """Whether logits recovered from these would be coarse, or are lost."""
    smallest = 1e4 * torch.finfo(answers.dtype).tiny
    return bool(answers.amin() < smallest) or (
        kind == "sigmoid" and bool(answers.amax() > 1 - _ROUNDED)
    )


def _double_of(model: nn.Module, images: Tensor) -> nn.Module | None:
    """A copy in float64, if it runs."""
    try:
        double = copy.deepcopy(model).double()
        with torch.no_grad():
            answers = double(images[:1].double())
    except Exception:  # noqa: BLE001 - a model may refuse float64 in any way it likes
        return None
    return double if isinstance(answers, Tensor) and answers.dtype == torch.float64 else None


def _log(probabilities: Tensor) -> Tensor:
    """Logits up to a shift; an underflown probability counts as the smallest normal number."""
    precise = _at_least_single(probabilities)
    return precise.clamp_min(torch.finfo(precise.dtype).tiny).log()


def _log_odds(probabilities: Tensor) -> Tensor:
    precise = _at_least_single(probabilities)
    limits = torch.finfo(precise.dtype)
    return precise.clamp(limits.tiny, 1 - limits.eps / 2).logit()


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


_INVERSES: Mapping[Kind, Callable[[Tensor], Tensor]] = {"softmax": _log, "sigmoid": _log_odds}
