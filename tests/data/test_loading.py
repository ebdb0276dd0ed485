from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import platformdirs
import pytest

from robench.data import DATASETS, load
from robench.data.base import Data, Dataset
from robench.data.loading import data_root
from robench.errors import ParameterError, PluginError, UnknownNameError
from robench.registry import Registry
from robench.spec.base import Frozen


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> Registry[type[Dataset]]:
    """The registry, with what a test adds to it taken away again."""
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    return DATASETS


def test_a_data_set_is_loaded_once_a_process(datasets: Registry[type[Dataset]]) -> None:
    class Counted(Dataset):
        name = "counted"
        roots: ClassVar[list[Path]] = []

        class Params(Frozen):
            options: dict[str, int] = {}

        def load(self, root: Path, /) -> Data:
            self.roots.append(root)
            return load("digits", {"subset": 100 + self.params.options.get("more", 0)})

    datasets.add("counted", Counted, source="a test")
    first = load("counted", root="/here")
    assert load("counted", {}, root=Path("/here")) is first
    assert load("counted", {"options": {}}, root="/here") is first
    assert len(load("counted", {"options": {"more": 5}}, root="/here").train) == 105
    load("counted", root="/there")
    assert Counted.roots == [Path("/here"), Path("/here"), Path("/there")]


def test_a_plug_in_that_gives_something_else_is_named(
    datasets: Registry[type[Dataset]],
) -> None:
    class Wrong(Dataset):
        name = "wrong"

        def load(self, root: Path, /) -> Data:
            return 3

    datasets.add("wrong", Wrong, source="a test")
    with pytest.raises(PluginError, match=r"'wrong' gave int, not Data"):
        load("wrong")


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="digits"):
        load("digit")
    with pytest.raises(ParameterError, match="data set 'digits' has no parameter 'subsets'"):
        load("digits", {"subsets": 3})


def test_the_data_root_is_the_argument_then_the_variable_then_the_users_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_: tmp_path / "own")
    monkeypatch.setenv("ROBENCH_DATA", str(tmp_path / "variable"))
    assert data_root(tmp_path / "given") == tmp_path / "given"
    assert data_root() == tmp_path / "variable"
    monkeypatch.setenv("ROBENCH_DATA", "")
    assert data_root() == tmp_path / "own"
    assert data_root("~/data") == Path.home() / "data"


@pytest.mark.parametrize("raises", [ValueError("no such column"), SystemExit(3), KeyError("x")])
def test_what_a_data_set_raises_is_named_with_its_line(datasets, raises: BaseException) -> None:
    class Failing(Dataset):
        name = "failing"

        def load(self, root: Path, /) -> Data:
            raise raises

    datasets.add("failing", Failing, source="a test")
    with pytest.raises(PluginError, match=f"'failing' raised {type(raises).__name__}") as caught:
        load("failing")
    line = Failing.load.__code__.co_firstlineno + 1
    assert caught.value.where == f"{__file__}:{line}"
