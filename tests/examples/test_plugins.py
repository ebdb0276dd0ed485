"""The examples: the rules of their kinds, and their formulas against something independent."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import robench
from robench.board.model.leaderboard import leaderboard
from robench.conformance import check
from robench.engine.progress import Silent

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*.py"))
Load = Callable[[str], Any]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.slow
def test_each_keeps_the_rules_of_its_kind(file: Path) -> None:
    for report in check(file):
        assert not report.failed, report.failed[0].complaint


def test_there_is_one_of_each_kind_and_the_list_has_them_all() -> None:
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [f"`{file.name}`" in listed for file in FILES] == [True] * 8


# -- method ---------------------------------------------------------------------------------------


def test_synflow_scores_are_the_flow_through_each_weight(example: Load) -> None:
    # Of a linear chain, dR/dw * w is the sum over paths through w of the product of their weights.
    synflow: ModuleType = example("synflow")
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    weights = {"0.weight": model[0].weight, "2.weight": model[2].weight}

    before = {name: weight.clone() for name, weight in weights.items()}
    scores = synflow.synaptic_flow(model, weights, torch.ones(1, 3, dtype=torch.float64))
    first, second = (weight.detach().double().abs() for weight in weights.values())
    expected_first = first * second.sum(0)[:, None]  # [4, 3]
    expected_second = second * first.sum(1)[None, :]  # [2, 4]
    torch.testing.assert_close(scores["0.weight"], expected_first)
    torch.testing.assert_close(scores["2.weight"], expected_second)
    # What flows into a unit flows out of it: the conservation that the method is named for.
    torch.testing.assert_close(scores["0.weight"].sum(1), scores["2.weight"].sum(0))
    for name, weight in weights.items():
        assert torch.equal(weight, before[name])
        assert weight.dtype == torch.float32


# -- attack ---------------------------------------------------------------------------------------


def test_carlini_wagner_finds_the_distance_to_a_plane(example: Load) -> None:
    from robench.attacks.core.inputs import check_inputs
    from robench.attacks.core.oracle import Oracle

    attack = example("carlini_wagner").CarliniWagner
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    images = 0.4 + 0.2 * torch.rand(6, 1, 4, 4)
    oracle = Oracle(check_inputs(model, images, None))
    attack(steps=200, searches=8).run(oracle)
    weights, biases = (p.detach().double() for p in model[1].parameters())
    logits = images.double().flatten(1) @ weights.T + biases
    own = logits.argmax(1)
    gaps = logits.gather(1, own[:, None]) - logits  # [6, 3]
    across = (weights[own][:, None] - weights[None]).norm(dim=2)  # [6, 3]
    nearest = (gaps / across).nan_to_num(math.inf).where(gaps > 0, math.inf).amin(1)
    ratio = oracle.best_distance.double() / nearest
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.02


# -- degradation ----------------------------------------------------------------------------------


def test_defocus_is_the_mean_over_a_disk(example: Load) -> None:
    defocus = example("defocus")
    weights = np.array(defocus.disk(3.0))
    assert weights.shape == (7, 7)
    assert weights.sum() == pytest.approx(1)
    assert np.allclose(weights, weights[::-1])
    assert np.allclose(weights, weights.T)
    # The middle pixel lies inside; of the outermost one a circular segment does.
    area = math.pi * 3**2
    assert weights[3, 3] == pytest.approx(1 / area, rel=0.01)
    across = np.linspace(-0.5, 0.5, 10_001)
    assert weights[3, 6] == pytest.approx(np.mean(np.sqrt(9 - across**2) - 2.5) / area, rel=0.03)
    flat = torch.full((1, 1, 9, 9), 0.3)
    torch.testing.assert_close(defocus.defocus(flat, 3.0), flat)
    image = torch.rand(2, 3, 11, 8, generator=torch.Generator().manual_seed(1))
    kernel = torch.tensor(defocus.disk(1.5)).float()[None, None]
    padded = nn.functional.pad(image, (2, 2, 2, 2), mode="replicate")
    expected = nn.functional.conv2d(padded.flatten(0, 1)[:, None], kernel).reshape(image.shape)
    torch.testing.assert_close(defocus.defocus(image, 1.5), expected)
    assert torch.equal(defocus.defocus(image, 0.0), image)


# -- model and data set ---------------------------------------------------------------------------


def test_separable_has_the_weights_of_the_paper_s_count(example: Load) -> None:
    example("separable")
    network = robench.models.build(
        "separable", input_shape=(3, 16, 16), classes=10, mean=(0.5,) * 3, std=(0.5,) * 3, seed=0
    )
    prunable = robench.models.prunable(network)
    expected = [3 * 9 * 16, 9 * 16, 16 * 32, 9 * 32, 32 * 64, 64 * 10]
    assert [weight.numel() for weight in prunable.values()] == expected
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 10)


def test_two_spirals_lie_on_their_arms(example: Load) -> None:
    example("two_spirals")
    data = robench.data.load("two-spirals", {"points": 400, "noise": 0.0})
    assert [len(part) for part in (data.train, data.validation, data.test)] == [280, 40, 80]
    assert data.classes == ("first arm", "second arm")
    points = data.train.images.double().numpy()
    middle = points.mean(axis=0)  # near the origin of the arms
    assert np.abs(middle - 0.5).max() < 0.1
    # No line does much better than guessing.
    design = np.column_stack([points, np.ones(len(points))])
    target = 2 * data.train.labels.numpy() - 1
    plane, *_ = np.linalg.lstsq(design, target, rcond=None)
    assert (np.sign(design @ plane) == target).mean() < 0.7


# -- stage, metric and view -----------------------------------------------------------------------


def test_jacobian_norm_is_that_of_the_jacobian(example: Load) -> None:
    norms = example("jacobian_norm").jacobian_norms
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4)).eval()
    inputs = torch.rand(3, 5)
    expected = [
        torch.autograd.functional.jacobian(lambda x: network(x).softmax(0), row).norm()
        for row in inputs
    ]
    torch.testing.assert_close(norms(network, inputs), torch.stack(expected))


@pytest.mark.parametrize("seed", range(5))
def test_aurc_is_the_mean_over_every_order_of_equals(example: Load, seed: int) -> None:
    area = example("aurc").area
    draw = np.random.default_rng(seed)
    confidence = draw.choice([0.5, 0.7, 0.9], 6)
    wrong = draw.random(6) < 0.4

    def of(order: tuple[int, ...]) -> float:
        return float(np.mean(np.cumsum(wrong[list(order)]) / np.arange(1, 7)))

    orders = [o for o in permutations(range(6)) if (np.diff(confidence[list(o)]) <= 0).all()]
    assert area(confidence, wrong) == pytest.approx(np.mean([of(order) for order in orders]))


def test_a_suite_with_stage_metric_and_view(example: Load, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: e\nversion: 1\ndata: two-spirals\nmodels: [{name: mlp, widths: [16]}]\n"
        "methods: [synflow]\nlevels: [0.5]\nseeds: 1\n"
        "recipe: {dense_steps: 20, sparse_steps: 20}\n"
        "evaluate: {jacobian_norm: {samples: 40}, calibration: {kinds: none}}\n",
        encoding="utf-8",
    )
    names = ("two_spirals", "synflow", "jacobian_norm", "aurc", "class_accuracy")
    results = robench.run(
        tmp_path / "suite.yaml",
        results=tmp_path / "r",
        plugins=[FOLDER / f"{name}.py" for name in names],
        jobs=0,
        progress=Silent(),
    )
    assert {record.status for record in results.records} == {"ok"}
    row = next(row for row in leaderboard(results.records).rows if row.method == "synflow")
    assert row.level_achieved is not None
    assert row.level_achieved.value == pytest.approx(0.5, abs=0.03)
    assert row.others["jacobian_norm: jacobian_norm"].value > 0
    assert 0 <= row.others["calibration: aurc"].value <= 1
    html = robench.build_board(tmp_path / "r").read_text(encoding="utf-8")
    assert 'id="class-accuracy"' in html
    assert "accuracy of each class, %" in html
    assert "This view cannot be shown" not in html
