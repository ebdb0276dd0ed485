"""The page in a real browser, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from robench.board.leaderboard import leaderboard
from robench.board.views import views_of
from robench.spec import Record

if TYPE_CHECKING:
    from tests.board.conftest import Elements

Parse = Callable[[str], "Elements"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no Chromium here")


def test_charts_are_drawn_and_the_table_sorts(
    chromium: str, built: Path, records: list[Record], parse: Parse, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=15000",
            "--dump-dom",
            (built / "index.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    drawn = [view for view in views_of(leaderboard(records)) if view.spec]
    page = parse(done.stdout)
    assert len(page.of("svg", **{"class": "marks"})) == len(drawn)
    assert not [div for div in page.of("div") if div.text.startswith("The chart cannot be drawn")]
    assert page.of("div", id="rows_wrapper")
    assert "Content Security Policy" not in done.stderr
