"""Reading a table: what a file must look like, and what is said where it does not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pandas as pd

from robench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ENDINGS", "is_table", "read_table"]

ENDINGS = "*.csv or *.tsv, also with .gz, .bz2, .xz or .zip behind it; *.parquet"
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_LARGEST_BYTES = 1 << 31
"""The largest table, unpacked: a packed file of some megabytes can hold one that fills the memory.
"""
_OPENERS: Mapping[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_SHOWN = 5
"""Columns that one message names."""


def is_table(name: str) -> bool:
    """Whether a file of this name can be read."""
    return _ending(name) in (*_SEPARATORS, ".parquet")


def read_table(file: Path, separator: str | None = None) -> pd.DataFrame:
    """All columns of a file, each with a name of its own.

    Missing are empty fields, ``NA``, ``NaN``, ``None``, ``null`` and the ``?`` of the UCI archive.

    Args:
        file: its ending is one of `ENDINGS`.
        separator: between two fields; `None` means the comma of .csv and the tab of .tsv.

    Raises:
        DataError: a file that cannot be read, or columns without names of their own.
    """
    _check_unpacked(file)
    return _parquet(file) if _ending(file.name) == ".parquet" else _text(file, separator)


def _check_unpacked(file: Path) -> None:
    """Refuse what unpacks into more than memory should hold."""
    try:
        size = _unpacked_bytes(file)
    except _BROKEN as error:
        raise DataError(f"the file cannot be read: {error}", where=str(file)) from error
    if size > _LARGEST_BYTES:
        raise DataError(
            "the table is too large",
            where=str(file),
            allowed=f"up to {_LARGEST_BYTES >> 30} GiB, unpacked",
            hint="keep fewer rows or columns",
        )


def _unpacked_bytes(file: Path) -> int:
    """Of a table, or more than the most that it may have."""
    ending = file.suffix.lower()
    if ending == ".zip":
        with zipfile.ZipFile(file) as archive:
            return sum(member.file_size for member in archive.infolist())
    if ending not in _OPENERS:
        return file.stat().st_size
    size = 0
    with cast("IO[bytes]", _OPENERS[ending](file)) as unpacked:
        while size <= _LARGEST_BYTES and (part := unpacked.read(1 << 20)):
            size += len(part)
    return size


def _ending(name: str) -> str:
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix


def _text(file: Path, separator: str | None) -> pd.DataFrame:
    how: dict[str, Any] = {
        "sep": separator or _SEPARATORS[_ending(file.name)],
        "encoding": "utf-8-sig",
        "skipinitialspace": True,
    }
    try:
        # pandas would rename the second of two columns of one name, and take numbers for names.
        head = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False, **how)
        names = [str(name).strip() for name in head.iloc[0]]
        _check_head(file, names)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(
                file,
                header=0,
                names=names,
                index_col=False,
                na_values=["?"],
                low_memory=False,
                **how,
            )
            return frame
    except pd.errors.EmptyDataError:
        raise DataError("the file is empty", where=str(file)) from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(
            f"not every row has as many fields as there are column names: {error}",
            where=str(file),
            hint="mend the row; a field with a separator in it needs quotation marks",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"the file is not UTF-8: {error.reason} at byte {error.start}",
            where=str(file),
            hint="convert it, for instance with `iconv -t UTF-8`",
        ) from error
    except _BROKEN as error:
        raise DataError(f"the file cannot be read: {error}", where=str(file)) from error


def _parquet(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file)
    except ImportError:
        raise DataError(
            "Parquet files need the package pyarrow, which is not installed",
            where=str(file),
            hint="`pip install pyarrow`, or save the table as .csv.gz",
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(file)) from error
    frame.columns = frame.columns.map(str)
    _check_names(file, list(frame.columns))
    return frame.reset_index(drop=True)


def _check_head(file: Path, names: Sequence[str]) -> None:
    if len(names) > 1 and pd.to_numeric(pd.Series(names), errors="coerce").notna().all():
        raise DataError(
            f"the first row holds numbers ({', '.join(names[:3])}, …), not the columns' names",
            where=f"{file}, row 1 of the file",
            hint="write a first row with a name for each column",
        )
    if len(names) == 1 and ";" in names[0]:
        raise DataError(
            f"the table has a single column, called {names[0]!r}",
            where=str(file),
            hint="fields that end with a semicolon need `separator: ';'`",
        )
    _check_names(file, names)


def _check_names(file: Path, names: Sequence[str]) -> None:
    unnamed = [place for place, name in enumerate(names, start=1) if not name]
    if unnamed:
        raise DataError(
            f"column {unnamed[0]} has no name",
            where=f"{file}, row 1 of the file",
            hint="name it; a data frame's index is left out by `to_csv(index=False)`",
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"several columns have one name: {', '.join(map(repr, twice[:_SHOWN]))}",
            where=f"{file}, row 1 of the file",
            hint="give each column a name of its own",
        )
