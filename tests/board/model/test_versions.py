"""Two versions of a method: which one counts, and what the page says of the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.analysis.frame import params_json
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.model.rows import Row
from robench.board.model.versions import methods_of
from robench.board.render.markdown import readme
from robench.spec import Metric, PluginRef, Record

Make = Callable[..., list[Record]]
PANEL = "digits · mlp"


@pytest.fixture(scope="module")
def old(make: Make) -> list[Record]:
    return make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        methods=(("dense", ()), ("halo", ())),
        levels=(0.5, 0.9),
        seeds=2,
        distortions=(),
        stages=("train", "attack"),
        mishaps=False,
    )


def is_result_of(record: Record, method: str) -> bool:
    return record.cell.method.name == method and record.cell.role == "result"


def newer(records: list[Record], method: str, **change: object) -> list[Record]:
    """The same cells in version 2 of the method, with an accuracy of one half."""
    found, parents = [], {}
    for record in records:
        if not is_result_of(record, method):
            continue
        plugin = record.cell.method.model_copy(update={"version": 2, **change})
        parent = parents.get(record.cell.parent, record.cell.parent)
        cell = record.cell.model_copy(update={"method": plugin, "parent": parent})
        parents[record.id] = cell.id
        metrics = [
            m for m in record.metrics if m.name != "accuracy" or record.cell.stage != "train"
        ]
        if record.cell.stage == "train":
            metrics.append(Metric.share("accuracy", 1, 2))
        found.append(
            record.model_copy(update={"id": cell.id, "cell": cell, "metrics": tuple(metrics)})
        )
    return found


def row_of(board: Leaderboard, method: str, level: float) -> Row:
    [row] = [row for row in board.rows if (row.method, row.level) == (method, level)]
    return row


def test_the_newest_version_replaces_the_older_one(old: list[Record]) -> None:
    board = leaderboard([*old, *newer(old, "halo")])
    assert board.methods == ("dense", "halo")
    row = row_of(board, "halo", 0.9)
    assert (row.version, row.seeds) == (2, 2)
    assert row.accuracy is not None
    assert row.accuracy.value == 0.5
    assert row.median_l2 is not None
    assert row.median_l2.seeds == 2
    assert board.coverage.share == 1
    assert board.coverage.expected == leaderboard(old).coverage.expected


def test_the_page_says_that_older_records_exist(old: list[Record]) -> None:
    board = leaderboard([*old, *newer(old, "halo")])
    [other] = board.other_versions
    assert (other.version, other.chosen, other.levels, other.records) == ("1", "2", (0.5, 0.9), 8)
    assert other.told == (
        "halo on digits · mlp, at 50%, 90%: version 2 counts; 8 records of version 1 left out"
    )
    assert "8 records of version 1 left out" in readme(board, (), title="t")


def test_one_record_of_a_newer_dense_network_takes_nothing_off_the_board(
    old: list[Record],
) -> None:
    one = newer(old, "dense")[:1]
    before, board = leaderboard(old), leaderboard([*old, *one])
    assert board.rows == before.rows
    assert board.coverage == before.coverage
    assert all(row.against_dense for row in board.rows if not row.kind.is_dense)
    [other] = board.other_versions
    assert (other.version, other.chosen, other.lacking) == ("2", "1", (1,))
    assert "version 1 counts until version 2 was run for seeds 1 too" in other.told


def test_no_mean_is_over_two_versions(old: list[Record]) -> None:
    new = [record for record in newer(old, "halo") if record.cell.seed == 0]
    board = leaderboard([*old, *new])
    row = row_of(board, "halo", 0.9)
    assert (row.version, row.seeds) == (1, 2)
    # At the level that the newer version has whole, it counts.
    both = [*new, *(r for r in newer(old, "halo") if r.cell.level == 0.5 and r.cell.seed == 1)]
    board = leaderboard([*old, *both])
    assert (row_of(board, "halo", 0.5).version, row_of(board, "halo", 0.9).version) == (2, 1)


def test_a_newest_version_that_fails_has_failed(old: list[Record]) -> None:
    failed = [
        record.model_copy(update={"status": "failed", "reason": "no", "metrics": ()})
        for record in newer(old, "halo")
    ]
    board = leaderboard([*old, *failed])
    assert {board.standing(row).state for row in board.rows} == {"complete", "failed"}
    assert row_of(board, "halo", 0.9).accuracy is None


def test_a_newer_dense_network_is_what_others_are_compared_with(old: list[Record]) -> None:
    board = leaderboard([*old, *newer(old, "dense")])
    row = row_of(board, "halo", 0.5)
    assert row.accuracy is not None
    assert row.accuracy.value is not None
    assert row.against_dense is not None
    assert row.against_dense.value == pytest.approx(row.accuracy.value - 0.5)


def test_a_version_with_another_default_is_the_same_method(old: list[Record]) -> None:
    board = leaderboard([*old, *newer(old, "halo", params={"xi": 1})])
    assert board.methods == ("dense", "halo")
    assert row_of(board, "halo", 0.9).version == 2


def edited(records: list[Record], code: str, started: str) -> list[Record]:
    """The cells of halo as a plug-in file of this code gave them."""
    return [
        record.model_copy(update={"provenance": {**record.provenance, "started": started}})
        for record in newer(records, "halo", version=1, code=code)
    ]


def test_of_a_file_before_and_after_an_edit_what_ran_last_counts(old: list[Record]) -> None:
    controls = [record for record in old if not is_result_of(record, "halo")]
    first, second = edited(old, "sha256:b", "2031"), edited(old, "sha256:a", "2032")
    for record in first:
        object.__setattr__(record, "metrics", record.metrics[:-1])
    board = leaderboard([*controls, *first, *second])
    assert board.methods == ("dense", "halo")
    row = row_of(board, "halo", 0.9)
    assert (row.seeds, row.accuracy and row.accuracy.value) == (2, 0.5)
    [other] = board.other_versions
    assert other.records == 8
    assert "version 1 (code " in other.told
    assert board.coverage.share == 1


def test_until_every_seed_ran_with_the_new_code_the_old_one_counts(old: list[Record]) -> None:
    """No mean mixes the code before an edit with that after it."""
    controls = [record for record in old if not is_result_of(record, "halo")]
    second = [r for r in edited(old, "sha256:a", "2032") if r.cell.seed == 0]
    plain = [record for record in old if is_result_of(record, "halo")]
    board = leaderboard([*controls, *plain, *second])
    row, before = row_of(board, "halo", 0.9), row_of(leaderboard(old), "halo", 0.9)
    assert row.accuracy == before.accuracy
    [other] = board.other_versions
    assert other.lacking == (1,)
    assert "counts until version 1 (code " in other.told


def method(name: str = "m", version: int = 1, changed: tuple[str, ...] = (), **params: int):
    return PluginRef(name=name, version=version, params=params, changed=changed)


@pytest.mark.parametrize(
    ("plugins", "labels"),
    [
        # Other parameters make another method, in any version.
        ([method(a=1), method(a=2, changed=("a",), version=2)], ["m", "m[a=2]"]),
        # A suite may set what another leaves at the same default.
        ([method(a=1), method(a=1, changed=("a",))], ["m", "m"]),
        # Whoever has the same parameters is the successor, not whoever has the same label.
        (
            [method(a=1), method(version=2, a=2), method(version=2, a=1, changed=("a",))],
            ["m[a=1]", "m", "m[a=1]"],
        ),
        # A version that is left out between two others.
        ([method(), method(version=3), method(version=7)], ["m", "m", "m"]),
    ],
)
def test_what_belongs_to_one_method(
    old: list[Record], plugins: list[PluginRef], labels: list[str]
) -> None:
    cells = [old[-1].cell.model_copy(update={"method": plugin}) for plugin in plugins]
    records = [old[-1].model_copy(update={"cell": cell, "id": cell.id}) for cell in cells]
    found = methods_of(records)
    variants = [(own.name, own.version, params_json(own.params)) for own in plugins]
    assert [found[variant].label for variant in variants] == labels


@pytest.mark.parametrize(
    "name", ["given-mask", "given", "dense-ish", "dense (version 2)", "random[x=1]", "none"]
)
def test_a_name_is_not_what_a_method_is(old: list[Record], name: str) -> None:
    """Only the exact names mean the control, and a network that robench did not train."""
    others = []
    for record in old:
        if is_result_of(record, "halo"):
            plugin = record.cell.method.model_copy(update={"name": name})
            cell = record.cell.model_copy(update={"method": plugin})
            others.append(record.model_copy(update={"id": cell.id, "cell": cell}))
    board = leaderboard([*old, *others])
    kind = board.kinds[name]
    assert kind.is_given == (name == "given")
    assert not kind.is_dense
    assert kind.is_graded == (name != "given")
    assert board.methods[0] == "dense"
    assert board.coverage.share == 1
