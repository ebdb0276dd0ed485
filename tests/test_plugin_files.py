"""Plug-in files: what they may import, and which code a cell rests on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import robench
from robench.engine.plan import plan
from robench.engine.progress import Silent
from robench.errors import PluginError
from robench.plugin_files import code_of, load_plugin
from robench.registry import all_registries
from robench.spec import load_suite


def plugin_file(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text)
    return path


METHOD = '''
from robench import Method

class Mine(Method):
    """Does nothing."""
    name = "{name}"
    version = 1
    structure = "unstructured"
    starts_from = "dense"
'''


def test_a_plugin_file_is_registered_and_may_be_loaded_again(tmp_path: Path) -> None:
    from robench.methods import METHODS

    path = plugin_file(tmp_path, METHOD.format(name="registry-test"))
    assert load_plugin(path) == [("method", "registry-test")]
    assert load_plugin(path) == [("method", "registry-test")]
    assert METHODS.get("registry-test").name == "registry-test"
    assert METHODS.origin("registry-test").startswith(str(path))


def test_a_plugin_may_not_take_a_builtin_name(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="'halo' is taken"):
        load_plugin(plugin_file(tmp_path, METHOD.format(name="halo")))


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("import robench\n\n1 / 0\n", "ZeroDivisionError", 3),
        ("def broken(:\n", "SyntaxError", 1),
        ("import no_such_package\n", "no_such_package", 1),
    ],
)
def test_a_plugin_that_raises_on_import_names_the_line(tmp_path, text, words, line) -> None:
    path = plugin_file(tmp_path, text)
    with pytest.raises(PluginError, match=words) as caught:
        load_plugin(path)
    assert caught.value.where == f"{path}:{line}"


def test_a_file_without_plugins_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="defines none of these: method"):
        load_plugin(plugin_file(tmp_path, "x = 1\n"))
    with pytest.raises(PluginError, match="there is no plug-in file"):
        load_plugin(tmp_path / "nowhere.py")


# -- modules beside the file ----------------------------------------------------------------------

WITH_HELPER = '''
import numpy
import helper_of_mine
from robench import Method

class Mine(Method):
    """Uses what lies beside it."""
    name = "{name}"
    version = 1
    structure = "unstructured"
    starts_from = "dense"
    share = helper_of_mine.SHARE

    def late(self):
        from package_of_mine.inner import LATE
        return LATE
'''


@pytest.fixture
def with_helpers(tmp_path: Path) -> Path:
    (tmp_path / "helper_of_mine.py").write_text("from deeper_helper import SHARE\n")
    (tmp_path / "deeper_helper.py").write_text("SHARE = 0.5\n")
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "__init__.py").write_text("")
    (tmp_path / "package_of_mine" / "inner.py").write_text("LATE = 1\n")
    (tmp_path / "unrelated.py").write_text("raise RuntimeError\n")
    return plugin_file(tmp_path, WITH_HELPER.format(name=f"helped-{tmp_path.name}"))


@pytest.fixture(autouse=True)
def forget_helpers(monkeypatch: pytest.MonkeyPatch):
    from robench import plugin_files

    monkeypatch.setattr(plugin_files._SIBLINGS, "_files", {})
    yield
    for name in ("helper_of_mine", "deeper_helper", "package_of_mine", "package_of_mine.inner"):
        sys.modules.pop(name, None)


def method_in(path: Path) -> type[robench.Method]:
    ((_, name),) = load_plugin(path)
    return all_registries()["methods"].get(name)


def test_a_plugin_imports_what_lies_beside_it_now_and_later(with_helpers: Path) -> None:
    method = method_in(with_helpers)
    assert method.share == 0.5
    assert method.late(method) == 1
    assert str(with_helpers.parent) not in sys.path
    with pytest.raises(ImportError):
        __import__("unrelated")


@pytest.mark.parametrize(
    ("edited", "is_another"),
    [
        ("mine.py", True),
        ("helper_of_mine.py", True),
        ("deeper_helper.py", True),
        ("package_of_mine/inner.py", True),
        ("unrelated.py", False),
    ],
)
def test_the_code_is_that_of_all_files_that_are_imported(with_helpers, edited, is_another) -> None:
    before = code_of(with_helpers)
    path = with_helpers.parent / edited
    path.write_text(path.read_text() + "\n# edited\n")
    assert (code_of(with_helpers) != before) is is_another


def test_the_code_does_not_depend_on_where_the_file_lies(with_helpers, tmp_path_factory) -> None:
    import shutil

    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(with_helpers.parent, elsewhere)
    assert code_of(elsewhere / "mine.py") == code_of(with_helpers)


def test_an_edit_of_the_same_length_in_the_same_second_is_seen(with_helpers: Path) -> None:
    assert method_in(with_helpers).share == 0.5
    (with_helpers.parent / "deeper_helper.py").write_text("SHARE = 0.6\n")
    assert method_in(with_helpers).share == 0.6
    with_helpers.write_text(with_helpers.read_text().replace("helper_of_mine.SHARE", "0.123456789"))
    assert method_in(with_helpers).share == 0.123456789


def test_a_module_of_one_name_beside_two_plugins_is_refused(with_helpers, tmp_path_factory) -> None:
    load_plugin(with_helpers)
    other = tmp_path_factory.mktemp("other")
    (other / "helper_of_mine.py").write_text("SHARE = 0.9\n")
    path = plugin_file(other, "import helper_of_mine\n" + METHOD.format(name="other-helped"))
    with pytest.raises(PluginError, match=r"(?s)'helper_of_mine' from beside it.*rename"):
        load_plugin(path)


def test_an_installed_module_comes_before_one_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise RuntimeError('not this one')\n")
    (tmp_path / "random.py").write_text("raise RuntimeError('not this one')\n")
    text = "import numpy\nimport random\n" + METHOD.format(name=f"installed-{tmp_path.name}")
    before = code_of(plugin_file(tmp_path, text))
    load_plugin(tmp_path / "mine.py")
    (tmp_path / "numpy.py").unlink()
    assert code_of(tmp_path / "mine.py") == before


def test_a_broken_helper_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken_helper.py").write_text("x = 1\n\n1 / 0\n")
    path = plugin_file(tmp_path, "import broken_helper\n")
    with pytest.raises(PluginError, match="ZeroDivisionError") as caught:
        load_plugin(path)
    assert caught.value.where == f"{tmp_path / 'broken_helper.py'}:3"


def test_an_exit_on_import_is_an_error_of_the_plugin(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"SystemExit on import"):
        load_plugin(plugin_file(tmp_path, "import sys\nsys.exit(0)\n"))


# -- the code in the ids of cells -----------------------------------------------------------------


def ids(suite: Path, plugin: Path) -> dict[str, set[str]]:
    """Method → ids of its cells."""
    guests = [name for kind, name in load_plugin(plugin) if kind == "method"]
    found: dict[str, set[str]] = {}
    for cell in plan(load_suite(suite), guests=guests):
        found.setdefault(cell.method.name, set()).add(cell.id)
    return found


def test_an_edited_plugin_gets_new_cells_and_the_others_keep_theirs(tiny, tmp_path) -> None:
    name = f"edited-{tmp_path.name}"
    path = plugin_file(tmp_path, METHOD.format(name=name))
    suite = tiny()
    before = ids(suite, path)
    assert ids(suite, path) == before
    path.write_text(path.read_text().replace("Does nothing", "Does a lot"))
    after = ids(suite, path)
    assert before[name].isdisjoint(after[name])
    for control in ("dense", "random", "magnitude"):
        assert before[control] == after[control]


RUNNING = (
    METHOD
    + """
    def finish(self, state):
        state.notes["answer"] = 1
        from robench.methods.masks import magnitude_masks
        state.masks = magnitude_masks(state.prunable, state.level)
"""
)


def test_a_second_run_after_an_edit_shows_figures_of_the_new_code(tiny, tmp_path) -> None:
    name = f"rerun-{tmp_path.name}"
    path = plugin_file(tmp_path, RUNNING.format(name=name))

    def answers() -> list[object]:
        results = robench.run(
            tiny(), results=tmp_path / "r", jobs=0, plugins=[path], progress=Silent(), only=name
        )
        return [
            record.details["method"]["answer"]
            for record in results.records
            if (record.cell.method.name, record.cell.stage) == (name, "train")
        ]

    assert set(answers()) == {1}
    path.write_text(path.read_text().replace('["answer"] = 1', '["answer"] = 2'))
    assert set(answers()) == {2}


def test_a_cell_planned_with_other_code_is_refused(tiny, tmp_path) -> None:
    from robench.engine.resolve import check_code

    name = f"late-{tmp_path.name}"
    path = plugin_file(tmp_path, METHOD.format(name=name))
    load_plugin(path)
    (cell, *_) = [c for c in plan(load_suite(tiny()), guests=[name]) if c.method.name == name]
    check_code(cell)
    path.write_text(path.read_text() + "\n# edited while the suite runs\n")
    load_plugin(path)
    with pytest.raises(PluginError, match=f"{name}' changed while the suite was running"):
        check_code(cell)


def test_the_seeds_do_not_depend_on_the_code() -> None:
    from robench.spec import Cell, PluginRef, Recipe

    def cell(code: str | None) -> Cell:
        mine = PluginRef(name="mine", version=1, code=code)
        return Cell(
            stage="train",
            suite="s",
            suite_version=1,
            data=mine,
            data_sha256="",
            model=mine,
            method=mine,
            level=0.5,
            seed=0,
            recipe=Recipe(),
        )

    one, other, own = cell("sha256:1"), cell("sha256:2"), cell(None)
    assert len({one.id, other.id, own.id}) == 3
    for purpose in ("init", "order", "distortion", "method", "evaluate"):
        assert len({c.seed_for(purpose) for c in (one, other, own)}) == 1
