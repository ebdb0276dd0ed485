"""`robench show degradations`: pictures of images, whatever they are given by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robench import contact_sheet
from robench.board import summary_text
from robench.spec import Cell, PluginRef, Recipe, Record
from robench.store import Store


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_data_set(robench, tmp_path: Path) -> None:
    status, out, err = robench("show", "degradations", "digits", "--index", 5, "--out", "d.svg")
    assert (status, err) == (0, "")
    assert out == f"{tmp_path / 'd.svg'}\n"
    text = (tmp_path / "d.svg").read_text()
    assert "digits, test image 5" in text
    assert "low-pass" in text


def test_an_image_file(robench, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("mine.jpg")
    status, out, _ = robench("show", "degradations", "mine.jpg")
    assert (status, out) == (0, f"{tmp_path / 'degradations.png'}\n")
    with Image.open("degradations.png") as sheet:
        assert sheet.width > 1500


def test_corruptions(robench) -> None:
    status, out, _ = robench("show", "corruptions", "digits", "--out", "c.png")
    assert status == 0
    with Image.open(out.strip()) as sheet:
        assert sheet.height > 500


def test_from_python(tmp_path: Path) -> None:
    path = contact_sheet("degradations", "digits", out=tmp_path / "x.svg")
    assert path == tmp_path / "x.svg"
    assert path.is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("degradations", "nope.png"), "there is no image 'nope.png'"),
        (("degradations", "digit"), "did you mean 'digits'?"),
        (("degradations", "breast-cancer"), "holds no images"),
        (("degradations", "digits", "--index", "359"), "no test image 359"),
        (("degradations", "digits", "--index", "-1"), "no test image -1"),
        (("degradations", "digits", "--out", "x.gif"), "cannot be written as 'x.gif'"),
        (("abcdef", "digits"), "a cell has no 'digits' to show"),
    ],
)
def test_mistakes(robench, words: tuple[str, ...], message: str) -> None:
    status, out, err = robench("show", *words)
    assert (status, out) == (2, "")
    assert message in err


def test_a_file_that_is_no_image(robench) -> None:
    Path("text.png").write_text("no image")
    status, _, err = robench("show", "degradations", "text.png")
    assert status == 2
    assert "text.png cannot be read as an image" in err


ESCAPE = "\x1b]0;owned\x07\x9b2J\u202e"


@pytest.fixture
def hostile() -> Record:
    """A record whose names and errors want to move the cursor, in the folder ``results``."""
    cell = Cell(
        stage="train",
        suite=f"suite{ESCAPE}",
        suite_version=1,
        data=PluginRef(name=f"data{ESCAPE}", version=1),
        data_sha256="0" * 64,
        model=PluginRef(name="mlp\nstatus   ok", version=1),
        method=PluginRef(name="halo", version=1, params={"note": ESCAPE}),
        level=0.5,
        seed=0,
        recipe=Recipe(),
    )
    record = Record(
        id=cell.id,
        cell=cell,
        status="failed",
        reason=f"first{ESCAPE}\nsecond line",
        traceback=f'File "x"\n{ESCAPE}',
        details={"method": {ESCAPE: ESCAPE}},
    )
    Store(Path("results")).write(record)
    return record


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_terminal_obeys_nothing_in_a_record(robench, hostile: Record, words) -> None:
    status, out, err = robench("show", hostile.id, *words)
    assert (status, err) == (0, "")
    assert not set(out) & set("\x1b\x07\x9b\u202e\r")
    assert r"\u001b]0;owned\u0007\u009b2J\u202e" in out
    if words:
        assert Record.model_validate_json(out) == hostile
    else:
        assert [line for line in out.splitlines() if line.startswith("status")] == [
            r"status   failed: first\u001b]0;owned\u0007\u009b2J\u202e"
        ]
        assert "\nsecond line\n" in out


def test_nor_in_a_summary_or_an_error(robench, hostile: Record) -> None:
    status, out, err = robench("show", f"no{ESCAPE}")
    assert status == 2
    assert not set(out + err) & set("\x1b\x07\x9b\u202e")
    assert not set(summary_text([hostile])) & set("\x1b\x07\x9b\u202e")
