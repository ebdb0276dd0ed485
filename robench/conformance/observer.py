"""Looking over a method's shoulder while the loop trains with it.

The loop refuses what would spoil a result; the observer notes what the loop cannot see or need not
mind: a changed default type, a hook that stays behind, an optimiser step too many.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from robench.conformance import aspects
from robench.conformance.lines import LineWatch, line_now
from robench.methods.base import HOOKS, Method
from robench.models.base import prunable
from robench.training.hooks import overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from robench.conformance.aspects import Aspects
    from robench.methods.base import TrainState

__all__ = ["Fault", "Observer", "source_files"]

_PENALTIES_CHECKED = 3
"""Steps of a run in which the penalty is looked at."""
_ALWAYS_CALLED = {"supports", "penalty", "after_backward"}


@dataclass(frozen=True)
class Fault:
    """Something that a method did in a run and should not have done.

    Attributes:
        rule: the rule that forbids it.
        why: one line.
        hook: the hook that did it, or that ran last.
        where: file and line, where they are known.
        aspect: what changed, for finding the line in a second, slower run.
    """

    rule: str
    why: str
    hook: str
    where: str | None = None
    aspect: str = ""


class Observer:
    """Watches one method in one run.

    Args:
        method: made for this run; its hooks are replaced by watched ones.
        model: the network, before training.
        by_line: also find the line after which each aspect departed; much slower.
        strided: have `train_batches` yield inputs that are not contiguous.

    Attributes:
        faults: what was noticed, in order.
        hook: the hook that is running, or `None`.
        last_hook: the hook that ran last.
        batches: how many the method took of `train_batches`.
        forwards: how often the method sent a batch through the network.
        gradients: how often it did so for a gradient.
        raised: hook and exception, where a hook raised.
    """

    def __init__(
        self, method: Method, model: nn.Module, *, by_line: bool = False, strided: bool = False
    ) -> None:
        self.faults: list[Fault] = []
        self.hook: str | None = None
        self.last_hook = ""
        self.batches = 0
        self.forwards = 0
        self.gradients = 0
        self.raised: tuple[str, BaseException] | None = None
        self._kind = type(method)
        self._files = source_files(self._kind)
        self._model = model
        self._state: TrainState | None = None
        self._generator_at_start: Tensor | None = None
        self._finish_ended = False
        self._strided = strided
        self._penalties = 0
        self._own = {hook for hook in (*HOOKS, "supports") if overrides(method, hook)}
        for hook in self._own | _ALWAYS_CALLED:
            setattr(method, hook, self._watched(hook, getattr(method, hook)))
        self._start = self._lasting()
        self._pre_hook = model.register_forward_pre_hook(lambda *_: self._saw_forward())
        self._objects = {name: id(weight) for name, weight in prunable(model).items()}
        self.lines = LineWatch(self._files, self._everything) if by_line else None

    @property
    def is_finished(self) -> bool:
        """Whether training and `finish` are over."""
        state = self._state
        if "finish" in self._own:
            return self._finish_ended
        return state is not None and state.step == state.budget

    @property
    def is_drawing(self) -> bool:
        """Whether the method drew from its generator."""
        if self._state is None or self._generator_at_start is None:
            return False
        return not torch.equal(self._state.generator.get_state(), self._generator_at_start)

    @contextmanager
    def present(self) -> Iterator[None]:
        """Watch optimisers as well while the block runs; afterwards see what stayed behind."""
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        handle = register_optimizer_step_pre_hook(self._saw_step)
        try:
            yield
        finally:
            handle.remove()
            self._pre_hook.remove()
            if self.is_finished:
                self._compare_network()

    def note(self, rule: str, why: str, *, where: str | None = None, aspect: str = "") -> None:
        """Note a fault, each aspect of a rule once."""
        if not any(fault.rule == rule and fault.aspect == aspect for fault in self.faults):
            if where is None and self.lines is not None:
                where = self.lines.departures.get(aspect)
            self.faults.append(Fault(rule, why, self.last_hook, where, aspect))

    def looked_at(self, what: str) -> None:
        """The method asked for data; it may not while one of its hooks runs."""
        if self.hook is not None:
            why = f"{self.hook}() looked at {what}"
            self.note("no-peeking", why, where=line_now(self._files), aspect=what)

    # -- hooks ------------------------------------------------------------------------------------

    def _watched(self, hook: str, original: Callable[..., object]) -> Callable[..., object]:
        def watched(*arguments: object) -> object:
            if self.hook is not None:  # one hook calls another
                return original(*arguments)
            if hook != "supports":
                self._meet(cast("TrainState", arguments[0]))
            if hook not in self._own:
                return original(*arguments)
            with self._running(hook):
                answer = original(*arguments)
            self._finish_ended |= hook == "finish"
            if hook == "penalty" and isinstance(answer, torch.Tensor):
                self._check_penalty(answer)
            return answer

        return watched

    def _meet(self, state: TrainState) -> None:
        """See the state for the first time in this run."""
        if self._state is state:
            return
        self._state = state
        self._generator_at_start = state.generator.get_state()
        batches = state.batches

        def counted() -> Iterator[tuple[Tensor, Tensor]]:
            for images, labels in batches():
                self.batches += 1
                yield (strided(images) if self._strided else images), labels

        state.batches = counted

    @contextmanager
    def _running(self, hook: str) -> Iterator[None]:
        self.hook = self.last_hook = hook
        process = aspects.Process()
        before = self._passing(process.before)
        lines = self.lines
        try:
            if lines is None:
                yield
            else:
                with lines.watching({**self._start, **before, **self._objects}):
                    yield
        except BaseException as error:
            self.raised = (hook, error)
            raise
        finally:
            self._compare(hook, before)
            process.restore()
            if hook != "finish":
                aspects.restore_modes(self._model, before)
            self.hook = None

    def _compare(self, hook: str, before: Aspects) -> None:
        after = self._passing(aspects.Process.read())
        for name in before | after:
            if before.get(name) != after.get(name) and not name.startswith("the mask"):
                is_mode = name.startswith("the training mode")
                if is_mode and (hook == "finish" or name not in before or name not in after):
                    continue  # parts come and go; the loop itself ends in evaluation mode
                why = f"after {hook}(), {aspects.change(name, before, after)}"
                self.note(_rule_about(name), why, aspect=name)
        if complaint := after.get("the masks"):
            self.note("masks-in-order", f"after {hook}(): {complaint}", aspect="the masks")

    def _check_penalty(self, term: Tensor) -> None:
        """A penalty must be a number, and move something that is trained."""
        if self._penalties == _PENALTIES_CHECKED or self._state is None:
            return
        self._penalties += 1
        at = f"at step {self._state.step}, penalty()"
        if not bool(term.detach().isfinite().all()):
            self.note("penalty-counts", f"{at} is {float(term.detach()):g}", aspect="the value")
        elif not term.requires_grad:
            if bool(term.any()):
                why = f"{at} is {float(term):g} and has no gradient, so that it changes nothing"
                self.note("penalty-counts", why, aspect="the gradient")
        else:
            self._check_gradient_of(term, at)

    def _check_gradient_of(self, term: Tensor, at: str) -> None:
        if self._state is None:
            return
        groups = self._state.optimiser.param_groups
        trained = [p for group in groups for p in group["params"] if p.requires_grad]
        found = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
        gradients = [gradient for gradient in found if gradient is not None]
        if not gradients:
            why = f"{at} has a gradient by nothing that is trained"
            self.note("penalty-counts", why, aspect="the gradient")
        elif not all(bool(gradient.isfinite().all()) for gradient in gradients):
            self.note("penalty-counts", f"{at} has a gradient that is not finite", aspect="finite")

    # -- readings ---------------------------------------------------------------------------------

    def _passing(self, process: Aspects) -> Aspects:
        """What every hook must leave as it found it."""
        found = process | aspects.modes(self._model)
        if self._state is not None:
            found |= aspects.clock(self._state) | aspects.lent(self._state)
            found["the masks"] = aspects.complaint_about_masks(
                self._state, may_be_empty=self._kind.structure == "layer"
            )
        return found

    def _lasting(self) -> Aspects:
        """What must be at the end as it was at the start."""
        return aspects.structure(self._model) | aspects.untouchables(self._model)

    def _everything(self) -> Aspects:
        objects = {name: id(weight) for name, weight in prunable(self._model).items()}
        return self._passing(aspects.Process.read()) | self._lasting() | objects

    # -- what happens outside the hooks ------------------------------------------------------------

    def _saw_forward(self) -> None:
        if self.hook is not None:
            self.forwards += 1
            self.gradients += torch.is_grad_enabled()
        elif self._state is not None:
            self._check_masked_weights(self._state)

    def _check_masked_weights(self, state: TrainState) -> None:
        for name, weight in prunable(self._model).items():
            mask = state.masks.get(name)
            if mask is not None and bool(weight.detach()[~mask].any()):
                self.note(
                    "masked-weights-zero",
                    f"at step {state.step}, after {self.last_hook}(), {name!r} has weights that "
                    "are masked and yet not zero",
                    aspect=name,
                )

    def _saw_step(self, optimiser: Optimizer, *_: object) -> None:
        own = {id(parameter) for parameter in self._model.parameters()}
        moved = (id(p) for group in optimiser.param_groups for p in group["params"])
        if self.hook is not None and own & set(moved):
            self.note(
                "keeps-to-budget",
                f"{self.hook}() takes a step of its own, with {type(optimiser).__name__}",
                where=line_now(self._files),
                aspect="steps",
            )

    def _compare_network(self) -> None:
        after = self._lasting()
        kept = aspects.structure(self._model)
        for name in self._start | after:
            if self._start.get(name) != after.get(name):
                is_form = name in kept or name not in after
                rule = "leaves-no-trace" if is_form else "spares-the-rest"
                why = aspects.change(name, self._start, after)
                self.note(rule, f"at the end, {why}", aspect=name)


def _rule_about(aspect: str) -> str:
    """The rule by which a hook must leave an aspect as it found it."""
    if aspect.startswith("the donor"):
        return "keeps-its-donor"
    is_clock = aspect.startswith(("state.", "the optimiser"))
    return "keeps-to-budget" if is_clock else "restores-globals"


def source_files(kind: type[Method]) -> frozenset[str]:
    """The files that a method's classes come from, but for the interface itself."""
    own = [base for base in kind.__mro__ if issubclass(base, Method) and base is not Method]
    return frozenset(filter(None, map(inspect.getsourcefile, own)))


def strided(inputs: Tensor) -> Tensor:
    """The same images, not contiguous in memory."""
    return inputs.contiguous(memory_format=torch.channels_last)
