"""What the papers on noise training found, on small networks: runs the suites, then judges them.

    ROBENCH_DATA=~/data python -m tests.crossgen [RESULTS] [--data DATA] [--model MODEL]
    python -m tests.crossgen RESULTS --judge-only

Statements 2, 3 and 5 are those of Geirhos et al. 2018 (arXiv 1808.08750) on networks that were
trained on one distortion or on several; the ordering is that of Rusak et al. 2020 (arXiv
2001.06057). DATA and MODEL are as in a suite, such as
``'{name: image-folder, path: cifar10-jpeg.tar.gz, size: 32}'``. Only dense networks are run, since
only they are judged; sparse ones that are in RESULTS are reported beside them.

Each statement is judged by the 95 % interval of its mean over seeds: it holds where the interval
lies within what is asked, it does not where the interval lies outside, and is open in between.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

import robench
from robench.analysis import table
from robench.analysis.levels import shows_own_picture
from robench.analysis.similarity import degradation_similarity
from robench.analysis.transfer import (
    distortions_of,
    generalisation_gap,
    trained_kinds,
    transfer_matrix,
    transfer_scores,
)
from robench.data import load
from robench.data.base import to_float
from robench.errors import DataError
from robench.reference.published_transfer import PUBLISHED_LEVELS
from robench.spec import Distortion, PluginChoice, PluginRef, Record, Suite
from robench.stats.intervals import Interval, student_t
from robench.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUITES = ("crossgen", "noise-training")
DENSE = "/* dense"
LEAST_SEEDS = 3
LITTLE = 0.2
"""So much of what could be gained, or kept, is little; the published networks gained 0.00 to 0.10
and kept 0.02 to 0.06."""
UNIFORM, SALT = "uniform-noise", "salt-and-pepper"
UNSEEN = {"degrade": (UNIFORM, SALT), "corrupt": ("shot-noise", "impulse-noise")}
"""Noise that no network of the suite was trained on."""
PROTOCOL = ["data", "model", "recipe"]


@dataclass(frozen=True)
class Statement:
    """One figure, what is asked of it, and how it came out.

    Attributes:
        name: what is judged.
        values: one a seed.
        least: what is asked: at least this.
        most: and at most this. Where neither is finite, the figure is only reported.
        remark: other figures that help to read it.
    """

    name: str
    values: Sequence[float]
    least: float = -math.inf
    most: float = math.inf
    remark: str = ""

    @property
    def interval(self) -> Interval:
        """Mean and Student's t interval over seeds."""
        return student_t([value for value in self.values if math.isfinite(value)])

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold``, ``open``, ``reported``, or why it cannot be judged."""
        found = self.interval
        if found.n < len(self.values) or not found.n:
            return "not defined"
        if math.isinf(self.least) and math.isinf(self.most):
            return "reported"
        if found.n < LEAST_SEEDS or found.low is None or found.high is None:
            return f"open: fewer than {LEAST_SEEDS} seeds"
        if self.least <= found.low and found.high <= self.most:
            return "holds"
        return "does not hold" if found.high < self.least or found.low > self.most else "open"

    def line(self) -> str:
        """For the terminal."""
        found = self.interval
        asked = " and ".join(
            f"{sign} {bound:g}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if math.isfinite(bound)
        )
        mean = "" if found.value is None else f"{found.value:7.3f}"
        bounds = "" if found.low is None else f"[{found.low:.3f}, {found.high:.3f}]"
        seeds = " ".join(f"{value:.3f}" for value in self.values)
        return (
            f"{self.name:<66} {asked:<8} {mean:>7} {bounds:<18} {self.verdict:<14} "
            f"(seeds: {seeds}{'; ' + self.remark if self.remark else ''})"
        )


# -- running ----------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=Path("results/crossgen"))
    parser.add_argument("--data", type=yaml.safe_load, help="in place of the suites' data set")
    parser.add_argument("--model", type=yaml.safe_load, help="in place of the suites' network")
    parser.add_argument("--judge-only", action="store_true", help="run nothing")
    asked = parser.parse_args()
    if not asked.judge_only:
        for name in SUITES:
            suite = changed(robench.load_suite(name), asked.data, asked.model)
            robench.run(suite, results=asked.results, only=DENSE)
    store = Store(asked.results)
    records = store.records()
    for protocol, statements in judged(records, _chance(store, records)):
        sys.stdout.write(f"\n{protocol}\n")
        for statement in statements:
            sys.stdout.write(f"  {statement.line()}\n")
    for line in similarities(records):
        sys.stdout.write(f"{line}\n")


def changed(suite: Suite, data: object, model: object) -> Suite:
    """The suite on other images, or with another network."""
    changes = {
        key: (PluginChoice.model_validate(choice),)
        for key, choice in (("data", data), ("models", model))
        if choice is not None
    }
    grids = tuple(grid.model_copy(update=changes) for grid in suite.grids)
    return suite.model_copy(update={"grids": grids})


def _chance(store: Store, records: Iterable[Record]) -> dict[str, float]:
    """One over the number of classes, by data set."""
    found: dict[str, float] = {}
    for record in records:
        data = record.cell.data.label
        if data not in found and record.cell.stage == "train" and record.status == "ok":
            logits: NDArray = store.arrays(record.id)["logits"]
            found[data] = 1 / logits.shape[1]
    return found


def similarities(records: Iterable[Record]) -> Iterator[str]:
    """How alike the two kinds of noise are, in pixels, on each data set of images."""
    sets: Mapping[str, PluginRef] = {record.cell.data.label: record.cell.data for record in records}
    levels = {kind: PUBLISHED_LEVELS[kind] for kind in (UNIFORM, SALT)}
    for label, ref in sets.items():
        try:
            images = to_float(load(ref.location or ref.name, ref.params).test.first(200).images)
        except DataError as error:  # records can be judged where their images are not
            yield f"\n{label}: no similarity of distortions: {error.what.splitlines()[0]}"
            continue
        found = degradation_similarity(images, levels)
        value = float(found[(found["a"] == UNIFORM) & (found["b"] == SALT)]["similarity"].iloc[0])
        yield f"\n{label}: similarity of what {UNIFORM} and {SALT} do to the pixels: {value:.3f}"


# -- judging ----------------------------------------------------------------------------------


def judged(
    records: Sequence[Record], chance: Mapping[str, float]
) -> Iterator[tuple[str, list[Statement]]]:
    """Every statement, for each data set, network and recipe by itself."""
    frame, distortions = table(records), distortions_of(records)
    at_one = transfer_matrix(frame, at=PUBLISHED_LEVELS)
    over_levels = transfer_matrix(frame)
    steps = _steps(frame)
    for key, matrix in at_one.groupby(PROTOCOL, sort=False):
        data, model, recipe = map(str, key)
        dense = matrix[matrix["method"] == "dense"]
        means = _of_protocol(over_levels, key)
        statements = [
            *geirhos(dense, distortions, chance.get(data.partition(" (")[0], math.nan)),
            *rusak(_of_protocol(frame, key), distortions),
            *sparse(means, distortions),
        ]
        if statements:
            yield f"{data} · {model} · {steps[recipe]} steps", statements


def _steps(frame: pd.DataFrame) -> dict[str, str]:
    """How long the dense networks of each recipe were trained, by themselves."""
    own = frame[(frame["metric"] == "steps") & (frame["method"] == "dense")]
    return {
        str(recipe): f"{(of[of['role'] == 'start']['value'].max()):.0f} + "
        f"{of[of['role'] == 'result']['value'].max():.0f}"
        for recipe, of in own.groupby("recipe")
    }


def _of_protocol(frame: pd.DataFrame, key: Sequence[object]) -> pd.DataFrame:
    return frame[(frame[PROTOCOL] == list(key)).all(axis=1)]


def _seeds(frame: pd.DataFrame, column: str = "value", **where: str) -> dict[int, float]:
    """Seed → value of the one row a seed that is of these."""
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return dict(zip(frame["seed"].astype(int), frame[column].astype(float), strict=True))


def geirhos(
    matrix: pd.DataFrame, distortions: Mapping[str, Distortion | None], chance: float
) -> Iterator[Statement]:
    """Statements 2, 3 and 5, on dense networks and at the published levels."""
    scores = transfer_scores(matrix, distortions)
    for trained, test in ((SALT, UNIFORM), (UNIFORM, SALT)):
        yield from _little_gained(f"(2) {trained} to {test}: share gained", scores, trained, test)
    for left_out in (UNIFORM, SALT):
        trained = f"all but {left_out}"
        name = f"(3) {trained}, on {left_out}: share gained"
        yield from _little_gained(name, scores, trained, left_out)
        own = matrix[matrix["training"] == trained]
        own = own[own["test"].isin(trained_kinds(distortions.get(trained)))]
        least = own.groupby("seed")["value"].min()
        if len(least):
            yield Statement(f"(3) {trained}: least accuracy on what it saw", list(least), least=0.7)
    clean = _seeds(matrix, training="none", test="clean")
    for trained in (SALT, UNIFORM, f"{UNIFORM} + {SALT}"):
        on_clean = _seeds(matrix, training=trained, test="clean")
        kept = [
            (on_clean[seed] - chance) / (clean[seed] - chance)
            for seed in sorted(on_clean.keys() & clean.keys())
        ]
        if kept:
            remark = f"accuracy {_mean(on_clean)}, trained on clean {_mean(clean)}"
            name = f"(5) {trained} alone, on clean images: share kept"
            yield Statement(name, kept, most=LITTLE, remark=remark)


def _little_gained(name: str, scores: pd.DataFrame, trained: str, test: str) -> Iterator[Statement]:
    """The share gained; beside it that of networks that saw the loss of contrast alone."""
    rows = scores[(scores["training"] == trained) & (scores["test"] == test)]
    if len(rows):
        figures = {
            column: _mean(_seeds(rows, column)) for column in ("value", "clean", "specialist")
        }
        remark = (
            f"accuracy {figures['value']}, trained on clean {figures['clean']}, on it "
            f"{figures['specialist']}"
        )
        control = list(rows["control_score"])
        if not any(map(math.isnan, control)):
            remark += f"; less contrast alone gains a share of {sum(control) / len(control):.3f}"
        values = [value for _, value in sorted(_seeds(rows, "score").items())]
        yield Statement(name, values, most=LITTLE, remark=remark)


def rusak(frame: pd.DataFrame, distortions: Mapping[str, Distortion | None]) -> Iterator[Statement]:
    """The ordering vanilla < Gaussian <= adversarial on noise that nobody was trained on."""
    frame = frame[(frame["method"] == "dense") & (frame["role"] == "result")]
    trainings = {name: distortions[name] for name in frame["training"].unique()}
    gaussian = [n for n, d in trainings.items() if d is not None and d.kinds == ("gaussian-noise",)]
    adversarial = [n for n, d in trainings.items() if d is not None and d.is_adversarial]
    if not gaussian:
        return
    unseen = _unseen(frame)
    radius = frame[frame["metric"] == "worst_noise_l2"]
    for better, worse in [(name, "none") for name in gaussian] + [
        (name, other) for name in adversarial for other in gaussian
    ]:
        yield from _ahead("(order) unseen noise", unseen, better, worse)
    for name in adversarial:
        yield from _ahead("(order) radius of the worst noise", radius, name, "none")


def _unseen(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy over levels, and then over kinds, of each training and seed."""
    accuracy = frame[frame["metric"] == "accuracy"]
    parts = [
        accuracy[(accuracy["stage"] == stage) & accuracy["kind"].isin(kinds)]
        for stage, kinds in UNSEEN.items()
        if "kind" in accuracy
    ]
    # Level 0 of both kinds is one picture, without noise.
    parts = [
        of[shows_own_picture(of)] if len(of) and (of["stage"] == "degrade").all() else of
        for of in parts
    ]
    of_kinds = pd.concat(parts).groupby(["training", "seed", "stage", "kind"])["value"].mean()
    return of_kinds.groupby(["training", "seed"]).mean().reset_index()


def _ahead(what: str, frame: pd.DataFrame, better: str, worse: str) -> Iterator[Statement]:
    a, b = _seeds(frame, training=better), _seeds(frame, training=worse)
    ahead = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    if ahead:
        other = "clean" if worse == "none" else worse
        remark = f"{_mean(a)} and {_mean(b)}"
        yield Statement(f"{what}: {better} less {other}", ahead, least=0.0, remark=remark)


def sparse(
    matrix: pd.DataFrame, distortions: Mapping[str, Distortion | None]
) -> Iterator[Statement]:
    """What sparsity does to own noise, to other noise and to the gap; nothing is asked."""
    gaps = generalisation_gap(matrix, distortions).dropna(subset=["gap"])
    graded = gaps[gaps["method"] != "dense"]
    for (method, level), _ in graded.groupby(["method", "level"], sort=True):
        chosen = gaps[gaps["method"].isin([method, "dense"]) & gaps["level"].isin([level, 0.0])]
        for side in ("own", "others", "gap"):
            means = chosen.groupby(["method", "level", "seed"])[side].mean()
            a, b = (means.loc[place].to_dict() for place in ((method, level), ("dense", 0.0)))
            values = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
            if values:
                yield Statement(f"{method} at {level:g} less dense, {side}", values)


def _mean(values: Mapping[int, float]) -> str:
    return f"{sum(values.values()) / len(values):.3f}" if values else "missing"


if __name__ == "__main__":
    main()
