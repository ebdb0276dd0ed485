from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.engine.schedule import Schedule, runs_alone
from robench.spec import Cell, Record


def record(of: Cell) -> Record:
    return Record(id=of.id, cell=of, status="ok")


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it keeps nothing
)
@given(st.lists(st.integers(min_value=-1, max_value=20), min_size=1, max_size=20), st.randoms())
def test_every_cell_runs_once_and_never_before_its_parent(make_cell, parents, random) -> None:
    cells: list[Cell] = []
    for seed, parent in enumerate(parents):
        has_parent = 0 <= parent < len(cells)
        cells.append(make_cell(seed=seed, parent=cells[parent].id if has_parent else None))
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


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it keeps nothing
)
@given(
    st.lists(
        st.tuples(
            st.integers(min_value=-1, max_value=20),
            st.sampled_from(["train", "attack", "speed", "layers"]),
        ),
        min_size=1,
        max_size=20,
    ),
    st.randoms(),
)
def test_what_takes_time_runs_alone_and_last(make_cell, wanted, random) -> None:
    cells: list[Cell] = []
    for seed, (parent, stage) in enumerate(wanted):
        trains = [cell for cell in cells if cell.stage == "train"]
        above = trains[parent].id if 0 <= parent < len(trains) else None
        cells.append(make_cell(seed=seed, stage=stage, parent=above))
    schedule = Schedule(cells)
    in_flight: list[Cell] = []
    order: list[Cell] = []
    while True:
        if (ready := schedule.next()) is not None:
            in_flight.append(ready)
            assert len(in_flight) == 1 or not any(runs_alone(cell.stage) for cell in in_flight)
        elif not in_flight:
            break
        if in_flight and (ready is None or random.random() < 0.5):
            order.append(in_flight.pop(random.randrange(len(in_flight))))
            schedule.finish(record(order[-1]))
    assert sorted(cell.id for cell in order) == sorted(cell.id for cell in cells)
    alone = [runs_alone(cell.stage) for cell in order]
    assert alone == sorted(alone)
    assert schedule.side_by_side == len(alone) - sum(alone)


def test_cells_of_a_parent_that_is_there_are_ready(make_cell) -> None:
    parent = make_cell()
    child = make_cell(seed=1, parent=parent.id)
    schedule = Schedule([child], {parent.id: record(parent)})
    assert schedule.next() == child
    assert schedule.needed_by(child) == [record(parent)]


def test_released_cells_go_first_in_their_order(make_cell) -> None:
    parent, later = make_cell(), make_cell(seed=9)
    children = [make_cell(seed=seed, parent=parent.id) for seed in (1, 2)]
    schedule = Schedule([parent, later, *children])
    assert schedule.next() == parent
    schedule.finish(record(parent))
    assert [schedule.next() for _ in range(4)] == [*children, later, None]
