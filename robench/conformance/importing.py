"""Importing a plug-in's file in a process of its own, to see what the import alone changes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import time

from robench.errors import PluginError
from robench.plugin_files import import_plugin_file
from robench.spec.base import Frozen

__all__ = ["ImportReport", "import_anew"]

_LONGEST_S = 60


class ImportReport(Frozen):
    """What an import did."""

    seconds: float = 0.0
    """Beyond torch and robench, which were there already."""
    changes: tuple[str, ...] = ()
    """What it changed, a sentence each."""
    where: str | None = None
    """File and line that changed the first of these, or that raised."""
    error: str | None = None
    """Why there was no import."""


def import_anew(file: str, module: str) -> ImportReport:
    """Import the module of a plug-in in a fresh process.

    Args:
        file: its source.
        module: its name, as the plug-in's class has it.

    Raises:
        PluginError: the process died.
    """
    is_loose = module.startswith("robench_plugin_") or (
        importlib.util.find_spec(module.partition(".")[0]) is None
    )
    order = {"file": file, "module": None if is_loose else module, "path": sys.path}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "robench.conformance.importing"],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return ImportReport(error=f"importing it takes longer than {_LONGEST_S} s", where=file)
    if done.returncode != 0 or not done.stdout.strip():
        raise PluginError(
            f"a process that imports it ended with status {done.returncode}: {done.stderr[-300:]}",
            where=file,
        )
    return ImportReport.model_validate_json(done.stdout.splitlines()[-1])


def _import_here(file: str, module: str | None) -> ImportReport:
    """Import into this process, and compare it with what it was."""
    from robench.conformance.aspects import Process, change
    from robench.conformance.lines import LineWatch, line_in
    from robench.methods import base, masks

    importlib.import_module(base.__name__)  # not on the method's clock
    importlib.import_module(masks.__name__)
    watch = LineWatch(frozenset([file]), Process.read)
    before = Process.read()
    clock = time.perf_counter()
    try:
        with watch.watching(before):
            _import(file, module)
    except BaseException as error:  # noqa: BLE001 - even an exit is a finding here
        where = line_in(frozenset([file]), error.__traceback__)
        return ImportReport(error=f"it raised {type(error).__name__}: {error}", where=where)
    seconds = time.perf_counter() - clock
    after = Process.read()
    changed = [name for name in before if before[name] != after[name]]
    return ImportReport(
        seconds=seconds,
        changes=tuple(change(name, before, after) for name in changed),
        where=watch.departures.get(changed[0]) if changed else None,
    )


def _import(file: str, module: str | None) -> None:
    if module is not None:
        importlib.import_module(module)
        return
    try:
        import_plugin_file(file)
    except PluginError as error:
        raise error.__cause__ or error from None  # what the file itself raised


def main() -> None:
    """Read an order from standard input, and write the report as the last line of the output."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]
    report = _import_here(order["file"], order["module"])
    sys.stdout.write("\n" + report.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
