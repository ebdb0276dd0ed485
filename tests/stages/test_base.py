"""A stage of one's own: one file, and it is planned, run, recorded, counted and shown."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import robench
from robench.board.model.columns import shown
from robench.board.model.leaderboard import leaderboard
from robench.board.render.text import summary_text
from robench.engine.progress import Silent
from robench.engine.schedule import runs_alone
from robench.errors import PluginError, SuiteError
from robench.plugin_files import load_plugin
from robench.spec import STAGE_KEY, load_suite
from robench.stages import STAGES, Stage, place_of, stage
from robench.stages.base import MetricInfo, check_plugin
from robench.stages.declarations.speed import SpeedOptions

Tiny = Callable[..., Path]
MARGIN = Path(__file__).parents[1] / "plugins" / "margin.py"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests count what is registered."""
    entries = dict(STAGES._entries)
    yield
    STAGES._entries = entries


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(MARGIN, tmp_path / "margin.py"))


def test_one_file_is_planned_run_recorded_counted_and_shown(
    tiny: Tiny, file: Path, tmp_path: Path
) -> None:
    load_plugin(file)
    path = tiny(methods="[dense]", evaluate="{margin: {samples: 12}}")
    results = robench.run(path, results=tmp_path / "r", jobs=1, plugins=[file], progress=Silent())
    own = [record for record in results.records if record.cell.stage == "margin"]
    assert {record.status for record in own} == {"ok"}, [r.reason for r in own]
    assert {record.metric("margin").n for record in own} == {12}
    assert own[0].details["narrowest"] >= 0
    assert own[0].cell.options[STAGE_KEY] == {"version": 1, "code": STAGES.code("margin")}
    board = leaderboard(results.records)
    # The dense control and two more, trained and evaluated.
    assert (board.coverage.ok, board.coverage.expected) == (6, 6)
    (column,) = [column for column in shown(board.rows) if column.title == "margin"]
    dense = next(row for row in board.rows if row.kind.is_dense)
    (record,) = [r for r in own if r.cell.method.name == "dense"]
    assert column.value(dense) == f"{record.metric('margin').value:.3g}"
    text = summary_text(results.records)
    assert "margin" in text
    assert column.value(dense) in text
    # A board that does not know the stage counts its cells and has no column for it.
    del STAGES._entries["margin"]
    stranger = leaderboard(results.records)
    assert stranger.coverage == board.coverage
    assert "margin" not in [column.title for column in shown(stranger.rows)]


def test_a_file_joins_a_suite_that_does_not_name_it_and_an_edit_makes_other_cells(
    tiny: Tiny, file: Path, tmp_path: Path
) -> None:
    def cells() -> dict[str, dict]:
        path = tiny(methods="[dense]")
        done = robench.run(
            path, results=tmp_path / "r", jobs=0, plugins=[file], progress=Silent(), only="dense"
        )
        return {r.id: r.cell.options for r in done.records if r.cell.stage == "margin"}

    first = cells()
    assert [options["samples"] for options in first.values()] == [30]
    assert cells() == first
    file.write_text(file.read_text().replace("float(gaps.mean())", "float(gaps.median())"))
    assert not cells().keys() & first.keys()


def test_details_that_were_not_declared_are_a_failure(
    tiny: Tiny, file: Path, tmp_path: Path
) -> None:
    file.write_text(file.read_text().replace('"narrowest": float', '"smallest": float'))
    path = tiny(methods="[dense]")
    done = robench.run(path, results=tmp_path / "r", jobs=0, plugins=[file], progress=Silent())
    reasons = {record.reason for record in done.failed}
    assert len(reasons) == 1
    assert "the details of the stage 'margin' are not those that it declares" in reasons.pop()


def test_an_installed_package_brings_stages(monkeypatch, tiny: Tiny) -> None:
    point = importlib.metadata.EntryPoint("toy", "robench.stages.calibration:Calibration", "x")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [point])
    monkeypatch.setattr(STAGES, "_entry_points_read", False)
    asked = load_suite(tiny(evaluate="{toy: {bins: 3}}")).grids[0].evaluate.get("toy")
    assert asked is not None
    assert asked.bins == 3
    assert place_of("toy") > place_of("layers") > place_of("train")


def test_list_shows_them(file: Path, monkeypatch, capsys) -> None:
    from robench.cli import main

    monkeypatch.setattr("sys.argv", ["robench", "list", "stages", "--plugin", str(file)])
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    assert "  margin       How far apart the two largest logits are." in out
    assert "  calibration  Calibration of the network's confidence" in out


@pytest.mark.parametrize(
    ("evaluate", "words"),
    [
        ("{degrad: true}", "there is no key 'degrad' here"),
        ("[train]", "there is no key 'train' here"),
        ("{calibration: {bin: 3}}", "there is no key 'bin' here"),
        ("{degrade: {kinds: [contrst]}}", "there is no degradation 'contrst'"),
        ("[[speed]]", "must be names of stages"),
        ("speed", "must be a mapping of keys"),
    ],
)
def test_what_no_stage_takes_is_refused_with_its_line(tiny: Tiny, evaluate, words) -> None:
    path = tiny(evaluate=evaluate)
    line = [text.split(":")[0] for text in path.read_text().splitlines()].index("evaluate") + 1
    with pytest.raises(robench.errors.UsageError) as caught:
        load_suite(path)
    assert words in str(caught.value)
    assert f"{path}:{line}" in str(caught.value)


def test_the_nearest_names_are_shown(tiny: Tiny) -> None:
    with pytest.raises(SuiteError, match="did you mean 'degrade'") as caught:
        load_suite(tiny(evaluate="{degrad: true}"))
    assert set(caught.value.allowed.split(", ")) == {
        *("speed", "attack", "degrade", "corrupt", "worst_noise", "trees", "calibration"),
    }


def test_own_stages_declare_metrics_that_no_other_has() -> None:
    names = [metric.name for name in STAGES.names() for metric in STAGES.get(name).metrics]
    assert len(names) == len(set(names))
    assert {name for name in STAGES.names() if runs_alone(name)} == {"speed", "layers"}


def test_every_stage_of_the_table_is_of_its_name() -> None:
    for name in STAGES.names():
        assert stage(name).name == name
        assert check_plugin(STAGES.get(name)) is None


class Whole(Stage[SpeedOptions]):
    """A stage without fault."""

    name = "whole"

    def run(self, cell, context):
        """Nothing."""


class NeedsMore(SpeedOptions):
    """Options without a default."""

    more: int


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"name": "No Name"}, "its `name` is 'No Name'"),
        ({"version": 0}, "its `version` is 0"),
        ({"Options": dict}, "its `Options` is not derived"),
        ({"Options": NeedsMore}, "no default for 'more'"),
        ({"Details": dict}, "its `Details` is not derived"),
        ({"run": Stage.run}, "its `run` does not take"),
        ({"run": lambda self: None}, "its `run` does not take"),
        ({"metrics": ("a",)}, "its `metrics` are not a tuple"),
        ({"metrics": (MetricInfo("a", "a", "a"),) * 2}, "its `metrics` have 'a' twice"),
    ],
)
def test_what_is_no_stage_is_refused_with_the_reason(change, words) -> None:
    found = check_plugin(type("Changed", (Whole,), change))
    assert found is None if words is None else words in found


def test_a_name_that_is_taken(file: Path) -> None:
    file.write_text(file.read_text().replace('name = "margin"', 'name = "speed"'))
    with pytest.raises(PluginError, match="the stage name 'speed' is taken"):
        load_plugin(file)
