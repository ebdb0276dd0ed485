"""The walls of the house: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import robench

PACKAGE = Path(robench.__file__).parent

# From the ground up; a room may import its own floor's `models` and `data`, and what lies below.
SERVICES = {"engine", "store", "conformance"}
FLOORS = [
    {
        "blame",
        "errors",
        "escape",
        "files",
        "plugin_files",
        "reference",
        "registry",
        "spec",
        "stats",
        "_lazy",
        "_torchvision",
    },
    {"data", "models"},
    {"graph"},
    {"deploy"},
    {"compaction"},
    {"methods", "attacks", "degradations", "measure"},
    {"training"},
    {"stages"},
    SERVICES,
    {"analysis"},
    {"board"},
    {"claims"},
    {"api"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_at_run_time(tree: ast.Module) -> list[str]:
    """Modules that a file imports, leaving out what only the type checker reads."""
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_upwards(path: Path) -> None:
    own = room_of(path)
    assert own in FLOOR_OF, f"{own} has no floor: give it one in this test and in DESIGN"
    for name in imports_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] != "robench" or len(parts) == 1 or parts[1] == own:
            continue
        other = parts[1]
        is_ground = FLOOR_OF[own] == 0
        below = FLOOR_OF[other] < FLOOR_OF[own] or (is_ground and FLOOR_OF[other] == 0)
        beside = {own, other} <= SERVICES or {own, other} == {"data", "models"}
        assert below or beside, f"{path.name} ({own}) imports {name}"


# Within a room of several: a sub-room may import those that stand before it.
SUBROOMS = {
    "attacks": ["core", "evaluation", "algorithms", "libraries", "suite"],
    "board": ["model", "pictures", "charts", "views", "render"],
    "deploy": ["forms", "kernels"],
}


@pytest.mark.parametrize("room", SUBROOMS)
def test_no_sub_room_imports_one_that_stands_behind_it(room: str) -> None:
    order = SUBROOMS[room]
    folders = {path.name for path in (PACKAGE / room).iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(order)
    for place, own in enumerate(order):
        for path in (PACKAGE / room / own).rglob("*.py"):
            for name in imports_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
                parts = name.split(".")
                if parts[:2] == ["robench", room] and len(parts) > 2 and parts[2] in order:
                    assert order.index(parts[2]) <= place, f"{room}/{own}/{path.name}: {name}"


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import robench; from robench import load_suite, DEGRADATIONS; load_suite('smoke')",
        "import sys; sys.argv = ['robench', '--help']\n"
        "import robench.cli\ntry: robench.cli.main()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['robench', 'list']\n"
        "import robench.cli\ntry: robench.cli.main()\nexcept SystemExit: pass",
        "from robench.stages import STAGES, stage; [stage(name) for name in STAGES.names()]",
    ],
    ids=["import", "help", "list", "stages"],
)
def test_the_front_door_does_not_import_torch(statement: str) -> None:
    loaded = modules_after(statement)
    assert not loaded & {"torch", "pandas", "sklearn", "altair", "torchvision", "foolbox", "cv2"}
    assert "imagecorruptions" not in loaded


def test_exported_members_exist_and_are_complete() -> None:
    for name in robench.__all__:
        assert getattr(robench, name) is not None
    assert set(robench._HOMES) | {"__version__"} == set(robench.__all__)
