"""Reading a table: endings, packings, names of columns."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from robench.data.table_file import is_table, read_table
from robench.errors import DataError


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.csv.gz", "a.tsv.xz", "a.parquet"])
def test_what_a_table_is_called(name: str) -> None:
    assert is_table(name)


@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a", "csv"])
def test_what_no_table_is_called(name: str) -> None:
    assert not is_table(name)


def test_plain_and_packed_files_are_the_same_and_signs_of_nothing_are_missing(
    tmp_path: Path,
) -> None:
    text = "a, b\n1,?\n,x\nNA,y\n"
    plain, packed = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    plain.write_text(text, encoding="utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    frame = read_table(plain)
    assert frame.columns.tolist() == ["a", "b"]
    assert frame.isna().to_numpy().tolist() == [[False, True], [True, False], [True, False]]
    assert read_table(packed).equals(frame)


@pytest.mark.parametrize("text", ["a,a\n1,2\n", "a,\n1,2\n"])
def test_columns_need_names_of_their_own(tmp_path: Path, text: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        read_table(file)


def test_a_damaged_packing_is_one_message(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    file.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(file)
