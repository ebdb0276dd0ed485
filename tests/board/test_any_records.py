"""Any valid records make a board: no name, missing seed or open interval costs the page."""

from __future__ import annotations

import csv
import io
import logging
import re
import tempfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.board import build_board, summary_text
from robench.escape import for_csv
from robench.spec import Metric, PluginRef, Record

Make = Callable[..., list[Record]]

HOSTILE = (
    "</script><script>alert(1)</script>", "<!-- <script>", "'\"`{{ 7 * 7 }}", "=cmd|'/C calc'!A0",
    "@SUM(A1)", "-2+3", "a | b\n| c", "\x1b[2J\x9b", "\u202eevil", "датасет 数 🙂",
    "dense (version 2)", "given-mine", "x" * 300, "a · b", "\\", "$&", "none", "trees", "humans", "\x00",
    "%s", "\u2028", "\ufffe",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)
STATUSES = st.sampled_from(["ok", "ok", "ok", "failed", "not-applicable", "noisy", "interrupted"])


@st.composite
def boards(draw: st.DrawFn, base: list[Record]) -> list[Record]:
    """The records of a small grid under other names, with holes, failures and open intervals."""
    renamed = ("halo", "ssl", "digits", "mlp", "suite", "reason")
    names = {name: draw(NAMES) for name in renamed}
    version = draw(st.integers(1, 3))
    found = []
    for record in base:
        if draw(st.integers(0, 9)) == 0:
            continue
        cell = record.cell
        method = cell.method
        if method.name in names:
            method = PluginRef(name=names[method.name], version=version)
        cell = cell.model_copy(
            update={
                "method": method,
                "data": PluginRef(name=names["digits"], version=1),
                "model": PluginRef(name=names["mlp"], version=1),
                "suite": names["suite"],
            }
        )
        status = draw(STATUSES)
        ok = status == "ok"
        change = {
            "id": cell.id,
            "cell": cell,
            "status": status,
            "reason": None if ok else names["reason"],
            "metrics": tuple(draw(altered(metric)) for metric in record.metrics) if ok else (),
        }
        found.append(record.model_copy(update=change))
    return list({record.id: record for record in found}.values())


@st.composite
def altered(draw: st.DrawFn, metric: Metric) -> Metric:
    """The metric as it is, without a value, with an interval that is open, or of one image."""
    kind = draw(st.integers(0, 9))
    changes: dict[int, dict[str, object]] = {
        0: {"value": None, "low": None, "high": None},
        1: {"high": None},
        2: {"low": None},
        3: {"n": 1},
    }
    return metric.model_copy(update=changes.get(kind, {}))


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


def checked(records: list[Record], folder: Path) -> None:
    page = build_board(records, folder)
    scripts = Scripts(page.read_text(encoding="utf-8"))
    assert scripts.count in (0, 4, 5)
    assert scripts.handlers == []
    for plot in (folder / "plots").glob("*.svg"):
        ET.parse(plot)
    with (folder / "results.csv").open(encoding="utf-8", newline="") as opened:
        for row in csv.reader(opened):
            assert [for_csv(field) for field in row] == row
    shown = summary_text(records)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", (folder / "README.md").read_text())


SLOW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@SLOW
@given(data=st.data())
def test_any_valid_records_make_a_board(
    data: st.DataObject, base: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    records = data.draw(boards(base))
    caplog.clear()
    with tempfile.TemporaryDirectory() as folder, caplog.at_level(logging.WARNING, "robench"):
        checked(records, Path(folder))
    assert caplog.text == ""


@pytest.mark.slow
@settings(SLOW, max_examples=100)
@given(data=st.data())
def test_many_valid_records_make_boards(
    data: st.DataObject, base: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    records = data.draw(boards(base))
    caplog.clear()
    with tempfile.TemporaryDirectory() as folder, caplog.at_level(logging.WARNING, "robench"):
        checked(records, Path(folder))
    assert caplog.text == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_in_the_terminal_and_the_table(base: list[Record], name: str) -> None:
    from robench.board.leaderboard import leaderboard
    from robench.board.spreadsheet import csv_of

    def renamed(record: Record) -> Record:
        cell = record.cell.model_copy(update={"data": PluginRef(name=name, version=1)})
        return record.model_copy(update={"cell": cell, "id": cell.id})

    records = [renamed(record) for record in base[:40]]
    assert "\x1b" not in summary_text(records)
    rows = list(csv.DictReader(io.StringIO(csv_of(leaderboard(records).everything))))
    assert {row["data_name"] for row in rows} == {for_csv(name)}
