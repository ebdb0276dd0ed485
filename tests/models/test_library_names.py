"""Names read from the source of a library are those that the library itself lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from robench import load_suite
from robench._torchvision import import_torchvision
from robench.errors import UnknownNameError
from robench.models import library_names


def test_torchvisions_names_are_those_it_lists() -> None:
    models = import_torchvision().models
    assert library_names.torchvision() == set(models.list_models(module=models))


def test_timms_names_are_those_it_lists() -> None:
    timm = pytest.importorskip("timm", reason="the extra timm is not installed")
    assert library_names.timm() == set(timm.list_models())


def test_a_library_that_is_not_there_has_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "no_such_library", None)
    assert library_names._registered("no_such_library") == frozenset()


def suite_of(folder: Path, models: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(f"name: s\nversion: 1\ndata: digits\nmethods: [dense]\nmodels: {models}\n")
    return path


def output_of(code: str, *arguments: str | Path) -> str:
    """What a fresh process prints, and whether it has imported torch by then."""
    code += "\nimport sys; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_name_in_a_suite_is_checked_without_importing_torch(tmp_path: Path) -> None:
    path = suite_of(tmp_path, "[torchvision:vgg16, {name: torchvision:resnet18}]")
    code = (
        "import sys; from robench import load_suite; suite = load_suite(sys.argv[1]);"
        "print([choice.name for choice in suite.grids[0].models])"
    )
    assert output_of(code, path) == "['torchvision:vgg16', 'torchvision:resnet18']\nFalse\n"


def test_an_unknown_name_in_a_suite_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = suite_of(tmp_path, "torchvision:resnet19")
    with pytest.raises(UnknownNameError, match="'torchvision:resnet19'") as caught:
        load_suite(path)
    assert caught.value.where == f"{path}:5"
    assert "did you mean 'torchvision:resnet18'" in str(caught.value)


def test_each_library_is_one_line_of_the_list() -> None:
    code = "import robench.cli\nfrom robench.cli.list_ import list_\nlist_('models')"
    lines = output_of(code).splitlines()
    assert [line.split()[0] for line in lines[-4:-2]] == ["timm:<name>", "torchvision:<name>"]
    assert "such as resnet18" in lines[-3]
    assert lines[-1] == "False"
