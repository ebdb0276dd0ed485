from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from robench.engine.schedule import Schedule
from robench.spec import Cell, PluginRef, Recipe, Record


def cell(seed: int, parent: str | None = None) -> Cell:
    return Cell(
        stage="train",
        suite="trial",
        suite_version=1,
        data=PluginRef(name="digits", version=1),
        data_sha256="0" * 64,
        model=PluginRef(name="mlp", version=1),
        method=PluginRef(name="halo", version=1),
        level=0.5,
        seed=seed,
        recipe=Recipe(),
        parent=parent,
    )


def record(of: Cell) -> Record:
    return Record(id=of.id, cell=of, status="ok")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(min_value=-1, max_value=20), min_size=1, max_size=20), st.randoms())
def test_every_cell_runs_once_and_never_before_its_parent(parents, random) -> None:
    cells: list[Cell] = []
    for seed, parent in enumerate(parents):
        has_parent = 0 <= parent < len(cells)
        cells.append(cell(seed, cells[parent].id if has_parent else None))
    schedule = Schedule(cells)
    in_flight: list[Cell] = []
    order: list[str] = []
    while True:
        if (ready := schedule.next()) is not None:
            assert ready.parent is None or ready.parent in order
            in_flight.append(ready)
        elif not in_flight:
            break
        if in_flight and (ready is None or random.random() < 0.5):
            ended = in_flight.pop(random.randrange(len(in_flight)))
            order.append(ended.id)
            schedule.finish(record(ended))
    assert sorted(order) == sorted(one.id for one in cells)


def test_cells_of_a_parent_that_is_there_are_ready() -> None:
    parent = cell(0)
    child = cell(1, parent.id)
    schedule = Schedule([child], {parent.id: record(parent)})
    assert schedule.next() == child
    assert schedule.parent_of(child) == record(parent)


def test_released_cells_go_first_in_their_order() -> None:
    parent, later = cell(0), cell(9)
    children = [cell(1, parent.id), cell(2, parent.id)]
    schedule = Schedule([parent, later, *children])
    assert schedule.next() == parent
    schedule.finish(record(parent))
    assert [schedule.next() for _ in range(4)] == [*children, later, None]
