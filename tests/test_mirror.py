"""`tests/` mirrors `robench/` file by file: the tests of a line are found by its file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

import robench

PACKAGE = Path(robench.__file__).parent
TESTS = Path(__file__).parent

# Rooms in which some file has no test of its own name yet. Nothing is added here, only taken out.
INCOMPLETE = {
    "board",
    "conformance",
    "engine",
}
ROOMS = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}


def modules(room: str) -> list[Path]:
    """Public modules of a room, relative to the package; templates are text, not code."""
    found = [PACKAGE / room] if room.endswith(".py") else sorted((PACKAGE / room).rglob("*.py"))
    paths = [path.relative_to(PACKAGE) for path in found if not path.name.startswith("_")]
    return [path for path in paths if "templates" not in path.parts]


def without_a_test(room: str) -> list[str]:
    return [
        str(path)
        for path in modules(room)
        if not (TESTS / path.parent / f"test_{path.name}").is_file()
    ]


@pytest.mark.parametrize("room", sorted(ROOMS - INCOMPLETE))
def test_every_file_has_a_test_of_its_name(room: str) -> None:
    assert without_a_test(room) == []


@pytest.mark.parametrize("room", sorted(INCOMPLETE))
def test_the_list_of_incomplete_rooms_is_not_out_of_date(room: str) -> None:
    assert without_a_test(room), f"{room} is complete: take it out of INCOMPLETE"
