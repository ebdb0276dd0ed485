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


@app.command("method")
def method(
    name: Annotated[str, typer.Argument(help="Lower-case words joined by hyphens: my-method.")],
    to: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
) -> None:
    """Write NAME.py, a method that runs as it is, and test_NAME.py beside it."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"{name!r} cannot be the name of a method",
            allowed="lower-case letters and digits, in words joined by hyphens",
        )
    module = name.replace("-", "_")
    class_name = "".join(word.capitalize() for word in name.split("-"))
    files = {to / f"{module}.py": "method.py.txt", to / f"test_{module}.py": "test_method.py.txt"}
    for file in files:
        if file.exists():
            raise UsageError(f"{str(file)!r} exists already", hint="choose another name or --to")
    to.mkdir(parents=True, exist_ok=True)
    for file, template in files.items():
        text = resources.files("robench.cli").joinpath("templates", template).read_text("utf-8")
        text = text.replace("{{name}}", name).replace("{{module}}", module)
        file.write_text(text.replace("{{class}}", class_name), encoding="utf-8")
    source = to / f"{module}.py"
    say(
        f"wrote {source} and {to / f'test_{module}.py'}; try\n"
        f"  robench check {source}\n"
        f"  robench run smoke --plugin {source} --only {name}\n"
    )
