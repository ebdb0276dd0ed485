"""The command line in this process."""

from __future__ import annotations

import sys

import pytest

from robench.cli import main


@pytest.fixture
def robench(monkeypatch, capsys):
    """Runs a command in this process: gives exit status, standard output and standard error."""

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["robench", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(caught.value.code or 0), out, err

    return command
