from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from robench import files
from robench.errors import StoreError, UnknownNameError
from robench.spec import Metric, Record
from robench.store import Store


@pytest.fixture
def record(make_cell):
    def maker(seed: int = 0, **changes) -> Record:
        cell = make_cell(seed=seed)
        metrics = (Metric(name="m", value=1.0),)
        return Record(**{"id": cell.id, "cell": cell, "status": "ok", "metrics": metrics} | changes)

    return maker


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_what_is_written_is_read(record, store: Store) -> None:
    arrays = {"distance": np.array([1.5, np.inf], dtype=np.float32)}
    store.write(record(arrays=("distance",)), arrays)
    again = store.read(record().id)
    assert again == record(arrays=("distance",))
    np.testing.assert_array_equal(store.arrays(record().id)["distance"], arrays["distance"])
    assert store.read("f" * 16) is None
    assert store.arrays("f" * 16) == {}


def test_records_are_listed_and_found_by_prefix(record, store: Store) -> None:
    written = [record(seed) for seed in range(5)]
    for one in written:
        store.write(one)
    assert {one.id for one in store.records()} == {one.id for one in written}
    assert store.find(written[0].id[:12]) == written[0]
    with pytest.raises(StoreError, match="begins several cells"):
        store.find("")
    with pytest.raises(UnknownNameError, match="there is no cell 'zzz'"):
        store.find("zzz")


@pytest.mark.parametrize("keep", [0, 1, 100])
def test_a_truncated_record_is_reported_set_aside_and_harms_no_other(
    record, store: Store, keep
) -> None:
    store.write(record(0))
    store.write(record(1))
    path = store.record_path(record(0).id)
    path.write_bytes(path.read_bytes()[:keep])
    assert store.records() == [record(1)]
    (damage,) = store.damaged
    assert damage.path == path
    with pytest.raises(StoreError, match="is damaged"):
        store.read(record(0).id)
    kept = store.set_aside(damage)
    assert kept.exists()
    assert store.records() == [record(1)]
    assert store.damaged == []


def test_damaged_arrays_say_what_to_do(record, store: Store) -> None:
    store.write(record(arrays=("x",)), {"x": np.zeros(10)})
    path = store.arrays_path(record().id)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(StoreError, match="--force"):
        store.arrays(record().id)


def test_a_folder_that_cannot_be_written_says_so(record, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        Store(blocked / "results").check_writable()
    assert "--results" in str(caught.value)


def test_a_kill_between_write_and_rename_leaves_no_record(
    record, store: Store, monkeypatch
) -> None:
    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write(record())
    monkeypatch.undo()
    assert store.records() == []
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_the_old_file_stays_when_writing_fails(record, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.txt"
    files.write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_clear_message(record, store: Store, monkeypatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        store.write(record())
    assert "goes on from here" in str(caught.value)


def test_removing_takes_everything_of_a_cell(record, store: Store) -> None:
    store.write(record(arrays=("x",)), {"x": np.zeros(3)})
    store.checkpoint_path(record().id).write_bytes(b"weights")
    store.remove(record().id)
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
