"""From the bytes of a record to a record: checked against its name, older ones migrated.

A record says by which schema it was written. An older one is brought up to date in memory; the
file stays as it is. A newer one is none of this version's business: it is neither read nor moved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from robench.errors import NewerRecordError, StoreError
from robench.spec import digest
from robench.spec.record import SCHEMA_VERSION, Record

__all__ = ["SCHEMA_VERSION", "parse_record"]

_AGAIN = "`robench run` sets it aside and does the cell again"
_INFINITIES = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}
"""How a file spells numbers that JSON lacks, and how an id does."""


def parse_record(content: bytes, cell_id: str) -> Record:
    """The record in a file of that name.

    Args:
        content: of the file.
        cell_id: what the file's name says.

    Raises:
        NewerRecordError: a newer version of robench wrote it.
        StoreError: it is damaged, or it is the record of another cell.
    """
    raw = _object(content, cell_id)
    version = raw.get("schema_version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(cell_id, f"schema_version is {version!r}")
    if version > SCHEMA_VERSION:
        raise NewerRecordError(
            f"the record {cell_id} was written by a newer robench (schema {version}; this one "
            f"reads up to {SCHEMA_VERSION})",
            hint="update robench, or choose another folder with --results DIR",
        )
    _check_identity(raw, cell_id)
    for step in range(version, SCHEMA_VERSION):
        raw = {**_MIGRATIONS[step](raw), "schema_version": step + 1}
    try:
        return Record.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise _damaged(cell_id, f"{place}: {first['msg']}") from error


def _object(content: bytes, cell_id: str) -> dict[str, Any]:
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(cell_id, f"the file is no JSON: {error}") from error
    if not isinstance(raw, dict):
        raise _damaged(cell_id, f"the file holds a {type(raw).__name__}, and no record")
    return raw


def _check_identity(raw: Mapping[str, Any], cell_id: str) -> None:
    """The file's name, the record's id, and the hash of the cell in it are one and the same.

    The hash is taken of the cell as it was written: a later version may know more fields of a cell,
    and the ids of old records would no longer follow from them.
    """
    if raw.get("id") != cell_id:
        raise _damaged(cell_id, f"the file holds the record {raw.get('id')!r}")
    cell = raw.get("cell")
    if not isinstance(cell, dict):
        raise _damaged(cell_id, "it names no cell")
    found = digest(_as_hashed(cell))
    if found != cell_id:
        raise _damaged(cell_id, f"the cell in it is {found}")


def _as_hashed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_hashed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_hashed(item) for item in value]
    return _INFINITIES.get(value, value) if isinstance(value, str) else value


def _damaged(cell_id: str, problem: str) -> StoreError:
    return StoreError(f"the record {cell_id} is damaged: {problem}", hint=_AGAIN)


def _unchanged(raw: dict[str, Any]) -> dict[str, Any]:
    return raw


_MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # 2 added `checkpoint_sha256` and `inputs`, which older records simply lack.
    1: _unchanged,
    # 3 added `labels`, which a suite may give and most do not.
    2: _unchanged,
}
"""From each schema to the next."""
