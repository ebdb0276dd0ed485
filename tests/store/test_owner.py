"""Which process is meant, and whether it lives."""

from __future__ import annotations

import subprocess
import sys

from robench.store.owner import Owner


def test_this_process_is_here_and_alive() -> None:
    owner = Owner.this_process()
    assert owner.is_here
    assert owner.is_alive() is True
    assert Owner.model_validate_json(owner.model_dump_json()) == owner


def test_a_process_that_ended_and_a_later_one_of_its_number_are_not_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    me = Owner.this_process()
    try:
        import psutil

        theirs = me.model_copy(
            update={"pid": child.pid, "born": psutil.Process(child.pid).create_time()}
        )
        assert theirs.is_alive() is True
        assert theirs.model_copy(update={"born": theirs.born - 100}).is_alive() is False
    finally:
        child.communicate(b"\n")
    assert theirs.is_alive() is False


def test_nothing_is_known_of_another_machine() -> None:
    far = Owner.this_process().model_copy(update={"machine": "elsewhere"})
    assert not far.is_here
    assert far.is_alive() is None
