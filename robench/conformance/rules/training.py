"""What a method does while it trains, on every network of the kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.conformance.rule import BrokenError, rule
from robench.conformance.rules.outcome import LEVELS
from robench.spec.identity import as_json, canonical_json

if TYPE_CHECKING:
    from robench.conformance.subject import Subject

__all__ = ["RULES"]


@rule("mend the hook; penalty() gives a scalar tensor or None, the others give nothing")
def hooks_run(subject: Subject) -> str:
    """Every hook runs to its end and gives what it should."""
    return subject.without("hooks-run")


@rule("compute the penalty from state.prunable or own parameters, without .detach() or .item()")
def penalty_counts(subject: Subject) -> str:
    """The penalty is a finite number whose gradient moves something that is trained."""
    return subject.without("penalty-counts")


@rule("draw from state.generator; put back what a probe changes, also where it raises")
def restores_globals(subject: Subject) -> str:
    """Hooks leave generators, default type, threads, grad mode and training mode as they were."""
    return subject.without("restores-globals")


@rule("leave step, level and the optimiser's settings alone; probe under torch.no_grad(), and less")
def keeps_to_budget(subject: Subject) -> str:
    """The method takes no step of its own, and no more batches or gradients than the loop does."""
    batches, forwards = 0, 0
    for trial in subject.on_every_network():
        seen = trial.observer
        if trial.result is not None and max(seen.batches, seen.gradients) > trial.result.steps:
            raise BrokenError(
                f"it draws {seen.batches} batches and sends {seen.gradients} through the network "
                f"for a gradient, in a run of {trial.result.steps} steps ({trial.setting.label})",
                subject.line_of(),
            )
        batches, forwards = max(batches, seen.batches), max(forwards, seen.forwards)
    ended = subject.without("keeps-to-budget")
    return f"{ended}; at most {batches} batches drawn, {forwards} forward passes"


@rule("masks are torch.bool, named and shaped as in state.prunable; see methods.masks")
def masks_in_order(subject: Subject) -> str:
    """Masks are boolean, of the right names and shapes, and leave something of every layer."""
    seen = subject.without("masks-in-order", levels=LEVELS)
    if subject.kind.structure == "layer":
        return f"{seen}; whole layers may go"
    for level in LEVELS:
        for trial in subject.on_every_network(level=level):
            masks = trial.result.masks.items() if trial.result is not None else ()
            for name, mask in masks:
                if not bool(mask.any()):
                    why = f"all weights of {name!r} are zero ({trial.setting.label})"
                    raise BrokenError(why, subject.line_of("finish"))
    return seen


@rule("edit weights in place; do not put other parameters or functions in their place")
def masked_weights_zero(subject: Subject) -> str:
    """Masked weights are exactly zero at every step and at the end."""
    return subject.without("masked-weights-zero", levels=LEVELS)


@rule("take away in finish() whatever prepare() added; remove the handles of hooks")
def leaves_no_trace(subject: Subject) -> str:
    """No hook, parametrisation, parameter, wrapper or patched function stays on the network."""
    return subject.without("leaves-no-trace")


@rule("touch only what is in state.prunable, and biases and BatchNorm of what was removed")
def spares_the_rest(subject: Subject) -> str:
    """Constants of the network and layers that are not prunable are left alone."""
    return subject.without("spares-the-rest")


@rule("decide by the training data: state.train_batches()")
def no_peeking(subject: Subject) -> str:
    """No hook looks at validation or test data, or loads a data set."""
    return subject.without("no-peeking")


@rule("put numbers, text, lists and dictionaries into state.notes; float(tensor) makes a number")
def notes_are_plain(subject: Subject) -> str:
    """What the method tells the record is plain JSON, and its own level is in [0, 1]."""
    counted = 0
    for trial in subject.on_every_network():
        if trial.result is None:
            continue
        notes, native = dict(trial.result.notes), trial.result.native
        try:
            canonical_json(as_json(notes))
        except (TypeError, ValueError) as error:
            why = f"state.notes holds something else: {error} ({trial.setting.label})"
            raise BrokenError(why, subject.line_of()) from None
        if not (isinstance(native, float) and 0 <= native <= 1):
            why = f"state.native is {native!r} ({trial.setting.label})"
            raise BrokenError(why, subject.line_of("finish"))
        counted = max(counted, len(notes))
    subject.first_complete()
    return f"{counted} notes"


@rule("use state.learning_rate and state.momentum, which every optimiser has; guard divisions")
def stays_finite(subject: Subject) -> str:
    """With SGD, Adam and RMSprop alike, training ends with finite weights."""
    subject.without("stays-finite")
    ended = []
    for optimiser in ("adam", "rmsprop"):
        for network in ("mlp", "convnet"):
            trial = subject.ends_well(network=network, optimiser=optimiser)
            if trial is not None and trial.result is not None:
                ended.append(f"{network} with {optimiser}")
    trial = subject.first_complete()
    for tensor_name, tensor in trial.model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise BrokenError(f"{tensor_name!r} is not finite", subject.line_of("finish"))
    return ", ".join(ended) or f"{trial.setting.network} with sgd"


RULES = (
    hooks_run,
    penalty_counts,
    restores_globals,
    keeps_to_budget,
    masks_in_order,
    masked_weights_zero,
    leaves_no_trace,
    spares_the_rest,
    no_peeking,
    notes_are_plain,
    stays_finite,
)
