"""YAML that remembers on which line each key stands, and refuses what no suite needs.

A suite file is read as text, numbers, lists and mappings alone: no tags, no dates, no aliases that
contain themselves or unfold into more than a file could hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from robench.errors import SuiteError

__all__ = ["Source", "read_yaml"]

Path_ = tuple[str | int, ...]

_MOST_BYTES = 200_000
_DEEPEST = 30
"""Mappings and lists inside one another. A suite has six; Python's stack ends at some hundreds."""
_MOST_PARTS = 20_000
"""Keys and values, an alias counted as all that it stands for."""


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


class _Loader(yaml.SafeLoader):
    """Dates stay text: nothing in a suite is one, and an impossible one would be an error."""

    yaml_implicit_resolvers = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: Path) -> tuple[object, Source]:
    """The value of a YAML file, and the lines of its parts.

    Raises:
        SuiteError: the file is missing, is not YAML, gives a key twice, or holds what no suite
            needs; names the line.
    """
    text, lines = _read_text(path), _Lines(path)
    try:
        _check_depth(text, path)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, Source(path)
        lines.walk(node, ())
        return loader.construct_document(node), Source(path, lines.found)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        problem = f"it holds the character #x{int(error.character):04x}"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error)
    except ValueError as error:  # a value that is not what its tag says
        line, problem = 1, str(error)
    raise SuiteError(f"the suite file is not valid YAML: {problem}", where=f"{path}:{line}")


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise SuiteError("the suite file is no ordinary file", where=str(path))
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SuiteError(
                "the suite file is too large", where=str(path), allowed=f"{_MOST_BYTES:,} bytes"
            )
        return content.decode("utf-8")
    except FileNotFoundError:
        raise SuiteError(
            f"there is no suite file {str(path)!r}",
            hint="`robench list suites` shows the ones that come with robench",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"the suite file cannot be read: {error}", where=str(path)) from error


def _check_depth(text: str, path: Path) -> None:
    """The parser's events are read without recursion, unlike everything that comes after."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise SuiteError(
                f"lists and mappings stand more than {_DEEPEST} deep inside one another",
                where=f"{path}:{line}",
            )
        if count > 2 * _MOST_PARTS:
            raise SuiteError(
                "the suite file holds too much",
                where=f"{path}:{line}",
                allowed=f"{_MOST_PARTS:,} keys and values in all",
            )


class _Lines:
    """The lines of the parts of a file.

    Args:
        path: the file, for messages.

    Attributes:
        found: line of each part, by its path from the top.
    """

    def __init__(self, path: Path) -> None:
        self.found: dict[Path_, int] = {}
        self._path = path
        self._parts = 0
        self._around: list[yaml.Node] = []

    def walk(self, node: yaml.Node, at: Path_) -> None:
        """Note the lines of a node and of all that it holds.

        Raises:
            SuiteError: a key is given twice, a value is of no kind that a suite knows, or aliases
                unfold into too much.
        """
        line = node.start_mark.line + 1
        self._check(node, line)
        self.found.setdefault(at, line)
        self._around.append(node)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._note_key(key, at)
                self.walk(value, (*at, str(key.value)))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self.walk(value, (*at, index))
        elif isinstance(node, yaml.ScalarNode):
            self._check_scalar(node, line)
        self._around.pop()

    def _note_key(self, key: yaml.Node, at: Path_) -> None:
        name, line = (*at, str(key.value)), key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise SuiteError("a key is a name, not a list or mapping", where=f"{self._path}:{line}")
        if name in self.found:
            raise SuiteError(
                f"the key {key.value!r} is given twice (first on line {self.found[name]})",
                where=f"{self._path}:{line}",
                hint="keep one of them",
            )
        self.found[name] = line

    def _check(self, node: yaml.Node, line: int) -> None:
        self._parts += 1
        if any(node is outer for outer in self._around):
            raise SuiteError("an alias stands inside what it names", where=f"{self._path}:{line}")
        if self._parts > _MOST_PARTS:
            raise SuiteError(
                "aliases unfold into more than a suite can hold",
                where=f"{self._path}:{line}",
                allowed=f"{_MOST_PARTS:,} keys and values in all",
            )
        known = yaml.SafeLoader.yaml_constructors
        if node.tag not in known or node.tag.rpartition(":")[2] in ("binary", "set", "omap"):
            raise SuiteError(
                f"the tag {node.tag!r} means nothing in a suite",
                where=f"{self._path}:{line}",
                hint="write the value without a tag",
            )

    def _check_scalar(self, node: yaml.ScalarNode, line: int) -> None:
        if node.tag.endswith(":int") and len(node.value) > 30:
            raise SuiteError(
                f"the number {node.value[:20]}… has {len(node.value)} digits",
                where=f"{self._path}:{line}",
            )
