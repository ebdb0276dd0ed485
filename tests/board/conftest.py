"""Synthetic records that look like those of a real suite, failures and all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from robench.spec import Cell, Distortion, Metric, PluginRef, Recipe, Record, Status, json_number

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.board.model.leaderboard import Leaderboard

KINDS: dict[str, tuple[float, ...]] = {
    "greyscale": (0.0, 1.0),
    "contrast": (1.0, 0.5, 0.3, 0.15, 0.1, 0.05, 0.03, 0.01),
    "uniform-noise": (0.0, 0.03, 0.05, 0.1, 0.2, 0.35, 0.6, 0.9),
    "salt-and-pepper": (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
    "low-pass": (0.0, 1.0, 3.0, 5.0, 7.0, 10.0, 15.0, 40.0),
    "high-pass": (math.inf, 3.0, 1.5, 1.0, 0.7, 0.55, 0.45, 0.4),
    "rotation": (0.0, 90.0, 180.0, 270.0),
}
METHODS = {
    # name, parameters that the suite set: how early accuracy breaks down, how well it compacts
    ("dense", ()): (9.0, 0.0),
    ("random", ()): (1.2, 0.05),
    ("magnitude", ()): (3.2, 0.35),
    ("magnitude", (("scope", "layer"),)): (2.6, 0.15),
    ("ssl", ()): (2.9, 0.98),
    ("halo", ()): (3.7, 0.45),
}


@dataclass
class Maker:
    """Makes the records of a grid, with the noise of a seed."""

    data: Sequence[str] = ("digits", "mnist")
    models: Sequence[PluginRef] = (
        PluginRef(name="mlp", version=1, params={"hidden": [128, 64]}, changed=("hidden",)),
        PluginRef(name="convnet", version=1),
        PluginRef(name="lenet-5", version=1),
    )
    methods: Sequence[tuple[str, tuple[tuple[str, str], ...]]] = tuple(METHODS)
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
    seeds: int = 3
    distortions: Sequence[str] = ("uniform-noise", "salt-and-pepper", "low-pass")
    stages: Sequence[str] = ("train", "speed", "attack", "degrade")
    suite: str = "synthetic"
    device: str = "cpu"
    mishaps: bool = True
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def records(self) -> list[Record]:
        """Every cell of the grid, and the noise trainings of the first data set and model."""
        clean = [
            record
            for data in self.data
            for model in self.models
            for record in self._of_network(data, model, None, self.levels, self.stages)
        ]
        noisy = [
            record
            for kind in self.distortions
            for record in self._of_network(
                self.data[0], self.models[0], kind, self.levels[2:3], ("train", "degrade")
            )
        ]
        return clean + noisy

    def _of_network(
        self,
        data: str,
        model: PluginRef,
        kind: str | None,
        levels: Sequence[float],
        stages: Sequence[str],
    ) -> Iterator[Record]:
        for seed in range(self.seeds):
            start = self._cell("train", data, model, ("dense", ()), 0.0, seed, kind, role="start")
            yield self._record(start, self._train(start, 0.9))
            for method in self.methods:
                for level in (0.0,) if method[0] == "dense" else levels:
                    train = self._cell("train", data, model, method, level, seed, kind, start.id)
                    for stage in stages:
                        yield self._one(train, stage, method)

    def _one(
        self, train: Cell, stage: str, method: tuple[str, tuple[tuple[str, str], ...]]
    ) -> Record:
        options = {
            "attack": {"suite": "l2-quick", "version": 1, "samples": 1000, "area_limit": 3.0}
        }.get(stage, {})
        cell = train
        if stage != "train":
            change = {"stage": stage, "parent": train.id, "options": options}
            cell = train.model_copy(update=change)
        mishap = self._mishap(cell)
        if mishap is not None:
            return self._record(cell, (), mishap[0], mishap[1])
        patience, compacts = METHODS.get(method, (3.0, 0.5))
        remaining = 1 - cell.level
        accuracy = self._accuracy(cell, patience)
        if stage == "train":
            return self._record(cell, self._train(cell, accuracy))
        if stage == "speed":
            return self._record(cell, self._speed(remaining, compacts))
        if stage == "degrade":
            return self._record(cell, self._degrade(cell, accuracy))
        if stage == "trees":
            return self._trees(cell, accuracy)
        return self._attack(cell, accuracy, remaining)

    def _mishap(self, cell: Cell) -> tuple[Status, str] | None:
        if not self.mishaps or cell.recipe.distortion is not None:
            return None
        where = (cell.model.name, cell.method.name, cell.level, cell.seed)
        if cell.model.name == "convnet" and cell.method.name == "halo" and cell.level == 0.99:
            return "failed", "the loss became NaN at step 214\n  next:    lower the learning rate"
        if cell.data.name == "mnist" and cell.model.name == "lenet-5" and cell.method.name == "ssl":
            reason = "ssl needs a network that is a chain: relu_3 has two inputs"
            return ("not-applicable", reason) if cell.level >= 0.98 else None
        if cell.stage == "speed" and where == ("mlp", "ssl", 0.9, 1):
            return "over-budget", "the cell took longer than 120 s"
        if cell.stage == "speed" and where == ("convnet", "random", 0.8, 2):
            return "noisy", "latency varied too much at batch size 64"
        return None

    def _accuracy(self, cell: Cell, patience: float) -> float:
        best = {"digits": 0.975, "mnist": 0.985}.get(cell.data.name, 0.9)
        best -= {"mlp": 0.012, "convnet": 0.0, "lenet-5": 0.004}.get(cell.model.name, 0.02)
        octaves = -math.log10(1 - cell.level)
        lost = 1 / (1 + math.exp(-3.5 * (octaves - patience / 1.7)))
        return float(0.1 + (best - 0.1) * (1 - lost) + self.generator.normal(0, 0.004))

    def _train(self, cell: Cell, accuracy: float) -> tuple[Metric, ...]:
        n = 360 if cell.data.name == "digits" else 10_000
        achieved = cell.level + (0.004 if cell.method.name == "ssl" and cell.level else 0.0)
        total = 85_000
        return (
            *self._quality(cell, accuracy, n),
            *self._quality(cell, accuracy, n, suffix="_validation"),
            Metric(name="level_target", value=cell.level),
            Metric(name="level_achieved", value=achieved),
            Metric(name="params_total", value=total),
            Metric(name="params_nonzero", value=round(total * (1 - achieved))),
            Metric(name="params_removed", value=0.98 * achieved),
            Metric(name="level_native", value=0.5 * achieved),
            Metric(name="dead_inputs", value=achieved**6),
            Metric(name="loss_final", value=1.01 - accuracy),
            Metric(name="steps", value=600),
            Metric(name="train_s", value=2.5),
        )

    @staticmethod
    def _quality(
        cell: Cell, accuracy: float, n: int, prefix: str = "", suffix: str = ""
    ) -> tuple[Metric, ...]:
        """Accuracy, or of Friedman's regression R², which may be below zero, and the error."""
        if cell.data.name != "friedman1":
            share = min(1, max(0, accuracy))
            return (Metric.share(f"{prefix}accuracy{suffix}", round(share * n), n),)
        r2 = 1.3 * accuracy - 0.4
        named = {f"{prefix}r2{suffix}": r2, f"{prefix}mse{suffix}": 25 * (1 - r2)}
        return tuple(
            Metric(name=name, value=value, n=n, low=value - 0.02, high=value + 0.02)
            for name, value in named.items()
        )

    def _trees(self, cell: Cell, accuracy: float) -> Record:
        trees = 0.93 + 0.01 * cell.seed
        mine = {f"x{place}": 0.4 / 2**place for place in range(5 if cell.level < 0.9 else 2)}
        theirs = [["x0", 0.5], ["x7", 0.5]]
        metrics = (
            *self._quality(cell, trees, 360, "trees_"),
            *self._quality(cell, max(accuracy, trees) + 0.01, 360, "ensemble_"),
            Metric(name="ensemble_weight", value=0.4, n=50),
            Metric(name="importance_entropy", value=4 * (1 - cell.level) + 0.5, n=250),
            Metric(name="unused_inputs", value=cell.level**6, n=250),
            Metric(name="trees_importance_entropy", value=1.0, n=250),
            Metric(name="trees_unused_inputs", value=0.25, n=250),
            Metric(name="importance_divergence", value=0.3, n=250),
        )
        importance = {"network": list(map(list, mine.items())), "trees": theirs}
        return self._record(cell, metrics, details={"importance": importance})

    def _speed(self, remaining: float, compacts: float) -> tuple[Metric, ...]:
        ratio = remaining**-compacts
        metrics = [
            Metric(name="macs_dense", value=9e6),
            Metric(name="macs_nonzero", value=9e6 * remaining),
            Metric(name="macs_compacted", value=9e6 / ratio),
            Metric(name="operation_ratio", value=ratio),
            Metric(name="operation_ratio_nonzero", value=1 / remaining),
            Metric(name="bytes_dense", value=340_000),
            Metric(name="bytes_compacted", value=340_000 / ratio),
            Metric(name="max_abs_logit_difference", value=2e-6),
        ]
        for size, power in ((1, 0.35), (64, 0.82)):
            speedup = ratio**power * math.exp(self.generator.normal(0, 0.03))
            metrics += [
                Metric(
                    name="latency_ms",
                    value=value,
                    n=30,
                    condition={"batch_size": size, "network": network},
                )
                for network, value in (("dense", 4.0 * size), ("compacted", 4.0 * size / speedup))
            ]
            metrics.append(
                Metric(
                    name="speedup",
                    value=speedup,
                    n=15,
                    low=speedup * 0.97,
                    high=speedup * 1.03,
                    condition={"batch_size": size},
                )
            )
        return tuple(metrics)

    def _degrade(self, cell: Cell, accuracy: float) -> tuple[Metric, ...]:
        own = cell.recipe.distortion.kinds[0] if cell.recipe.distortion else None
        metrics = []
        for kind, levels in KINDS.items():
            patience = 0.8 if kind == own else 0.45 if own is None else 0.33
            for place, level in enumerate(levels):
                harm = place / max(1, len(levels) - 1) / patience
                kept = 1 / (1 + math.exp(6 * (harm - 1))) if place else 1.0
                share = 0.1 + (accuracy - 0.1) * kept + self.generator.normal(0, 0.006)
                correct = round(min(1, max(0, share)) * 500)
                condition = {"kind": kind, "test_level": json_number(level)}
                metrics.append(Metric.share("accuracy", correct, 500, **condition))
                bits = math.log2(10) * (0.2 + 0.8 * kept)
                metrics.append(
                    Metric(name="response_entropy_bits", value=bits, n=500, condition=condition)
                )
        return tuple(metrics)

    def _attack(self, cell: Cell, accuracy: float, remaining: float) -> Record:
        scale = 1.6 if cell.data.name == "mnist" else 1.1
        median = scale * (0.6 + 0.5 * (1 - remaining) * accuracy) * accuracy
        median = max(0.02, median + float(self.generator.normal(0, 0.03)))
        suspicious = cell.method.name == "halo" and cell.level >= 0.98
        flags = [
            {
                "name": "gradient-zero",
                "kind": "warning",
                "value": 0.12 if suspicious else 0.0,
                "threshold": 0.01,
                "raised": suspicious,
                "meaning": "the gradient vanishes for many images, so that the attack may be blind",
            }
        ]
        metrics = (
            Metric(name="median_l2", value=median, n=970, low=median * 0.97, high=median * 1.03),
            Metric(name="l2_area", value=median * 0.95, n=1000, condition={"limit": 3.0}),
            Metric(name="l2_area_share", value=median * 0.95 / 3, n=1000, condition={"limit": 3.0}),
            Metric(name="passes_per_image", value=1400.0, n=1000),
            Metric.share("accuracy", round(min(1.0, accuracy) * 1000), 1000),
            Metric.share("attack_success", 970, 970),
            *(
                Metric.share(
                    "accuracy_at",
                    round(max(0, min(1.0, accuracy) - radius / 3) * 1000),
                    1000,
                    radius=radius,
                )
                for radius in (0.0, 0.5, 1.0, 2.0, 3.0)
            ),
        )
        details = {
            "flags": flags,
            "suite": "l2-quick/1",
            "images_sha256": "0" * 64,
            "passes_allowed": 2000,
            "attacks": {
                "deepfool": {"wins": 0.2, "optimality": 0.9, "median_l2": 1.1, "passes": 60.0},
                "ddn": {"wins": 0.8, "optimality": 0.99, "median_l2": 1.0, "passes": 600.0},
                "mine": {"guest": True, "wins": 0.01, "optimality": 1.01, "error": "raised Oops"},
            },
        }
        return self._record(cell, metrics, details=details)

    def _cell(
        self,
        stage: str,
        data: str,
        model: PluginRef,
        method: tuple[str, tuple[tuple[str, str], ...]],
        level: float,
        seed: int,
        kind: str | None,
        parent: str | None = None,
        role: str = "result",
    ) -> Cell:
        name, changed = method
        distortion = Distortion(kind=kind) if kind else None
        return Cell.model_validate(
            {
                "stage": stage,
                "suite": self.suite,
                "suite_version": 1,
                "data": PluginRef(name=data, version=1),
                "data_sha256": "0" * 64,
                "model": model,
                "method": PluginRef(
                    name=name,
                    version=1,
                    params=dict(changed),
                    changed=tuple(key for key, _ in changed),
                ),
                "level": level,
                "seed": seed,
                "recipe": Recipe(dense_steps=300, sparse_steps=300, distortion=distortion),
                "device": self.device,
                "role": role,
                "parent": parent,
            }
        )

    @staticmethod
    def _record(
        cell: Cell,
        metrics: Sequence[Metric],
        status: Status = "ok",
        reason: str | None = None,
        details: dict[str, object] | None = None,
    ) -> Record:
        return Record.model_validate(
            {
                "id": cell.id,
                "cell": cell,
                "status": status,
                "reason": reason,
                "metrics": tuple(metrics),
                "details": details or {},
                "provenance": {"robench": "0.1.0", "wall_s": 2.5},
            }
        )


@pytest.fixture(scope="session")
def make() -> Callable[..., list[Record]]:
    """``make(seeds=1, …)``: records of a grid of one's own."""
    return lambda **grid: Maker(**grid).records()


@dataclass
class Element:
    """An element of a page: its attributes, and the text directly in it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


class Elements(HTMLParser):
    """All elements of a page, as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.found.append(element)
        if tag not in ("meta", "img", "wbr", "path", "link", "br"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def of(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag with these attributes, in the order of the page."""
        return [
            element
            for element in self.found
            if element.tag == tag and attributes.items() <= element.attributes.items()
        ]


@pytest.fixture(scope="session")
def parse() -> Callable[[str], Elements]:
    """``parse(html)``: the elements of a page."""
    return Elements


SMALL = {
    "data": ("digits",),
    "models": (PluginRef(name="mlp", version=1), PluginRef(name="convnet", version=1)),
    "levels": (0.5, 0.9, 0.99),
    "distortions": (),
}


@pytest.fixture(scope="session")
def records(make: Callable[..., list[Record]]) -> list[Record]:
    """Two networks, six methods, three levels, three seeds, noise trainings, mishaps."""
    return make(**{**SMALL, "distortions": ("uniform-noise", "salt-and-pepper")})


@pytest.fixture(scope="session")
def board(records: list[Record]) -> Leaderboard:
    """That of `records`."""
    from robench.board.model.leaderboard import leaderboard

    return leaderboard(records)


@pytest.fixture(scope="session")
def views(board: Leaderboard) -> dict[str, Drawing]:
    """All views of `records`, by their keys and in their order."""
    from robench.board.views import views_of

    return {view.key: view for view in views_of(board)}


@pytest.fixture(scope="session")
def built(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the board of `records`."""
    from robench.board import build_board

    return build_board(records, tmp_path_factory.mktemp("board") / "site").parent


@pytest.fixture(scope="session")
def arrays() -> Callable[..., dict[str, np.ndarray]]:
    """Distances beside the records of attacks: those of a seed are alike, those of ssl 20% less."""

    def read(record: Record) -> dict[str, np.ndarray]:
        cell = record.cell
        distance = np.random.default_rng(cell.seed).exponential(size=200) + 0.1
        distance[: 20 if cell.method.name == "ssl" else 10] = 0
        if cell.method.name == "ssl":
            distance *= 0.8
        return {"index": np.arange(200), "distance": distance, "correct": distance > 0}

    def of(records: Sequence[Record]) -> Callable[..., dict[str, np.ndarray]]:
        known = {record.id: record for record in records}
        return lambda cell_id, only=None: read(known[cell_id])

    return of
