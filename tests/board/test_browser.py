"""The page in a real browser, where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from robench.board.model.leaderboard import leaderboard
from robench.board.views import views_of
from robench.spec import Record

if TYPE_CHECKING:
    from tests.board.conftest import Elements

Parse = Callable[[str], "Elements"]
pytestmark = pytest.mark.slow

SCHEMES = {"dark": 0, "light": 1}
AXE = "ROBENCH_AXE"
"""Environment variable that holds the path of axe-core's ``axe.min.js``, where it is there."""

_CHECKS = """
const found = {};
const focusable = "a[href], button, select, input, summary, [tabindex]";
found.nestedInteractive = [...document.querySelectorAll("[role=img], button, summary")]
  .filter((e) => e.querySelector(focusable)).length;
found.summaryWithoutName = [...document.querySelectorAll("summary")]
  .filter((e) => !e.textContent.trim() && !e.getAttribute("aria-label")).length;
found.svgImageWithoutName = [...document.querySelectorAll(
  "svg[role=img], svg [role=img], svg [role=graphics-symbol], svg [role=graphics-document]")]
  .filter((e) => !e.closest("[aria-hidden=true]") && !e.getAttribute("aria-label")).length;
found.emptyTableHeader = [...document.querySelectorAll("th")]
  .filter((e) => !e.textContent.trim() && !e.getAttribute("aria-label")).length;
found.scrollableWithoutFocus = [...document.querySelectorAll("*")]
  .filter((e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX))
  .filter((e) => e.scrollWidth > e.clientWidth + 1)
  .filter((e) => e.tabIndex < 0 && !e.querySelector(focusable)).length;
const labels = [...document.querySelectorAll("[role=region]")]
  .map((e) => e.getAttribute("aria-label"));
found.regionsOfOneName = labels.length - new Set(labels).size;
found.chartsWithoutMarks = [...document.querySelectorAll(".chart")]
  .filter((e) => !e.querySelector(".role-mark path, .role-mark text, .role-mark line")).length;
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no Chromium here")


def opened(
    chromium: str, page: Path, profile: Path, scheme: str = "light"
) -> subprocess.CompletedProcess[str]:
    """The page as the browser has it in the end, and its log."""
    return subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
            "--window-size=1280,2400",
            "--enable-logging=stderr",
            "--virtual-time-budget=30000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )


def result_of(
    chromium: str, built: Path, folder: Path, script: str, scheme: str = "light"
) -> dict[str, Any]:
    """What a script finds on the page, which sets ``found``, once the charts are drawn."""
    html = (built / "index.html").read_text(encoding="utf-8")
    # The page's own policy would not run it.
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    end = html.rindex("</body>")
    run = f"""<script>window.addEventListener("load", () => setTimeout(async () => {{
      for (const details of document.querySelectorAll("details")) details.open = true;
      {script}
      const out = document.createElement("script");
      out.type = "application/json"; out.id = "found"; out.textContent = JSON.stringify(found);
      document.body.append(out);
    }}, 5000));</script>"""
    copy = folder / "copy.html"
    copy.write_text(html[:end] + run + html[end:], encoding="utf-8")
    done = opened(chromium, copy, folder / "profile", scheme)
    match = re.search(r'id="found">(.*?)</script>', done.stdout, re.DOTALL)
    assert match is not None, done.stderr
    return dict(json.loads(match[1]))


def test_charts_are_drawn_the_table_sorts_and_the_console_is_silent(
    chromium: str, built: Path, records: list[Record], parse: Parse, tmp_path: Path
) -> None:
    done = opened(chromium, built / "index.html", tmp_path)
    drawn = [view for view in views_of(leaderboard(records)) if view.spec]
    page = parse(done.stdout)
    assert len(page.of("svg", **{"class": "marks"})) == len(drawn)
    assert not [div for div in page.of("div") if div.text.startswith("The chart cannot be drawn")]
    assert page.of("div", id="rows_wrapper")
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_everyone_can_use_the_page(chromium: str, built: Path, tmp_path: Path, scheme: str) -> None:
    found = result_of(chromium, built, tmp_path, _CHECKS, scheme)
    assert found == dict.fromkeys(found, 0)
    assert len(found) == 7


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_axe_finds_nothing(chromium: str, built: Path, tmp_path: Path, scheme: str) -> None:
    if AXE not in os.environ:
        pytest.skip(f"{AXE} does not name axe-core's axe.min.js")
    axe = Path(os.environ[AXE]).read_text(encoding="utf-8").replace("</script", "<\\/script")
    script = f"""{axe};
      const rules = axe.getRules().map((rule) => [rule.ruleId, {{ enabled: true }}]);
      const result = await axe.run(document, {{ rules: Object.fromEntries(rules) }});
      const found = {{ dark: matchMedia("(prefers-color-scheme: dark)").matches }};
      for (const one of result.violations) found[one.id] = one.nodes.map((node) => node.html);
    """
    found = result_of(chromium, built, tmp_path, script, scheme)
    assert found == {"dark": scheme == "dark"}


def test_choices_stay_where_there_is_data(chromium: str, built: Path, tmp_path: Path) -> None:
    """Whatever is chosen, the selectors of a chart show a combination that has data."""
    script = """
      const found = { wrong: [], tried: 0 };
      const specs = JSON.parse(document.getElementById("specs").textContent);
      for (const select of document.querySelectorAll("select[data-view]")) {
        const choices = specs[select.dataset.view].usermeta.choices;
        if (!choices?.parameters.includes(select.dataset.parameter)) continue;
        for (const option of select.options) {
          select.value = option.value;
          select.dispatchEvent(new Event("change"));
          const now = choices.parameters.map((name) => Number(document.querySelector(
            `select[data-view="${select.dataset.view}"][data-parameter="${name}"]`).value));
          const isThere = choices.combinations.some((c) => c.join() === now.join());
          const isKept = select.value === option.value;
          if (!isThere || !isKept) found.wrong.push([select.dataset.view, now]);
          found.tried += 1;
        }
      }
    """
    found = result_of(chromium, built, tmp_path, script)
    assert found["wrong"] == []
    assert found["tried"] > 10


def test_a_spreadsheet_gets_no_formula_from_the_button(
    chromium: str, built: Path, tmp_path: Path
) -> None:
    """The button writes what the reader sees; names that begin like formulas get an apostrophe."""
    html = (built / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(html.replace(">halo<", ">=cmd|x<"), encoding="utf-8")
    script = """
      const blobs = [];
      const make = URL.createObjectURL.bind(URL);
      URL.createObjectURL = (blob) => { blobs.push(blob); return make(blob); };
      document.querySelector(".buttons-csv").click();
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const found = { text: blobs.length ? await blobs.at(-1).text() : "" };
    """
    text = result_of(chromium, tmp_path, tmp_path, script)["text"]
    assert '"\'=cmd|x"' in text
    assert not re.search(r'(^|,)"=', text, re.MULTILINE)
    assert re.search(r'"magnitude","50"', text)
