"""Calling a method's hooks, so that a fault in one is told in terms of the method's own file."""

from __future__ import annotations

import inspect
import traceback
from typing import TYPE_CHECKING

from torch import Tensor

from robench.errors import NotApplicableError, TrainingError, message_of
from robench.methods.base import Method

if TYPE_CHECKING:
    from torch import nn

    from robench.data.base import Data
    from robench.methods.base import TrainState

__all__ = ["call_hook", "check_supports", "overrides", "penalty_of"]


def overrides(method: Method, hook: str) -> bool:
    """Whether the method fills that hook."""
    return getattr(type(method), hook) is not getattr(Method, hook)


def call_hook(method: Method, hook: str, state: TrainState) -> object:
    """What ``method.hook(state)`` returns.

    Raises:
        NotApplicableError: the hook raised it: a row, not a failure.
        TrainingError: the hook raised something else; names method, hook, step, and the line in the
            method's file.
    """
    return _call(method, hook, state, at=f" at step {state.step}")


def check_supports(method: Method, model: nn.Module, data: Data) -> None:
    """Ask the method whether it applies.

    Raises:
        NotApplicableError: it does not; says why.
        TrainingError: it raised.
    """
    answer = _call(method, "supports", model, data)
    if answer is not True:
        raise NotApplicableError(f"method {method.name!r} does not apply here: {answer}")


def penalty_of(method: Method, state: TrainState) -> Tensor | None:
    """What the method adds to the loss.

    Raises:
        TrainingError: it raised, or returned something other than a scalar with a gradient.
    """
    term = call_hook(method, "penalty", state)
    if term is None:
        return None
    if not isinstance(term, Tensor) or term.dim() != 0:
        form = f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else term
        raise TrainingError(
            f"method {method.name!r} returned {form!s} from penalty() at step {state.step}",
            allowed="a scalar tensor, or None",
        )
    if not term.requires_grad and float(term) != 0:  # a constant moves no weight, NaN hides there
        raise TrainingError(
            f"method {method.name!r} returned a penalty without a gradient at step {state.step}, "
            f"{float(term):g}, which cannot change any weight",
            allowed="a scalar tensor computed from the weights, or None",
            hint="leave out .data, .detach(), .item() and torch.no_grad() on the way",
        )
    return term


def _call(method: Method, name: str, *arguments: object, at: str = "") -> object:
    try:
        return getattr(method, name)(*arguments)
    except (NotApplicableError, TrainingError, MemoryError):
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        # An interrupt and the end of a cell's time are no faults of the method, and pass.
        raise TrainingError(
            f"method {method.name!r} raised {type(error).__name__} in {name}(){at}: "
            f"{message_of(error)}",
            where=_line_in_plugin(method, error),
            hint="mend the method; `robench show CELL` shows the end of the traceback",
        ) from error


def _line_in_plugin(method: Method, error: BaseException) -> str | None:
    """File and line of the deepest frame in a file that the method's classes come from."""
    own = [kind for kind in type(method).__mro__ if issubclass(kind, Method) and kind is not Method]
    files = {inspect.getsourcefile(kind) for kind in own}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
