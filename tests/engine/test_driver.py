"""The driver with an engine of paper: lost cells are begun again, those of others left alone."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from robench.engine.driver import TRIES, Driver, Ended, Lost
from robench.engine.progress import Silent
from robench.engine.schedule import Schedule
from robench.engine.timing_locks import TimingLocks
from robench.errors import StoreError
from robench.spec import Cell, Record
from robench.store import Store
from robench.store.leases import Leases

KILLED = Lost("its worker process died (SIGKILL; out of memory, perhaps)", is_own_doing=False)
CRASHED = Lost("its worker process died (SIGSEGV)", is_own_doing=True)


class Paper:
    """Does each cell by a function, one after the other; `None` is a record that says ok."""

    width = 1

    def __init__(self, store: Store, act: Callable[[Cell], Lost | None]) -> None:
        self.store, self.act = store, act
        self.began: list[Cell] = []
        self.waiting: deque[Cell] = deque()

    def submit(self, cell: Cell) -> None:
        self.began.append(cell)
        self.waiting.append(cell)

    def collect(self, timeout_s: float) -> Iterable[Ended]:
        cell = self.waiting.popleft()
        lost = self.act(cell)
        if lost is not None:
            return [Ended(cell, lost)]
        record = Record(id=cell.id, cell=cell, status="ok")
        self.store.write(record)
        return [Ended(cell, record)]

    def stop(self, *, kindly: bool) -> None:
        pass


class Hearing(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "r")
    store.check_writable()
    return store


@pytest.fixture
def leases(store: Store):
    leases = Leases(store.root)
    leases.open()
    yield leases
    leases.close()


@pytest.fixture
def drive(store: Store, leases: Leases):
    """``drive(cells, act)``: gives the driver, after the run."""

    def runner(cells: list[Cell], act: Callable[[Cell], Lost | None], listener=None) -> Driver:
        engine = Paper(store, act)
        driver = Driver(Schedule(cells), store, leases, listener or Silent(), engine)
        driver.run()
        return driver

    return runner


def test_a_cell_whose_worker_is_lost_once_has_its_record(drive, store, make_cell) -> None:
    losses = iter([KILLED, CRASHED])
    listener = Hearing()
    driver = drive([make_cell()], lambda _: next(losses, None), listener)
    (record,) = store.records()
    assert (record.status, record.reason) == ("ok", None)
    assert len(driver.engine.began) == 3
    assert "begun again" in listener.heard[0]


@pytest.mark.parametrize(("lost", "status"), [(KILLED, "interrupted"), (CRASHED, "failed")])
def test_a_worker_that_is_always_lost_ends_as_one_row(
    drive, store, make_cell, lost, status
) -> None:
    parent = make_cell()
    cells = [parent, make_cell(stage="attack", parent=parent.id), make_cell(seed=1)]
    driver = drive(cells, lambda cell: lost if cell == parent else None)
    assert driver.engine.began.count(parent) == TRIES
    by_id = {record.id: record for record in store.records()}
    assert [by_id[cell.id].status for cell in cells] == [status, status, "ok"]
    assert f"{lost.why}, {TRIES} times in a row" in (by_id[parent.id].reason or "")
    assert f"its network {parent.id} is missing" in (by_id[cells[1].id].reason or "")
    assert driver.written == 3


def test_a_worker_that_died_after_its_record_was_written_has_done_its_work(
    drive, store, make_cell
) -> None:
    def write_and_die(cell: Cell) -> Lost:
        store.write(Record(id=cell.id, cell=cell, status="ok"))
        return KILLED

    driver = drive([make_cell()], write_and_die)
    assert len(driver.engine.began) == 1
    assert store.records()[0].status == "ok"


def test_what_another_run_does_is_waited_for(drive, store, make_cell) -> None:
    cells = [make_cell(seed=seed) for seed in range(3)]
    other = Leases(store.root)
    other.open()
    assert other.acquire(cells[0].id)

    def act(cell: Cell) -> None:
        if cell == cells[2]:  # now the other run ends its cell
            store.write(Record(id=cells[0].id, cell=cells[0], status="noisy", reason="by another"))
            other.close()

    listener = Hearing()
    driver = drive(cells, act, listener)
    assert [cell.seed for cell in driver.engine.began] == [1, 2]
    assert driver.written == 2
    assert {record.status for record in store.records()} == {"ok", "noisy"}
    assert sum("the cells are shared" in text for text in listener.heard) == 1


def test_what_a_run_that_ended_left_undone_is_done(drive, store, make_cell) -> None:
    cells = [make_cell(seed=seed) for seed in range(3)]
    other = Leases(store.root)
    other.open()
    assert other.acquire(cells[0].id)

    def act(cell: Cell) -> None:
        if cell == cells[2]:
            reason = "the run was interrupted"
            store.write(Record(id=cells[0].id, cell=cells[0], status="interrupted", reason=reason))
            other.close()

    driver = drive(cells, act)
    assert [cell.seed for cell in driver.engine.began] == [1, 2, 0]
    assert {record.status for record in store.records()} == {"ok"}


def test_what_another_run_has_done_is_not_done_again(drive, store, make_cell) -> None:
    cells = [make_cell(seed=seed) for seed in range(3)]
    act_by_another = Record(id=cells[1].id, cell=cells[1], status="ok")
    driver = drive(cells, lambda cell: store.write(act_by_another) if cell == cells[0] else None)
    assert [cell.seed for cell in driver.engine.began] == [0, 2]


def test_a_folder_that_is_removed_ends_the_run(drive, store, make_cell) -> None:
    cells = [make_cell(seed=seed) for seed in range(5)]

    def act(cell: Cell) -> Lost | None:
        if cell.seed < 2:
            return None
        shutil.rmtree(store.root)
        return CRASHED

    with pytest.raises(StoreError, match="was removed while the run went on"):
        drive(cells, act)
    assert not store.root.exists()


def test_an_interrupt_is_written_down(drive, store, leases, make_cell) -> None:
    cells = [make_cell(seed=seed) for seed in range(3)]

    def act(cell: Cell) -> None:
        if cell.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(cells, act)
    assert sorted(record.status for record in store.records()) == ["interrupted", "ok"]
    assert list((store.root / ".claims").iterdir()) == []


# -- turns --------------------------------------------------------------------------------------


@pytest.fixture
def turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``turns("folder")``: of one more run there."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    made: list[TimingLocks] = []

    def maker(name: str = "r") -> TimingLocks:
        (tmp_path / name / ".runs").mkdir(parents=True, exist_ok=True)
        made.append(TimingLocks(tmp_path / name))
        return made[-1]

    yield maker
    for one in made:
        one.end()


def test_no_time_is_taken_beside_another_run(turns, make_cell) -> None:
    plain, timed = make_cell(), make_cell(stage="speed")
    one, other = turns(), turns()
    assert one.may_begin(plain, is_idle=True)
    assert other.may_begin(plain, is_idle=True), "plain cells go on side by side"
    assert not other.may_begin(timed, is_idle=True)
    assert "beside which" in other.reason
    # Who waits goes first: the other begins nothing more, and leaves when it is idle.
    assert not one.may_begin(plain, is_idle=False)
    assert not other.may_begin(timed, is_idle=True)
    assert not one.may_begin(plain, is_idle=True)
    assert other.may_begin(timed, is_idle=True)
    assert not one.may_begin(timed, is_idle=True)
    assert not one.may_begin(plain, is_idle=True)
    assert "takes time" in one.reason
    # It keeps its turn for more of that kind, and gives it up for others.
    assert other.may_begin(timed, is_idle=True)
    assert other.may_begin(plain, is_idle=True)
    assert one.may_begin(plain, is_idle=True)


def test_two_folders_take_time_in_turn(turns, make_cell) -> None:
    plain, timed = make_cell(), make_cell(stage="layers")
    one, other = turns("a"), turns("b")
    assert one.may_begin(timed, is_idle=True)
    assert not other.may_begin(timed, is_idle=True)
    assert other.may_begin(plain, is_idle=True), "only what takes time waits for another folder"
    one.end()
    assert other.may_begin(timed, is_idle=True)
