"""Plug-ins that end, hang or crash the process that checks them."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.conformance import check
from robench.errors import PluginError, UnknownNameError

ENDING = '''
import ctypes, os, sys, time
from robench import Method
from robench.methods.masks import magnitude_masks

class Ends(Method):
    """Ends its process."""
    name = "ends-its-process"
    starts_from = "dense"

    def after_step(self, state):
        print("text on standard output is nobody's business")
        {line}  # here

    def finish(self, state):
        state.masks = magnitude_masks(state.prunable, state.level)
'''


def checked(folder: Path, line: str, *rules: str, limit_s: float = 60.0):
    path = folder / "ends.py"
    path.write_text(ENDING.format(line=line))
    (report,) = check(path, rules=rules, limit_s=limit_s)
    (here,) = [n for n, text in enumerate(path.read_text().splitlines(), 1) if "# here" in text]
    return {result.rule: result for result in report.results}, f"{path}:{here}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sys.exit(3)", "SystemExit"),
        ("os._exit(3)", "os._exit(3) ends the process"),
        ("ctypes.string_at(0)", "it ended the process, by SIGSEGV"),
    ],
)
def test_what_ends_the_process_is_a_broken_rule_with_its_line(tmp_path, line, words) -> None:
    results, here = checked(tmp_path, line, "interface", "hooks-run")
    assert results["interface"].outcome == "pass"
    assert results["hooks-run"].outcome == "fail"
    assert words in results["hooks-run"].why
    assert results["hooks-run"].where == here


def test_an_endless_loop_is_ended_and_what_comes_after_is_skipped(tmp_path) -> None:
    results, here = checked(
        tmp_path, "while True: pass", "interface", "hooks-run", "no-peeking", limit_s=8.0
    )
    assert results["interface"].outcome == "pass"
    assert results["hooks-run"].why == "it did nothing for 8 s"
    assert results["hooks-run"].where == here
    assert results["no-peeking"].outcome == "skip"
    assert "see `hooks-run`" in results["no-peeking"].why


def test_a_file_that_ends_the_process_on_import(tmp_path) -> None:
    path = tmp_path / "ends.py"
    path.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(PluginError, match="it ended the process, by SIGKILL"):
        check(path)


def test_mistakes_come_back_as_what_they_are(tmp_path) -> None:
    with pytest.raises(UnknownNameError, match="there is no plug-in 'magnitud'") as caught:
        check("magnitud")
    assert "did you mean 'magnitude'" in str(caught.value)
    with pytest.raises(UnknownNameError, match="there is no rule 'hook-runs'"):
        check("magnitude", rules=["hook-runs"])
