from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.page import page
from robench.board.views import views_of
from robench.spec import PluginRef, Record

if TYPE_CHECKING:
    from tests.board.conftest import Elements

Make = Callable[..., list[Record]]
Parse = Callable[[str], "Elements"]
EVIL = "</script><script>alert(1)</script>"
SCRIPTS = 5  # three with data, the charts' and the page's own


@pytest.fixture(scope="module")
def html(built: Path) -> str:
    return (built / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def evil(make: Make) -> str:
    """The page of results whose names want to be code."""
    records = make(
        data=("<img src=x onerror=alert(2)>",),
        models=(PluginRef(name='{{ 7 * 7 }}" onmouseover="alert(3)', version=1),),
        methods=(("dense", ()), (EVIL, ()), ("<!-- <script>", ()), ("'; datum.level", ())),
        levels=(0.5, 0.9),
        seeds=1,
        distortions=(),
    )
    failed = records[-1].model_copy(update={"status": "failed", "reason": "</td><script>"})
    found = leaderboard([*records[:-1], failed])
    return page(found, views_of(found), title="<b>bold</b>")


def test_it_asks_the_network_for_nothing(html: str, parse: Parse) -> None:
    elements = parse(html)
    assert not elements.of("link")
    assert not [script for script in elements.of("script") if "src" in script.attributes]
    addresses = [
        str(address)
        for element in elements.found
        for name, address in element.attributes.items()
        if name in ("href", "src", "srcset", "action", "data", "poster")
    ]
    assert all(
        address.startswith(("#", "plots/", "data:image/"))
        or address in ("results.csv", "README.md")
        for address in addresses
    )
    styles = "".join(style.text for style in elements.of("style"))
    assert "@import" not in styles
    assert "url(http" not in styles


def test_the_browser_may_run_its_own_scripts_and_no_others(html: str, parse: Parse) -> None:
    elements = parse(html)
    [policy] = elements.of("meta", **{"http-equiv": "Content-Security-Policy"})
    programs = [script for script in elements.of("script") if "type" not in script.attributes]
    hashes = [
        base64.b64encode(hashlib.sha256(program.text.encode()).digest()).decode()
        for program in programs
    ]
    content = str(policy.attributes["content"])
    assert len(programs) == 2
    assert all(f"'sha256-{digest}'" in content for digest in hashes)
    assert "default-src 'none'" in content
    assert "unsafe-inline" not in content.partition("script-src")[2].partition(";")[0]
    # A carriage return would be changed by the parser, and the hash would no longer fit.
    assert "\r" not in html


def test_names_from_strangers_are_text(evil: str, parse: Parse) -> None:
    elements = parse(evil)
    assert len(elements.of("script")) == SCRIPTS
    assert all(str(image.attributes["src"]).startswith("plots/") for image in elements.of("img"))
    assert not [e for e in elements.found if any(name.startswith("on") for name in e.attributes)]
    assert elements.of("h1")[0].text == "<b>bold</b>"
    assert len(elements.of("button", **{"data-method": EVIL})) == 1
    assert f"{EVIL}, version 1" in [
        name.attributes["title"] for name in elements.of("span", **{"class": "name"})
    ]
    assert "49" not in [name.text for name in elements.of("span", **{"class": "name"})]


def test_names_from_strangers_survive_as_data(evil: str, parse: Parse) -> None:
    elements = parse(evil)
    [specs] = elements.of("script", id="specs")
    assert "<" not in specs.text
    assert EVIL in json.dumps(json.loads(specs.text))
    [module] = elements.of("script", id="table-module")
    assert "export{" in json.loads(module.text)


def test_the_table_stands_in_the_page_itself(html: str, parse: Parse, board: Leaderboard) -> None:
    rows = [row for row in parse(html).of("tr") if "data-method" in row.attributes]
    assert [row.attributes["data-method"] for row in rows] == [row.method for row in board.rows]
    assert "the loss became NaN at step 214" in html


def test_numbers_that_lack_a_seed_are_shown_and_not_ranked(html: str, parse: Parse) -> None:
    cells = parse(html).of("td")
    unranked = [cell for cell in cells if cell.attributes.get("class") == "number unranked"]
    shown = [cell for cell in unranked if cell.attributes["data-search"]]
    assert shown
    assert {cell.attributes["data-order"] for cell in unranked} == {""}


def test_each_number_tells_what_it_rests_on(html: str, parse: Parse) -> None:
    titles = [cell.attributes.get("title") for cell in parse(html).of("td")]
    assert "3 seeds, n = 360 each; 95% interval over seeds" in titles


def test_flags_are_told_with_their_meaning(html: str, parse: Parse) -> None:
    flags = parse(html).of("abbr", **{"class": "flag warning"})
    assert flags
    assert str(flags[0].attributes["title"]).startswith("gradient-zero (in 3 seeds): the gradient")


def test_what_went_wrong_is_listed_once_for_each_cause(html: str) -> None:
    assert html.count("lower the learning rate") == 1
    assert "12 cells" in html  # three seeds of four stages
    assert "coverage" in html.casefold()


def test_no_records_give_a_page_that_says_so(parse: Parse) -> None:
    board = leaderboard([])
    html = page(board, views_of(board), title="Empty")
    assert "There is nothing to show yet" in html
    assert "robench run" in html
    assert not parse(html).of("script")


def test_it_carries_the_licences_of_what_it_carries(html: str) -> None:
    assert "Redistributions of source code must retain" in html
    assert "Permission is hereby granted, free of charge" in html
