"""The network under attack, behind a fence.

Whatever a network is — a module or a function, in half, single or double precision, under autocast,
ending in a softmax, writing into its input — attacks and checks see one thing: float32 points go
in, float32 logits come out, and nothing that was handed over can be written through. Its decision
is never changed: the argmax of the logits is the argmax of what the network returns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import torch
from torch import Tensor, nn

from robench.attacks.core.mismatch import mismatch_of
from robench.attacks.core.readout import AsReturned, Readout, choose_readout, with_decisions
from robench.errors import InputError

__all__ = ["AttackedModel", "Classifier", "as_module", "device_of", "fenced", "without_autocast"]

Classifier: TypeAlias = "nn.Module | Callable[[Tensor], Tensor]"
"""A module in evaluation mode, or a function from images in [0, 1] to logits."""
_IMAGE, _MATRIX = 4, 2
"""Dimensions of images, and of logits."""


class FunctionModel(nn.Module):
    """A function as a module in evaluation mode.

    Args:
        function: from images [n, ...] to logits [n, classes].
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes]."""
        return self.function(images)


@dataclass(frozen=True)
class Precision:
    """In which type a network computes.

    Attributes:
        taken: type that its input must have; `None` for that of the points.
        autocast: type of the autocast around the evaluation; `None` where there is none.
        device_type: where the autocast applies.
        given: type of what it returns.
    """

    taken: torch.dtype | None = None
    autocast: torch.dtype | None = None
    device_type: str = "cpu"
    given: torch.dtype = torch.float32

    @property
    def is_low(self) -> bool:
        """Whether less than float32 decides about the class."""
        low = (torch.float16, torch.bfloat16)
        return self.given in low or self.taken in low or self.autocast is not None

    def around(self) -> AbstractContextManager[object]:
        """The autocast in which the network was given."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.autocast)


class AttackedModel(nn.Module):
    """A network as attacks and checks see it; see the module.

    Args:
        model: the network.
        precision: in which it computes.
        readout: how its logits are had.
        factor: above 0, a power of two: logits are multiplied by it, which changes no order.
    """

    def __init__(
        self,
        model: nn.Module,
        precision: Precision | None = None,
        readout: Readout | None = None,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.precision = precision or Precision()
        self.readout = readout or AsReturned()
        self.factor = factor
        self.decides_by_ties = False
        self.eval()

    def forward(self, points: Tensor) -> Tensor:
        """Logits [n, classes], of the type of the points.

        Args:
            points: float32, or float64 for a copy that is `in_double`, [n, ...].

        Raises:
            InputError: the network does not return one row of logits for each point.
        """
        answers, logits = self.readout(self._run, points)
        given = logits.dtype
        # A copy: some networks return the same memory at every call.
        logits = logits.to(points.dtype, copy=True)
        if self.readout.squashed or given == torch.float64 != points.dtype:
            logits = with_decisions(logits, answers)
        return logits * self.factor if self.factor != 1 else logits

    def answers(self, points: Tensor) -> Tensor:
        """What the network itself returns, [n, classes]."""
        return self._run(points).clone()

    def saturated(self, points: Tensor) -> Tensor:
        """Where the answers are so near to 0 and 1 that the logits are lost, bool [n]."""
        with torch.no_grad():
            return self.readout.saturated(self._run, points)

    def in_double(self) -> AttackedModel | None:
        """A copy in float64; `None` where its decision is one of a lower precision, or it fails."""
        if self.precision.is_low or self.decides_by_ties:
            return None
        try:
            double = copy.deepcopy(self.model).double()
        except Exception:  # noqa: BLE001 - a model may refuse to be copied in any way it likes
            return None
        return AttackedModel(double, Precision(), self.readout.in_double(), self.factor)

    def rescaled(self, factor: float) -> AttackedModel:
        """The same with logits of another size."""
        other = AttackedModel(self.model, self.precision, self.readout, factor)
        other.decides_by_ties = self.decides_by_ties
        return other

    def _run(self, points: Tensor) -> Tensor:
        # A copy: the network may write into its input.
        own = points.to(self.precision.taken or points.dtype, copy=True)
        with self.precision.around():
            answers = self.model(own)
        return _checked(answers, len(points))


def fenced(model: nn.Module, images: Tensor, batch_size: int) -> tuple[AttackedModel, Tensor]:
    """The network behind its fence, and what it returns for some images, [N, classes].

    Args:
        model: in evaluation mode.
        images: float32 [N, ...], in [0, 1].
        batch_size: images in one pass.

    Raises:
        InputError: the network cannot take such images, or does not return logits.
    """
    model = _differentiable(model)
    precision = _precision_of(model, images)
    plain = AttackedModel(model, precision)
    with torch.no_grad():
        answers = torch.cat([plain.answers(part) for part in torch.split(images, batch_size)])
    if answers.shape[1] < _MATRIX or not answers.isfinite().all():
        return plain, answers  # which is refused
    some = slice(batch_size)
    readout = choose_readout(model, plain.answers, images[some], answers[some])
    seen = AttackedModel(model, precision, readout)
    top, second = answers.topk(2, dim=1).values.unbind(dim=1)
    seen.decides_by_ties = readout.squashed and bool((top == second).any())
    return seen, answers


def as_module(model: object) -> nn.Module:
    """A module as it is, and any other callable as one.

    Raises:
        InputError: it cannot be called.
    """
    if isinstance(model, nn.Module):
        return model
    if not callable(model):
        raise InputError(
            f"the model is a {type(model).__name__}",
            allowed="torch.nn.Module, or a function from images to logits",
        )
    owner = getattr(model, "__self__", None)
    if isinstance(owner, nn.Module) and owner.training:
        raise InputError(
            f"the model is a method of a {type(owner).__name__} in training mode",
            hint="call its eval() first",
        )
    return FunctionModel(model)


def device_of(model: nn.Module, images: Tensor) -> torch.device:
    """Where the network computes: where its first parameter or buffer is, else the images.

    Raises:
        InputError: there are no values there.
    """
    owner = getattr(getattr(model, "function", None), "__self__", None)
    parts = [part for part in (model, owner) if isinstance(part, nn.Module)]
    tensors = chain.from_iterable(chain(part.parameters(), part.buffers()) for part in parts)
    device = next(tensors, images).device
    if device.type == "meta":
        raise InputError(
            "the model's parameters are on the device 'meta', which holds no values",
            hint="load its weights onto cpu or cuda",
        )
    return device


@contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """The arithmetic of attacks in the precision that they ask for; the network has its own."""
    if not torch.amp.is_autocast_available(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield


def _differentiable(model: nn.Module) -> nn.Module:
    """The network, or a copy where autograd refuses tensors made under `torch.inference_mode`."""
    tensors = chain(model.parameters(), model.buffers())
    return copy.deepcopy(model) if any(map(torch.is_inference, tensors)) else model


def _precision_of(model: nn.Module, images: Tensor) -> Precision:
    """The type that the network takes: float32 if it can, else that of its parameters."""
    device_type = images.device.type
    autocast = None
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        autocast = torch.get_autocast_dtype(device_type)
    of_model = [
        tensor.dtype
        for tensor in chain(model.parameters(), model.buffers())
        if tensor.is_floating_point()
    ]
    if isinstance(model, FunctionModel):
        of_model = [torch.bfloat16, torch.float16, torch.float64]  # its parameters are out of sight
    types = list(dict.fromkeys((torch.float32, *of_model)))
    for taken in types:
        precision = Precision(None if taken == torch.float32 else taken, autocast, device_type)
        try:
            with torch.no_grad():
                answers = AttackedModel(model, precision)._run(images[:1])
        except (InputError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if taken == types[-1]:
                raise _cannot_take(model, images, precision, error) from error
        else:
            return replace(precision, given=answers.dtype)
    raise AssertionError("unreachable")


def _cannot_take(
    model: nn.Module, images: Tensor, precision: Precision, error: Exception
) -> InputError:
    where, allowed = mismatch_of(model, images[:1].to(precision.taken or images.dtype))
    first_line = str(error).partition("\n")[0]
    return InputError(
        f"the model raises {type(error).__name__} for images [N, "
        f"{', '.join(map(str, images.shape[1:]))}]: {first_line}",
        where=where,
        allowed=allowed,
        hint="give it images as it was trained on: their channels, size and device must fit",
    )


def _checked(answers: object, count: int) -> Tensor:
    if not isinstance(answers, Tensor) or answers.dim() != _MATRIX:
        told = tuple(answers.shape) if isinstance(answers, Tensor) else type(answers).__name__
        raise InputError(
            f"the model returns {told}, not logits",
            allowed="one tensor of shape [N, classes]",
            hint="a function may pick it out: lambda images: model(images).logits",
        )
    if len(answers) != count:
        raise InputError(
            f"the model returns the shape {tuple(answers.shape)} for {count} images",
            allowed="[N, classes]",
        )
    if answers.is_complex():
        raise InputError(f"the model returns {answers.dtype}", allowed="real numbers")
    return answers if answers.is_floating_point() else answers.to(torch.float32)
