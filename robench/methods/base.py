"""The interface of a method, and what the training loop shows it.

A method is one class in one file:

    class Smallest(Method):
        \"\"\"Zero the smallest weights after training.\"\"\"    # what `robench list methods` shows

        name = "smallest"

        def finish(self, state: TrainState) -> None:
            state.masks = magnitude_masks(state.prunable, state.level)

That is all. The loop, not the method, owns the data, the optimiser, the schedule, the clock, the
re-application of masks and the last count of zeros. A method never sees validation or test data.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from robench.methods.masks import Masks
from robench.spec import GIVEN, is_given
from robench.spec.base import Frozen
from robench.spec.params import check_params_schema, parse_params

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel, JsonValue
    from torch import Tensor, nn

    from robench.data.base import Data, Task

__all__ = ["Method", "Structure", "TrainState", "check_plugin", "make"]

Structure = Literal["unstructured", "neuron", "filter", "channel", "shape", "layer"]
"""What a method removes as a whole: single weights, or everything of a neuron, a filter, …"""

HOOKS = ("prepare", "penalty", "after_backward", "after_step", "after_epoch", "finish")


@dataclass
class TrainState:
    """What a method may see and change while its network is trained.

    Attributes:
        model: the network, in training mode, on the device of the run.
        prunable: qualified name → weight, of every weight that counts towards the level.
        level: the requested share of prunable weights that are zero, in [0, 1).
        budget: optimiser steps of this phase; fixed.
        optimiser: the loop's; its state (momentum) may be edited, its settings are the recipe's.
        generator: the method's own source of random numbers, on the CPU.
        schedule: learning rate of step 0 … budget - 1.
        batches: see `train_batches`.
        masks: which weights survive. Empty at first, so that nothing is masked; a weight that is
            masked is zero after every step. Replace or edit it in any hook.
        task: what the outputs are: logits of classes, or one standardised number.
        donor: the masks that another method ended with, for a method that names one in
            `mask_source`.
        step: optimiser steps done.
        epoch: full passes over the training data done.
        native: the level that the method came to by itself, before `finish` brought the network to
            the level that was asked for. Set it in `finish` where counting exact zeros does not
            tell; `None` means that the loop counts them.
        notes: plain data that goes into the record: a path of λ, merges, a correlation.
    """

    model: nn.Module
    prunable: dict[str, nn.Parameter]
    level: float
    budget: int
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    schedule: Callable[[int], float]
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]]
    masks: Masks = field(default_factory=Masks)
    task: Task = "classification"
    donor: Masks | None = None
    step: int = 0
    epoch: int = 0
    native: float | None = None
    notes: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def learning_rate(self) -> float:
        """Of the present step."""
        return float(self.optimiser.param_groups[0]["lr"])

    @property
    def momentum(self) -> float:
        """Of SGD. Zero for Adam, whose running mean does not lengthen the steps."""
        return float(self.optimiser.param_groups[0].get("momentum", 0.0))

    @property
    def weight_decay(self) -> float:
        """Factor of the weights that the optimiser adds to the gradient."""
        return float(self.optimiser.param_groups[0]["weight_decay"])

    def train_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """A fresh pass over the training batches, for probing the network.

        Yields images in [0, 1], distorted as in training, and labels, in an order of its own: the
        order of the loop is not disturbed.
        """
        return self.batches()

    def add_parameters(self, parameters: Iterable[nn.Parameter]) -> None:
        """Have the loop train parameters that the method brought along.

        They get the learning rate, momentum and weight decay of the weights. Whatever was added to
        the network must be gone from it after `finish`.
        """
        self.optimiser.add_param_group({"params": list(parameters)})


_FORMER_NAMES = {"donor": "mask_source", "trains_once": "shares_training"}


class Method:
    """A way to make a network sparse: subclasses set the attributes and fill the hooks they need.

    An instance serves one run and may keep what it likes on itself. Hooks are called in this order:
    `prepare`, then for each step `penalty`, `after_backward`, `after_step`, after each full pass
    over the data `after_epoch`, and at last `finish`.

    Args:
        params: the method's parameters, kept untouched as `self.params`; `None` means the defaults.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it with every change that changes a figure."""
    structure: Structure = "unstructured"
    """Set it on the instance, in `__init__`, where it depends on the parameters."""
    starts_from: ClassVar[Literal["init", "dense"]] = "init"
    """Whether the run begins with initial weights or with those of the shared dense network."""
    shares_training: ClassVar[bool] = False
    """Whether one trained network serves all levels. It is then trained once, at level 0, and each
    level is `finish` alone, called on a fresh instance and a copy of that network; `finish` must
    neither need what the other hooks left on `self`, nor train."""
    Params: ClassVar[type[BaseModel]] = Frozen

    def __init_subclass__(cls, **options: Any) -> None:
        """Take the names of before 0.2, for one release."""
        super().__init_subclass__(**options)
        for old, new in _FORMER_NAMES.items():
            if old in cls.__dict__ and new not in cls.__dict__:
                warnings.warn(
                    f"{cls.__qualname__}.{old} is called {new} now; the old name goes with 0.3",
                    DeprecationWarning,
                    stacklevel=2,
                )
                setattr(cls, new, cls.__dict__[old])

    def __init__(self, params: BaseModel | None = None) -> None:
        self.params: Any = self.Params() if params is None else params

    def supports(self, _model: nn.Module, _data: Data, /) -> Literal[True] | str:
        """`True`, or the reason why the method has nothing to do on this network or data.

        The network is as it was before training; the data set's validation and test splits are
        empty.
        """
        return True

    def mask_source(self) -> str | None:
        """The name of the method whose masks this one wants to see in `state.donor`.

        It is then trained at the same level, and from the same start, as that method.
        """
        return None

    def prepare(self, state: TrainState, /) -> None:
        """Before the first step: choose masks, add parameters."""

    def penalty(self, state: TrainState, /) -> Tensor | None:
        """A scalar that is added to the loss, or `None`."""

    def after_backward(self, state: TrainState, /) -> None:
        """The gradients are there, the weights have not moved yet."""

    def after_step(self, state: TrainState, /) -> None:
        """The weights have moved; masks are in force again after this."""

    def after_epoch(self, state: TrainState, /) -> None:
        """A full pass over the training data is over."""

    def finish(self, state: TrainState, /) -> None:
        """After the last step: reach the level, leave the network as it was but for its values."""

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.params)
        return f"{self.name}({given})"


def make(
    method: str | type[Method], params: Mapping[str, object] | BaseModel | None = None
) -> Method:
    """A method for one run.

    Args:
        method: a name, as in ``robench list methods``, or a class.
        params: the parameters that differ from the method's defaults.

    Raises:
        UnknownNameError: there is no such method.
        ParameterError: an unknown parameter, or a value out of its range.
    """
    if isinstance(method, str):
        from robench.methods import METHODS

        method = METHODS.get(method)
    return method(parse_params(f"method {method.name!r}", method.Params, params))


def check_plugin(value: object) -> str | None:
    """Why `value` is not a method, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, Method):
        return "it is not a subclass of robench.Method"
    if value.structure not in get_args(Structure):
        allowed = ", ".join(get_args(Structure))
        return f"its `structure` is {value.structure!r}, not one of {allowed}"
    if value.starts_from not in ("init", "dense"):
        return f"its `starts_from` is {value.starts_from!r}, not 'init' or 'dense'"
    for hook in HOOKS:
        if not _takes_one_argument(getattr(value, hook)):
            return f"its `{hook}` does not take (self, state)"
    if is_given(getattr(value, "name", None)):
        return f"its `name` {GIVEN!r} stands for networks that robench did not train"
    return check_params_schema(value)


def _takes_one_argument(hook: object) -> bool:
    if not callable(hook):
        return False
    try:
        inspect.signature(hook).bind(None, None)
    except TypeError:
        return False
    return True
