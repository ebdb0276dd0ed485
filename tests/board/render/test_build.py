from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from robench.analysis import table
from robench.board import build_board
from robench.errors import StoreError
from robench.spec import Record


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_written(built: Path) -> None:
    names = set(contents(built))
    assert {"index.html", "results.csv", "README.md", "plots/accuracy.svg"} <= names
    svg = (built / "plots" / "median-l2.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "digits · mlp" in svg


def test_the_same_records_give_the_same_bytes(
    built: Path, records: list[Record], tmp_path: Path
) -> None:
    shuffled = random.Random(7).sample(records, len(records))
    again = build_board(shuffled, tmp_path / "again").parent
    assert contents(again) == contents(built)


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(
    built: Path, records: list[Record], tmp_path: Path
) -> None:
    lines = "\n".join(record.model_dump_json() for record in records)
    (tmp_path / "records.jsonl").write_text(lines, encoding="utf-8")
    code = (
        "import pathlib, sys\n"
        "from robench.spec import Record\n"
        "from robench.board import build_board\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "text = (here / 'records.jsonl').read_text(encoding='utf-8')\n"
        "build_board(map(Record.model_validate_json, text.splitlines()), here / 'other')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, env={"PYTHONHASHSEED": "5"}
    )
    assert contents(tmp_path / "other") == contents(built)


def test_the_csv_has_every_number_and_every_failure(built: Path, records: list[Record]) -> None:
    written = pd.read_csv(built / "results.csv", keep_default_na=False)
    expected = table(records)
    assert len(written) == len(expected)
    assert set(written.columns) == set(expected.columns)
    assert (written["status"] == "failed").any()
    assert set(written["reason"]) >= {"the cell took longer than 120 s"}


def test_old_plots_go_and_those_of_others_stay(tmp_path: Path, built: Path) -> None:
    plots = tmp_path / "plots"
    plots.mkdir()
    old = (built / "plots" / "accuracy.svg").read_bytes()
    (plots / "degradations-9-gone.svg").write_bytes(old)
    (plots / "mine.svg").write_text("<svg/>", encoding="utf-8")
    build_board([], tmp_path)
    assert [path.name for path in plots.iterdir()] == ["mine.svg"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        build_board([], tmp_path / "file")


@pytest.mark.parametrize("module", ["robench.board", "robench.stats"])
def test_importing_the_room_imports_nothing_heavy(module: str) -> None:
    code = f"import {module}, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(done.stdout.split()) & {"torch", "pandas", "altair", "scipy", "numpy"}
