"""Plug-ins as a suite chooses them: versions, all parameters, and labels that are for people."""

from __future__ import annotations

import pytest

from robench.data import DATASETS
from robench.errors import ParameterError
from robench.methods import METHODS
from robench.models import MODELS
from robench.spec import PluginChoice
from robench.spec.plugins import resolve_plugin


def chosen(**given: object) -> PluginChoice:
    return PluginChoice.model_validate(given)


def test_all_parameters_are_there_and_those_that_were_set_make_the_label() -> None:
    ref = resolve_plugin(METHODS, chosen(name="magnitude", scope="layer"))
    assert ref.params == {"scope": "layer"}
    assert ref.changed == ("scope",)
    assert ref.label == "magnitude[scope=layer]"
    assert resolve_plugin(METHODS, chosen(name="magnitude", scope="global")).label == "magnitude"


@pytest.mark.parametrize(
    ("registry", "given"),
    [
        (METHODS, {"name": "magnitude", "scope": "layer"}),
        (METHODS, {"name": "dense"}),
        (MODELS, {"name": "mlp"}),
        (DATASETS, {"name": "digits"}),
    ],
)
def test_a_label_is_shown_and_changes_nothing_else(registry, given) -> None:
    plain = resolve_plugin(registry, chosen(**given))
    named = resolve_plugin(registry, chosen(**given, label="Ours, by layer"))
    assert named.label == "Ours, by layer"
    assert named.plain_label == plain.label
    assert named.model_dump() == plain.model_dump()


@pytest.mark.parametrize("label", ["", " x", "x" * 61, 7, None, "a\x1b[31mb", "two\nlines"])
def test_a_label_that_cannot_be_shown_is_refused_with_its_place(label: object) -> None:
    with pytest.raises(ParameterError) as caught:
        resolve_plugin(MODELS, chosen(name="mlp", label=label), where="suite.yaml:4")
    assert "the label" in caught.value.what
    assert caught.value.where == "suite.yaml:4"


def test_a_table_s_label_is_its_column(tmp_path) -> None:
    file = tmp_path / "patients.csv"
    file.write_text("a,b,ill\n" + "\n".join(f"{n},{n * n},{n % 2}" for n in range(40)))
    ref = resolve_plugin(DATASETS, chosen(name=f"csv:{file}", label="ill"))
    assert ref.params["label"] == "ill"
    assert ref.own_label is None
