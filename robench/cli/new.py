"""`robench new`: a plug-in to start from."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from robench.cli.output import say
from robench.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="Write a plug-in to start from.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Write a plug-in to start from."""


_Name = Annotated[str, typer.Argument(help="Lower-case words joined by hyphens: my-plugin.")]
_To = Annotated[Path, typer.Option(help="Folder to write to.")]


@app.command("method")
def method(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a method that runs as it is, and test_NAME.py beside it."""
    source = _write("method", name, to)
    _tell(source, f"robench run smoke --plugin {source} --only {name}")


@app.command("attack")
def attack(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, an attack that runs as it is, and test_NAME.py beside it."""
    source = _write("attack", name, to)
    _tell(source, f"robench run quick --plugin {source} --only attack")


@app.command("degradation")
def degradation(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a degradation that runs as it is, and test_NAME.py beside it."""
    _tell(_write("degradation", name, to), _in_suite(f"degrade: {{kinds: [{name}]}}"))


@app.command("model")
def model(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a network that trains as it is, and test_NAME.py beside it."""
    _tell(_write("model", name, to), _in_suite(f"models: [{name}]"))


@app.command("dataset")
def dataset(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a data set that loads as it is, and test_NAME.py beside it."""
    _tell(_write("dataset", name, to), _in_suite(f"data: {name}"))


@app.command("stage")
def stage(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a stage that measures as it is, and test_NAME.py beside it."""
    source = _write("stage", name, to)
    _tell(source, f"robench run smoke --plugin {source} --only {name}")


@app.command("metric")
def metric(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a metric of a network's answers, and test_NAME.py beside it."""
    source = _write("metric", name, to)
    _tell(source, f"robench run SUITE.yaml --plugin {source}   # with `calibration` in the suite")


@app.command("view")
def view(name: _Name, to: _To = Path()) -> None:
    """Write NAME.py, a view of the board that draws as it is, and test_NAME.py beside it."""
    source = _write("view", name, to)
    _tell(source, f"robench board RESULTS --plugin {source}")


def _in_suite(line: str) -> str:
    return f"robench run SUITE.yaml --plugin …   # with `{line}` in the suite"


def _write(kind: str, name: str, to: Path) -> Path:
    """Write a plug-in and its test; the path of the plug-in."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"{name!r} cannot be the name of a plug-in",
            allowed="lower-case letters and digits, in words joined by hyphens",
        )
    module = name.replace("-", "_")
    class_name = "".join(word.capitalize() for word in name.split("-"))
    files = {
        to / f"{module}.py": f"{kind}.py.txt",
        to / f"test_{module}.py": f"test_{kind}.py.txt",
    }
    for file in files:
        if file.exists():
            raise UsageError(f"{str(file)!r} exists already", hint="choose another name or --to")
    to.mkdir(parents=True, exist_ok=True)
    for file, template in files.items():
        text = resources.files("robench.cli").joinpath("templates", template).read_text("utf-8")
        text = text.replace("{{name}}", name).replace("{{module}}", module)
        file.write_text(text.replace("{{class}}", class_name), encoding="utf-8")
    return to / f"{module}.py"


def _tell(source: Path, then: str) -> None:
    test = source.with_name(f"test_{source.name}")
    say(f"wrote {source} and {test}; try\n  robench check {source}\n  {then}\n")
