"""Claims at the command line: verdicts, what is missing, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from robench.claims import claim
from robench.claims.judge import judged, verdicts
from robench.cli import app
from robench.errors import UsageError
from robench.spec import Record
from robench.store import Store


@pytest.fixture
def results(tmp_path: Path, made: Callable[..., list[Record]]) -> Path:
    store = Store(tmp_path / "r")
    for record in made("ssl"):
        store.write(record)
    return tmp_path / "r"


def test_claims_are_judged_by_the_records_of_their_suites(results: Path) -> None:
    [(_, [(place, statements)]), (_, nothing)] = verdicts([claim("ssl"), claim("halo")], results)
    assert place == "mnist · mlp"
    assert [statement.verdict for statement in statements] == ["holds", "holds"]
    assert nothing == []
    lines = list(judged([claim("ssl"), claim("halo")], results))
    assert "Wen et al. 2016" in lines[0]
    assert lines[-1].endswith("(suite methods)")


def test_the_verb(results: Path) -> None:
    done = CliRunner().invoke(app, ["claims", str(results), "--only", "ssl"])
    assert done.exit_code == 0
    assert "MACs left" in done.stdout
    assert "holds" in done.stdout
    missing = CliRunner().invoke(app, ["claims", str(results / "nowhere")])
    assert isinstance(missing.exception, UsageError)
