"""Any valid records make a board: no name, missing seed or open interval costs the page."""

from __future__ import annotations

import csv
import io
import logging
import random
import re
import tempfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from robench.board import build_board, summary_text
from robench.board.model.leaderboard import leaderboard
from robench.board.render.markdown import readme
from robench.board.render.page import page
from robench.board.render.spreadsheet import csv_of
from robench.board.views import views_of
from robench.escape import for_csv
from robench.spec import Metric, PluginRef, Record

Make = Callable[..., list[Record]]

HOSTILE = (
    "</script><script>alert(1)</script>", "<!-- <script>", "'\"`{{ 7 * 7 }}", "=cmd|'/C calc'!A0",
    "@SUM(A1)", "-2+3", "a | b\n| c", "\x1b[2J\x9b", "\u202eevil", "датасет 数 🙂",
    "dense (version 2)", "given-mine", "x" * 300, "a · b", "\\", "$&", "none", "trees", "humans",
    "\x00", "%s", "\u2028", "\ufffe",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)
STATUSES = ["ok", "ok", "ok", "failed", "not-applicable", "noisy", "interrupted"]


@st.composite
def boards(draw: st.DrawFn, base: list[Record]) -> list[Record]:
    """The records of a small grid under other names, with holes, failures and open intervals."""
    renamed = ("halo", "ssl", "digits", "mlp", "suite", "reason")
    names = {name: draw(NAMES) for name in renamed}
    # Thousands of choices are more than hypothesis draws for one example.
    chance = random.Random(draw(st.integers(0, 2**32)))
    kept = [record for record in base if chance.random() < 0.9]
    found = (_changed(record, names, chance) for record in kept)
    return list({record.id: record for record in found}.values())


def _changed(record: Record, names: dict[str, str], chance: random.Random) -> Record:
    cell = record.cell
    method = cell.method
    if method.name in names:
        method = PluginRef(name=names[method.name], version=chance.choice((1, 1, 2)))
    cell = cell.model_copy(
        update={
            "method": method,
            "data": PluginRef(name=names["digits"], version=1),
            "model": PluginRef(name=names["mlp"], version=1),
            "suite": names["suite"],
        }
    )
    status = chance.choice(STATUSES)
    is_ok = status == "ok"
    change = {
        "id": cell.id,
        "cell": cell,
        "status": status,
        "reason": None if is_ok else names["reason"],
        "metrics": tuple(_altered(m, chance) for m in record.metrics) if is_ok else (),
    }
    return record.model_copy(update=change)


def _altered(metric: Metric, chance: random.Random) -> Metric:
    """The metric as it is, without a value, with an interval that is open, or of one image."""
    changes: list[dict[str, object]] = [
        {"value": None, "low": None, "high": None}, {"high": None}, {"low": None}, {"n": 1},
        {}, {}, {}, {}, {},
    ]  # fmt: skip
    return metric.model_copy(update=chance.choice(changes))


@pytest.fixture(scope="module")
def base(make: Make) -> list[Record]:
    return make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        methods=(("dense", ()), ("halo", ()), ("ssl", ())),
        levels=(0.5, 0.9),
        seeds=2,
        distortions=("uniform-noise",),
    )


class Scripts(HTMLParser):
    """What a browser would run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.count = 0
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def checked(records: list[Record]) -> None:
    board = leaderboard(records)
    views = views_of(board)
    scripts = Scripts(page(board, views, title="t"))
    assert scripts.count in (0, 4, 5)
    assert scripts.handlers == []
    for row in csv.reader(io.StringIO(csv_of(board.everything), newline="")):
        assert [for_csv(field) for field in row] == row
    shown = summary_text(records) + readme(board, views, title="t")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)


def drawn(records: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build_board(records, Path(folder))
        for plot in (Path(folder) / "plots").glob("*.svg"):
            ET.parse(plot)


QUICK = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)


@QUICK
@given(data=st.data())
def test_any_valid_records_make_a_board(
    data: st.DataObject, base: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "robench"):
        checked(data.draw(boards(base)))
    assert caplog.text == ""


@pytest.mark.slow
@settings(QUICK, max_examples=30)
@given(data=st.data())
def test_many_valid_records_are_drawn(
    data: st.DataObject, base: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    records = data.draw(boards(base))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "robench"):
        checked(records)
        drawn(records)
    assert caplog.text == ""


def test_hostile_names_in_the_terminal_and_the_table(base: list[Record]) -> None:
    def renamed(record: Record, name: str) -> Record:
        cell = record.cell.model_copy(update={"data": PluginRef(name=name, version=1)})
        return record.model_copy(update={"cell": cell, "id": cell.id})

    records = [renamed(record, name) for name in HOSTILE for record in base[:3]]
    shown = summary_text(records)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", shown)
    board = leaderboard(records)
    assert len(board.panels) == len(HOSTILE)
    rows = list(csv.DictReader(io.StringIO(csv_of(board.everything), newline="")))
    assert {row["data_name"] for row in rows} == set(map(for_csv, HOSTILE))
