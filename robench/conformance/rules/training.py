"""What a method does while it trains, on every network of the kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.conformance.rule import BrokenError, rule
from robench.conformance.rules.outcome import LEVELS
from robench.spec.identity import as_json, canonical_json

if TYPE_CHECKING:
    from robench.conformance.subject import Subject

__all__ = ["RULES"]


@rule("fix the hook; penalty() returns a scalar tensor or None, all others return None")
def hooks_run(subject: Subject) -> str:
    """Every hook finishes without an error and returns the right type."""
    return subject.without("hooks-run")


@rule("compute the penalty from state.prunable or trained parameters, without .detach() or .item()")
def penalty_counts(subject: Subject) -> str:
    """The penalty is finite and has a gradient with respect to a trained parameter."""
    return subject.without("penalty-counts")


@rule("draw from state.generator; restore what a hook changes temporarily, also after an error")
def restores_globals(subject: Subject) -> str:
    """Hooks leave generators, default dtype, threads, grad mode and training mode unchanged."""
    return subject.without("restores-globals")


@rule("do not change step, level or optimiser settings; use fewer passes, under torch.no_grad()")
def keeps_to_budget(subject: Subject) -> str:
    """The method makes no optimiser step, and uses no more batches or gradients than the loop."""
    batches, forwards = 0, 0
    for run in subject.on_every_network():
        seen = run.observer
        if run.result is not None and max(seen.batches, seen.gradients) > run.result.steps:
            raise BrokenError(
                f"it draws {seen.batches} batches and sends {seen.gradients} through the network "
                f"for a gradient, in a run of {run.result.steps} steps ({run.setting.label})",
                subject.line_of(),
            )
        batches, forwards = max(batches, seen.batches), max(forwards, seen.forwards)
    ended = subject.without("keeps-to-budget")
    return f"{ended}; at most {batches} batches drawn, {forwards} forward passes"


@rule("masks are torch.bool, named and shaped as in state.prunable; see methods.masks")
def masks_in_order(subject: Subject) -> str:
    """Masks are boolean, with the right names and shapes, and keep a weight of every layer."""
    seen = subject.without("masks-in-order", levels=LEVELS)
    if subject.kind.structure == "layer":
        return f"{seen}; whole layers may go"
    for level in LEVELS:
        for run in subject.on_every_network(level=level):
            masks = run.result.masks.items() if run.result is not None else ()
            for name, mask in masks:
                if not bool(mask.any()):
                    why = f"all weights of {name!r} are zero ({run.setting.label})"
                    raise BrokenError(why, subject.line_of("finish"))
    return seen


@rule("modify weights in place; do not replace parameters or functions of the network")
def masked_weights_zero(subject: Subject) -> str:
    """Masked weights are exactly zero at every step and at the end."""
    return subject.without("masked-weights-zero", levels=LEVELS)


@rule("remove in finish() whatever prepare() added, including hook handles")
def leaves_no_trace(subject: Subject) -> str:
    """No hook, parametrisation, parameter, wrapper or patched function remains on the network."""
    return subject.without("leaves-no-trace")


@rule("change only state.prunable, and the biases and BatchNorm of removed units")
def spares_the_rest(subject: Subject) -> str:
    """Constants of the network and layers that are not prunable are not modified."""
    return subject.without("spares-the-rest")


@rule("base decisions on the training data only: state.train_batches()")
def no_peeking(subject: Subject) -> str:
    """No hook reads validation or test data, or loads a data set."""
    return subject.without("no-peeking")


@rule(
    "store numbers, text, lists and dictionaries in state.notes; convert tensors by float(tensor)"
)
def notes_are_plain(subject: Subject) -> str:
    """state.notes is plain JSON, and state.native is in [0, 1]."""
    counted = 0
    for run in subject.on_every_network():
        if run.result is None:
            continue
        notes, native = dict(run.result.notes), run.result.native
        try:
            canonical_json(as_json(notes))
        except (TypeError, ValueError) as error:
            why = f"state.notes holds something else: {error} ({run.setting.label})"
            raise BrokenError(why, subject.line_of()) from None
        if not (isinstance(native, float) and 0 <= native <= 1):
            why = f"state.native is {native!r} ({run.setting.label})"
            raise BrokenError(why, subject.line_of("finish"))
        counted = max(counted, len(notes))
    subject.first_complete()
    return f"{counted} notes"


@rule("use state.learning_rate and state.momentum, which all optimisers have; guard divisions")
def stays_finite(subject: Subject) -> str:
    """With SGD, Adam and RMSprop, training ends with finite weights."""
    subject.without("stays-finite")
    ended = []
    for optimiser in ("adam", "rmsprop"):
        for network in ("mlp", "convnet"):
            run = subject.ends_well(network=network, optimiser=optimiser)
            if run is not None and run.result is not None:
                ended.append(f"{network} with {optimiser}")
    run = subject.first_complete()
    for tensor_name, tensor in run.model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise BrokenError(f"{tensor_name!r} is not finite", subject.line_of("finish"))
    return ", ".join(ended) or f"{run.setting.network} with sgd"


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
