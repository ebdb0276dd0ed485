"""A target under test in a process of its own, which it may end, hang or crash.

What a plug-in does on being imported and in its hooks happens in a child process that answers one
rule at a time. When the child dies, or shows no sign of life for too long, the rule that was being
held is broken, with the line of the plug-in that Python was executing last, and the rules after it
are skipped: they would only run into the same.

The two processes talk in lines of JSON: rules over the child's standard input, answers over a
descriptor of their own, so that a plug-in may print what it likes.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from robench.conformance.named import check_is_there
from robench.conformance.report import RuleInfo, RuleResult, SubjectInfo
from robench.errors import PluginError, RobenchError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["SILENCE_LIMIT_S", "Apart"]

SILENCE_LIMIT_S = 120.0
"""Seconds without a sign of life, such as the beginning of the next run, until a child is ended."""
_LONGEST_START_S = 120.0
"""Seconds for importing torch and robench, whatever the limit for plug-ins."""
_LONGEST_GOODBYE_S = 2.0
_KINDS = {kind.__name__: kind for kind in (PluginError, UnknownNameError, UsageError)}


class Apart:
    """A child process that holds rules against a target.

    Args:
        target: a plug-in file, a name, or ``all``.
        note: is told what is being done.
        rules: names of the rules to hold; none means all.
        limit_s: seconds without a sign of life until the child is ended.

    Attributes:
        subjects: what the target stands for.
        rules: those to hold against each kind of plug-in, by the word for it.

    Raises:
        PluginError: the target cannot be used, or importing it ended the process.
        UnknownNameError: there is nothing of that name.
    """

    def __init__(
        self,
        target: str | Path,
        note: Callable[[str], None] = lambda _: None,
        *,
        rules: Sequence[str] = (),
        limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        check_is_there(target)
        self._note = note
        self._limit_s = limit_s
        self._ended: str | None = None
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed in close()
        answers, write = os.pipe()
        self._child = subprocess.Popen(  # noqa: S603 - nothing in the command is a user's
            [sys.executable, "-m", "robench.conformance.apart", str(write)],
            stdin=subprocess.PIPE,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=[write],
            text=True,
        )
        os.close(write)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(answers,), daemon=True)
        self._reader.start()
        try:
            self._send({"target": str(target), "rules": list(rules), "path": sys.path})
            answer = self._answer(PluginError, max(limit_s, _LONGEST_START_S))
        except BaseException:
            self.close()
            raise
        self.subjects = tuple(SubjectInfo.model_validate(one) for one in answer["subjects"])
        self.rules = {
            word: [RuleInfo.model_validate(one) for one in of_kind]
            for word, of_kind in answer["rules"].items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._reader.join()
        if self._child.stdin is not None:
            self._child.stdin.close()
        self._errors.close()

    def hold(self, rule: RuleInfo, subject: SubjectInfo) -> RuleResult:
        """Hold one rule against one subject."""
        clock = time.perf_counter()
        where: str | None = None
        if self._ended is None:
            try:
                self._send({"rule": rule.name, "subject": self.subjects.index(subject)})
                return RuleResult.model_validate(self._answer(_EndedError, self._limit_s)["result"])
            except _EndedError as error:
                self._ended = rule.name
                outcome, why, where = "fail", str(error.args[0]), self._line_in(subject)
        else:
            outcome, why = "skip", f"not tried, since its process ended; see `{self._ended}`"
        return RuleResult.model_validate(
            {
                "rule": rule.name,
                "meaning": rule.meaning,
                "remedy": rule.remedy,
                "outcome": outcome,
                "why": why,
                "where": where,
                "seconds": round(time.perf_counter() - clock, 3),
            }
        )

    # -- talking ------------------------------------------------------------------------------

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as answers:
            for line in answers:
                self._lines.put(line)
        self._lines.put(None)

    def _send(self, message: dict[str, Any]) -> None:
        stdin = self._child.stdin
        with suppress(BrokenPipeError):  # it is dead, as the missing answer will tell
            if stdin is not None:
                stdin.write(json.dumps(message) + "\n")
                stdin.flush()

    def _answer(self, ended: type[Exception], limit_s: float) -> dict[str, Any]:
        """The next answer; notes on the way are passed on."""
        while True:
            try:
                line = self._lines.get(timeout=limit_s)
            except queue.Empty:
                self._end_silent_child()
                raise ended(f"it did nothing for {limit_s:g} s") from None
            if line is None:
                raise ended(_how_it_ended(self._child.wait()))
            answer: dict[str, Any] = json.loads(line)
            if "note" in answer:
                self._note(answer["note"])
            elif "error" in answer:
                raise _rebuilt(answer)
            else:
                return answer

    def _end_silent_child(self) -> None:
        """Have the child write down where it is, then end it."""
        self._child.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        self._child.kill()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_LONGEST_GOODBYE_S)

    def _line_in(self, subject: SubjectInfo) -> str | None:
        """The innermost line of the subject's own file in what faulthandler wrote."""
        self._errors.flush()
        self._errors.seek(0)
        for file, line in re.findall(r'File "(.+?)", line (\d+) in', self._errors.read()):
            if file == subject.file:
                return f"{file}:{line}"
        return subject.line


class _EndedError(Exception):
    """The child is no more."""


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"it ended the process, by {signal.Signals(-status).name}"
    return f"it ended the process, with status {status}"


def _rebuilt(answer: dict[str, Any]) -> UsageError:
    """An error of the child as one of this process."""
    kind = _KINDS.get(answer["kind"], UsageError)
    error = kind.__new__(kind)
    RobenchError.__init__(
        error, answer["error"], where=answer["where"], allowed=answer["allowed"],
        hint=answer["hint"],
    )  # fmt: skip
    return error


# -- the child ------------------------------------------------------------------------------------


def main() -> None:
    """Answer rules from standard input until it ends."""
    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1)
    with os.fdopen(int(sys.argv[1]), "w") as answers:

        def answer(message: dict[str, Any]) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        _serve(answer)


def _serve(answer: Callable[[dict[str, Any]], None]) -> None:
    order = json.loads(sys.stdin.readline())
    sys.path[:] = order["path"]
    os._exit = _refuse_exit
    answer({"note": "importing torch"})
    from robench.conformance.kit import RULES_OF, check_rule, chosen_rules, rules_for
    from robench.conformance.targets import subjects_of

    try:
        chosen_rules(order["rules"])
        subjects = subjects_of(order["target"], lambda text: answer({"note": text}))
    except UsageError as error:
        answer(
            {
                "kind": type(error).__name__,
                "error": error.what,
                "where": error.where,
                "allowed": error.allowed,
                "hint": error.hint,
            }
        )
        return
    asked_for = {word: rules_for(word, order["rules"]) for word in RULES_OF}
    rules = {
        word: [{"name": r.name, "meaning": r.meaning, "remedy": r.remedy} for r in of_kind]
        for word, of_kind in asked_for.items()
    }
    answer({"subjects": [subject.info.model_dump() for subject in subjects], "rules": rules})
    for line in sys.stdin:
        asked = json.loads(line)
        subject = subjects[asked["subject"]]
        result = check_rule(RULES_OF[subject.word][asked["rule"]], subject)
        answer({"result": result.model_dump(mode="json")})


def _refuse_exit(status: int) -> NoReturn:
    """In place of os._exit, so that the line which calls it can be named."""
    raise SystemExit(f"os._exit({status}) ends the process")


if __name__ == "__main__":
    main()
