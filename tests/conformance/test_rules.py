"""Each rule is broken by a method that breaks it, at the line that breaks it, and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robench.conformance import RULES, Subject, check, check_rule, subjects_of
from robench.errors import PluginError, UnknownNameError
from robench.methods.base import Method
from robench.methods.masks import magnitude_masks

PLUGINS = Path(__file__).parents[1] / "plugins"
# What an import does is seen in a file of its own.
IN_ONE_FILE = [name for name in RULES if name != "imports-cleanly"]


@pytest.mark.parametrize("name", IN_ONE_FILE)
def test_the_kit_names_the_rule_and_the_line(unruly, line_marked_here, name):
    result = check_rule(RULES[name], unruly[name])
    assert result.outcome == "fail", result.why
    assert result.where == line_marked_here(unruly[name].kind)
    assert "\n" not in result.why
    assert result.remedy in result.complaint
    assert result.where in result.complaint


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_ONE_FILE)
def test_no_other_rule_is_broken(unruly, name):
    rules = [RULES[other] for other in IN_ONE_FILE]
    results = [check_rule(rule, unruly[name]) for rule in rules]
    assert [result.rule for result in results if result.outcome == "fail"] == [name]


def test_an_import_that_changes_the_process(line_marked_here):
    (subject,) = subjects_of(PLUGINS / "unruly_import.py")
    lines = subject.file.read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if text.endswith("# here")]
    result = check_rule(RULES["imports-cleanly"], subject)
    assert result.outcome == "fail"
    assert "default dtype is torch.float64, was torch.float32" in result.why
    assert result.where == f"{subject.file}:{line}"
    assert torch.get_default_dtype() is torch.float32
    assert check_rule(RULES["hooks-run"], subject).outcome == "pass"


def penalised(term):
    class Penalised(Method):
        name = "penalised"
        starts_from = "dense"

        def prepare(self, state):
            state.masks = magnitude_masks(state.prunable, state.level)

        def penalty(self, state):
            return term(next(iter(state.prunable.values())))

    return Subject(Penalised)


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (lambda w: w.sum() * float("nan"), "penalty() is nan"),
        (lambda w: torch.tensor(float("nan")), "penalty() is nan"),
        (lambda w: w.sum().exp() * 1e39, "penalty() is inf"),
        (lambda w: w.sum().detach(), "has no gradient"),
        (lambda w: w.clone().detach().requires_grad_().sum(), "by nothing that is trained"),
        (lambda w: (w - w.detach()).norm().sqrt(), "a gradient that is not finite"),
    ],
)
def test_a_penalty_that_does_nothing_or_is_no_number(term, words):
    result = check_rule(RULES["penalty-counts"], penalised(term))
    assert result.outcome == "fail", result.why
    assert words in result.why


@pytest.mark.parametrize("term", [lambda w: torch.zeros(()), lambda w: 1e-4 * w.square().sum()])
def test_a_penalty_of_zero_and_one_with_a_gradient_pass(term):
    assert check_rule(RULES["penalty-counts"], penalised(term)).outcome == "pass"


def test_a_rule_that_is_not_there():
    with pytest.raises(UnknownNameError, match="there is no rule 'seed-mattes'") as caught:
        check("dense", rules=["seed-mattes"])
    assert "seed-matters" in str(caught.value)


def test_a_method_that_is_not_there():
    with pytest.raises(UnknownNameError, match="there is no plug-in 'magnitud'"):
        check("magnitud")


def test_a_file_without_methods(tmp_path):
    file = tmp_path / "nothing.py"
    file.write_text("X = 1\n")
    with pytest.raises(PluginError, match="defines none of these: method"):
        check(file)


def test_a_parameter_without_a_default_breaks_one_rule_and_skips_the_rest(tmp_path):
    file = tmp_path / "needy.py"
    file.write_text(
        "from robench.methods.base import Method\n"
        "from robench.spec.base import Frozen\n\n\n"
        "class Needy(Method):\n"
        "    name = 'needy'\n\n"
        "    class Params(Frozen):\n"
        "        strength: float\n"
    )
    (report,) = check(file, rules=[name for name in RULES if name != "imports-cleanly"])
    assert [result.rule for result in report.failed] == ["defaults-in-schema"]
    assert "'strength' has no default" in report.failed[0].why
    assert report.failed[0].where == f"{file}:8"
    assert len(report.of("skip")) == len(report.results) - 2  # `interface` passes


def test_a_method_that_declines_everything_is_skipped_in_words():
    (subject,) = [s for s in subjects_of(PLUGINS / "faulty.py") if s.name == "declines"]
    for name in ("hooks-run", "deterministic", "reloads", "level-zero-is-dense"):
        result = check_rule(RULES[name], subject)
        assert (name, result.outcome) == (name, "skip")
        assert "it never wants to" in result.why
    assert "0 of 15 reached" in check_rule(RULES["reaches-levels"], subject).why
