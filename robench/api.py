"""The functions of the public face that bring several rooms together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robench.engine.external import ExternalModel
from robench.engine.progress import Progress
from robench.engine.run import Engine, Run, run_suite
from robench.errors import StoreError, UsageError
from robench.spec import PluginChoice, Record, Suite, load_suite
from robench.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from robench.attacks.suite.verify import Claim

__all__ = ["Results", "build_board", "check_attack", "contact_sheet", "evaluate", "run"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Results:
    """What a run left in its folder: the records of the cells that were asked for."""

    run: Run
    records: tuple[Record, ...]

    @property
    def failed(self) -> tuple[Record, ...]:
        """The records of what went wrong; neither a busy machine nor what does not apply did."""
        return tuple(r for r in self.records if r.status not in ("ok", "not-applicable", "noisy"))

    @property
    def noisy(self) -> tuple[Record, ...]:
        """The records whose latency was not published, since the machine was too busy."""
        return tuple(r for r in self.records if r.status == "noisy")

    def table(self) -> pd.DataFrame:
        """All metrics in long format: one row a metric, with the cell it belongs to."""
        from robench.analysis.frame import table

        return table(list(self.records))


def run(
    suite: Suite | str | Path,
    *,
    results: str | Path = "results",
    jobs: int | None = None,
    engine: Engine = "local",
    plugins: Sequence[str | Path] = (),
    only: str | None = None,
    force: str | None = None,
    retry_failed: bool = False,
    data: str | Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Results:
    """Do what a suite asks for and is not there yet; running it again goes on where it stopped.

    Args:
        suite: a suite, a YAML file, or the name of a suite that comes with robench.
        results: the folder of records.
        jobs: worker processes of one torch thread each; `None` is one for each core, 0 runs the
            cells in this process.
        engine: ``local`` or ``ray``.
        plugins: Python files with methods, attacks, … of one's own.
        only: does only the cells whose label contains this (``*`` and ``?`` stand for anything).
        force: does the cells of this pattern again.
        retry_failed: does failed, over-budget and noisy cells again.
        data: where data sets lie; `None` asks the environment variable ``ROBENCH_DATA``.
        device: ``auto``, ``cpu`` or ``cuda``; `None` is what the suite says.
        progress: where progress goes; `None` writes to standard error.

    Raises:
        UsageError: a mistake in what was asked for, found before any work is done.
    """
    from robench.engine.worker import load_plugins

    # A suite may name a plug-in's method, so that plug-ins come first.
    load_plugins(plugins)
    checked = suite if isinstance(suite, Suite) else load_suite(suite)
    done = run_suite(
        checked,
        results=Path(results),
        jobs=jobs,
        engine=engine,
        plugins=[Path(plugin) for plugin in plugins],
        only=only,
        force=force,
        retry_failed=retry_failed,
        data_root=Path(data) if data is not None else None,
        device=device,
        progress=progress,
    )
    return Results(done, tuple(done.records()))


def evaluate(
    weights: str | Path,
    *,
    model: str | Mapping[str, object],
    suite: Suite | str | Path,
    name: str | None = None,
    dataset: str | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    results: str | Path = "results",
    jobs: int | None = None,
    plugins: Sequence[str | Path] = (),
    data: str | Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Results:
    """Measure, attack and degrade a network that robench did not train, as a suite asks for.

    Args:
        weights: a safetensors file: the network's state, or a checkpoint of robench.
        model: the name of its architecture, such as ``torchvision:resnet18``, or a mapping with
            ``name`` and the parameters that differ from the model's defaults.
        suite: whose data sets and evaluations count; its methods and models do not.
        name: what the board calls it; the file's name by default.
        dataset: the one of the suite's data sets that the network knows; `None` takes them all.
        mean: what the network subtracts from each channel of images in [0, 1], one value a channel
            or one for all. By default what the file of the weights says (``normalise.mean``), or
            else the mean of the data set's training images. A network that normalises by itself, or
            that was trained on images in [0, 1], needs ``mean=[0], std=[1]``.
        std: what it divides by, likewise.
        results: the folder of records.
        jobs: worker processes, as for `run`.
        plugins: Python files with models, attacks, … of one's own.
        data: where data sets lie; `None` asks the environment variable ``ROBENCH_DATA``.
        device: ``auto``, ``cpu`` or ``cuda``; `None` is what the suite says.
        progress: where progress goes; `None` writes to standard error.

    Raises:
        UsageError: a file, a model or a data set that is not there, or weights that do not fit.
    """
    from robench.engine.worker import load_plugins

    load_plugins(plugins)
    checked = suite if isinstance(suite, Suite) else load_suite(suite)
    given = ExternalModel(
        path=Path(weights),
        model=_model_choice(model),
        name=name or Path(weights).stem,
        dataset=dataset,
        mean=tuple(mean),
        std=tuple(std),
    )
    done = run_suite(
        checked,
        results=Path(results),
        jobs=jobs,
        plugins=[Path(plugin) for plugin in plugins],
        data_root=Path(data) if data is not None else None,
        device=device,
        progress=progress,
        given=given,
    )
    return Results(done, tuple(done.records()))


def _model_choice(model: str | Mapping[str, object]) -> PluginChoice:
    name = model if isinstance(model, str) else model.get("name")
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"{model!r} names no model",
            allowed="a name, or a mapping such as {name: mlp, widths: [64]}",
            hint="`robench list models` shows the names",
        )
    return PluginChoice.model_validate(model)


def build_board(
    results: str | Path = "results",
    out: str | Path | None = None,
    *,
    plugins: Sequence[str | Path] = (),
) -> Path:
    """Write the leaderboard of a results folder.

    Args:
        results: a folder that `run` wrote.
        out: the folder of the board; `None` is ``board`` in the results folder.
        plugins: Python files with views, and with stages whose columns the board is to have.

    Returns:
        The path of ``index.html``; beside it lie ``results.csv``, ``README.md`` and ``plots/``.
        Records that cannot be read are left out, each with a warning in the log.

    Raises:
        StoreError: the folder holds no records, or the board cannot be written.
        PluginError: a plug-in file cannot be used.
    """
    from robench.board import build_board as build
    from robench.engine.worker import load_plugins

    load_plugins(plugins)
    store = Store(Path(results))
    records = store.records()
    for damage in store.damaged:
        _log.warning("a damaged record is left out: %s (%s)", damage.path, damage.problem)
    if not records:
        raise StoreError(
            f"there are no records in {str(results)!r}",
            hint="`robench run SUITE --results DIR` makes some",
        )
    folder = Path(out) if out is not None else Path(results) / "board"
    return build(records, folder, arrays=store.arrays)


def contact_sheet(
    what: str = "degradations",
    subject: str | Path | None = None,
    *,
    out: str | Path | None = None,
    index: int = 0,
    data: str | Path | None = None,
) -> Path:
    """Draw one real image through every kind and level, as a picture.

    Args:
        what: ``"degradations"`` or ``"corruptions"``.
        subject: an image file, or the name of a data set; `None` is a photograph that is always
            there.
        out: the file to write, ``.png`` or ``.svg``; by default ``degradations.png`` right here.
        index: which image of the data set's test split.
        data: where data sets lie; `None` asks the environment variable ``ROBENCH_DATA``.

    Returns:
        The path of the file.

    Raises:
        UsageError: an image or a data set that is not there, or a file that cannot be written.
    """
    from robench.board.pictures.sheets import write_sheet

    return write_sheet(what, subject, out=out, index=index, root=data)


def check_attack(
    results: str | Path,
    cell: str,
    *,
    plugins: Sequence[str | Path] = (),
    data: str | Path | None = None,
    device: str | None = None,
) -> Claim:
    """Check the stored adversarials of an attack: one forward pass of the network, no attack.

    Args:
        results: a folder that `run` wrote, weights and arrays included.
        cell: the id of an attack's cell, or how it begins.
        plugins: Python files with the model or the data set, where these are of one's own.
        data: where data sets lie; `None` asks the environment variable ``ROBENCH_DATA``.
        device: ``auto``, ``cpu`` or ``cuda``; `None` is where the attack ran.

    Returns:
        For each image whether the stored point really changes the answer, lies in the box, and is
        as far as the record says; see `robench.attacks.suite.verify.Claim`.

    Raises:
        UsageError: there is no such cell, it is no attack, or what it rests on is not there.
    """
    from robench.engine.recheck import recheck_attack
    from robench.engine.worker import load_plugins

    load_plugins(plugins)
    root = Path(data) if data is not None else None
    return recheck_attack(Store(Path(results)), cell, data_root=root, device=device)
