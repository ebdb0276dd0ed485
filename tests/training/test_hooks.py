"""A fault in a method, told in terms of the method's file."""

from __future__ import annotations

import inspect

import pytest
import torch

from robench.errors import InputError, NotApplicableError, TrainingError
from robench.methods.base import Method

HOOKS = ["prepare", "penalty", "after_backward", "after_step", "after_epoch", "finish"]


def faulty(hook: str, error: BaseException) -> Method:
    def raises(self, state):
        if hook in ("prepare", "finish") or state.step >= 3:
            raise error

    return type("Faulty", (Stub,), {hook: raises})()


class Stub(Method):
    """Stands in this file, so that faults have a line here."""

    name = "faulty"


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises_is_named_with_its_line(network, run, hook):
    cause = RuntimeError("a mistake of mine")
    with pytest.raises(TrainingError) as caught:
        run(network(), faulty(hook, cause))
    error = caught.value
    assert f"'faulty' raised RuntimeError in {hook}() at step" in error.what
    assert "a mistake of mine" in error.what
    assert error.__cause__ is cause
    lines, start = inspect.getsourcelines(faulty)
    (offset,) = (number for number, line in enumerate(lines) if "raise error" in line)
    assert error.where == f"{__file__}:{start + offset}"


def test_supports_that_raises_is_named_too(network, run):
    class Confused(Stub):
        def supports(self, model, data):
            return model.no_such_layer

    with pytest.raises(TrainingError, match=r"AttributeError in supports\(\): ") as caught:
        run(network(), Confused())
    assert caught.value.where == f"{__file__}:{inspect.getsourcelines(Confused.supports)[1] + 1}"


def test_the_line_is_the_methods_even_where_another_library_raised(network, run):
    class Reshapes(Stub):
        def after_step(self, state):
            next(iter(state.prunable.values())).reshape(-1, 7919)

    with pytest.raises(TrainingError, match="RuntimeError") as caught:
        run(network(), Reshapes())
    line = inspect.getsourcelines(Reshapes.after_step)[1] + 1
    assert caught.value.where == f"{__file__}:{line}"


def test_robench_errors_of_a_hook_are_wrapped_but_verdicts_are_not(network, run):
    with pytest.raises(TrainingError, match="InputError in prepare"):
        run(network(), faulty("prepare", InputError("bad")))
    for verdict in (NotApplicableError("nothing to prune"), TrainingError("broken"), MemoryError()):
        with pytest.raises(type(verdict)) as caught:
            run(network(), faulty("prepare", verdict))
        assert caught.value is verdict


@pytest.mark.parametrize(
    ("term", "form"), [(0.5, "0.5"), (torch.ones(3), r"a tensor of shape \(3,\)")]
)
def test_a_penalty_must_be_a_scalar(network, run, term, form):
    class Adds(Stub):
        def penalty(self, state):
            return term

    with pytest.raises(TrainingError, match=rf"returned {form} from penalty\(\) at step 0"):
        run(network(), Adds())


def test_a_penalty_is_added_to_the_loss(network, run):
    class Ridge(Stub):
        def penalty(self, state):
            return 0.05 * sum(p.square().sum() for p in state.model.parameters())

    ridge, decayed = network(), network()
    options = {"optimiser": "sgd", "momentum": 0.9}
    run(ridge, Ridge(), recipe=options)
    run(decayed, recipe={**options, "weight_decay": 0.1})
    for own, other in zip(ridge.parameters(), decayed.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_penalty_without_a_gradient_is_refused(network, run, value):
    class Constant(Stub):
        def penalty(self, state):
            return torch.tensor(value)

    with pytest.raises(TrainingError, match="a penalty without a gradient at step 0"):
        run(network(), Constant())


def test_a_penalty_of_nothing_yet_passes(network, run):
    class Later(Stub):
        def penalty(self, state):
            return torch.zeros(())

    run(network(), Later())
