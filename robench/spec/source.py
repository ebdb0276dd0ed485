"""YAML that remembers on which line each key stands, and refuses a key that is given twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from robench.errors import SuiteError

__all__ = ["Source", "read_yaml"]

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """Where the values of a YAML file stand.

    Args:
        path: the file.
        lines: line (from 1) of each key or list item, by its path from the top.
    """

    path: Path
    lines: Mapping[Path_, int] = field(default_factory=dict)

    def locate(self, loc: Iterable[str | int]) -> str:
        """``"file:line"`` of the deepest part of `loc` that the file contains."""
        steps = tuple(loc)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return f"{self.path}:{self.lines.get(steps, 1)}"


def read_yaml(path: Path) -> tuple[object, Source]:
    """The value of a YAML file, and the lines of its parts.

    Raises:
        SuiteError: the file is missing, is not YAML, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SuiteError(
            f"there is no suite file {str(path)!r}",
            hint="`robench list suites` shows the ones that come with robench",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"the suite file cannot be read: {error}", where=str(path)) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise SuiteError(
            f"the suite file is not valid YAML: {problem}", where=f"{path}:{line}"
        ) from error
    lines: dict[Path_, int] = {}
    if node is not None:
        _walk(node, (), lines, path)
    return yaml.safe_load(text), Source(path, lines)


def _walk(node: yaml.Node, at: Path_, lines: dict[Path_, int], path: Path) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = (*at, str(key.value))
            line = key.start_mark.line + 1
            if name in lines:
                raise SuiteError(
                    f"the key {key.value!r} is given twice (first on line {lines[name]})",
                    where=f"{path}:{line}",
                    hint="keep one of them",
                )
            lines[name] = line
            _walk(value, name, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*at, index), lines, path)
