"""Records of other versions, under other names, and of other cells."""

from __future__ import annotations

import json
import math

import pytest

from robench.errors import NewerRecordError, StoreError
from robench.spec import Distortion, Recipe, Record
from robench.store import SCHEMA_VERSION
from robench.store.reading import parse_record


@pytest.fixture
def raw(make_cell) -> dict:
    cell = make_cell()
    record = Record(id=cell.id, cell=cell, status="ok", inputs={"a": "b"})
    return json.loads(record.model_dump_json())


def parse(raw: object, name: str | None = None) -> Record:
    return parse_record(json.dumps(raw).encode(), name or raw["id"])


def test_what_is_written_is_read(raw) -> None:
    assert raw["schema_version"] == SCHEMA_VERSION
    assert json.loads(parse(raw).model_dump_json()) == raw


def test_an_older_record_is_migrated(raw) -> None:
    old = {key: raw[key] for key in raw if key not in ("inputs", "checkpoint_sha256")}
    record = parse(old | {"schema_version": 1})
    assert (record.schema_version, record.inputs, record.checkpoint_sha256) == (
        SCHEMA_VERSION,
        {},
        None,
    )


def test_every_older_schema_has_a_migration(raw) -> None:
    old = {key: raw[key] for key in raw if key not in ("inputs", "checkpoint_sha256")}
    for version in range(1, SCHEMA_VERSION):
        assert parse(old | {"schema_version": version}).schema_version == SCHEMA_VERSION


def test_a_newer_record_is_left_alone_whatever_is_in_it(raw) -> None:
    newer = {"schema_version": SCHEMA_VERSION + 1, "id": raw["id"], "something": "else"}
    with pytest.raises(NewerRecordError, match="newer robench") as caught:
        parse(newer)
    assert "update robench" in str(caught.value)


def test_a_record_of_another_name_is_damaged(raw, make_cell) -> None:
    other = make_cell(seed=1)
    with pytest.raises(StoreError, match=f"holds the record '{raw['id']}'"):
        parse(raw, other.id)
    # Renamed within as well, it is still another cell's.
    with pytest.raises(StoreError, match=f"the cell in it is {raw['id']}"):
        parse(raw | {"id": other.id})
    # Nor may a value of the cell be edited.
    raw["cell"]["level"] = 0.75
    with pytest.raises(StoreError, match="the cell in it is"):
        parse(raw)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema_version": "x"}', b"[" * 10**5]
)
def test_what_is_no_record_is_damaged(content: bytes) -> None:
    with pytest.raises(StoreError, match="is damaged") as caught:
        parse_record(content, "0" * 16)
    assert not isinstance(caught.value, NewerRecordError)


def test_infinite_levels_keep_their_identity(make_cell) -> None:
    distortion = Distortion(kinds=("uniform-noise",), levels=(math.inf,))
    cell = make_cell(recipe=Recipe(distortion=distortion), options={"x": "inf"})
    record = Record(id=cell.id, cell=cell, status="ok")
    assert parse_record(record.model_dump_json().encode(), cell.id) == record
