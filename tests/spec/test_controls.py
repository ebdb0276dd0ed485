"""What a method is to a comparison is asked in one place, and nowhere compared by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import robench
from robench.methods import METHODS
from robench.spec import CONTROLS, GIVEN, PluginRef, starts_from_dense

PACKAGE = Path(robench.__file__).parent
OWN = PACKAGE / "spec" / "controls.py"
# The word has another meaning there: a form of a layer, and the network before compaction.
OTHER_MEANING = ("deploy", "compaction", "stages/speed.py", "stages/layers.py")


def ref(name: str) -> PluginRef:
    return PluginRef(name=name, version=1)


@pytest.mark.parametrize(
    ("name", "dense", "given", "control", "graded"),
    [
        ("dense", True, False, True, False),
        ("random", False, False, True, True),
        ("magnitude", False, False, True, True),
        ("halo", False, False, False, True),
        (GIVEN, False, True, False, False),
    ],
)
def test_what_a_method_is(name: str, dense: bool, given: bool, control: bool, graded: bool) -> None:
    method = ref(name)
    found = (method.is_dense, method.is_given, method.is_control, method.is_graded)
    assert found == (dense, given, control, graded)


def test_controls_are_methods_and_start_from_the_dense_network() -> None:
    for name in CONTROLS:
        assert starts_from_dense(METHODS.get(name))
    assert not starts_from_dense(METHODS.get("halo"))


def comparisons(path: Path) -> list[str]:
    """Lines that compare something with the name of a control, or of a given network."""
    names = {"DENSE", "GIVEN", "CONTROLS"}
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        literal = any(isinstance(s, ast.Constant) and s.value in (*CONTROLS, GIVEN) for s in sides)
        named = any(isinstance(s, ast.Name) and s.id in names for s in sides)
        if literal or named:
            found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_nobody_compares_names() -> None:
    files = [
        path
        for path in PACKAGE.rglob("*.py")
        if path != OWN and not path.relative_to(PACKAGE).as_posix().startswith(OTHER_MEANING)
    ]
    assert [line for path in files for line in comparisons(path)] == []
