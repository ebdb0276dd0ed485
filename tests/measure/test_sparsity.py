"""Every measure of zeros, against numpy and against the papers' own counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.measure.sparsity import sparsity_report


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_counts_are_those_of_numpy(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    arrays = []
    for layer in (model[0], model[3]):
        array = rng.normal(size=tuple(layer.weight.shape)) * (
            rng.random(layer.weight.shape) >= share
        )
        layer.weight.data = torch.from_numpy(array)
        arrays.append(array)
    report = sparsity_report(model)
    conv, linear = arrays
    assert report.level == pytest.approx(np.mean(np.concatenate([a.ravel() for a in arrays]) == 0))
    assert report.level_convolutions == pytest.approx(np.mean(conv == 0))
    assert report.dead_inputs == np.sum(np.all(conv == 0, axis=(0, 2, 3)))
    first, second = report.layers
    assert first.zero_rows == np.sum(np.all(conv == 0, axis=(1, 2, 3)))
    assert first.zero_columns == np.sum(np.all(conv == 0, axis=0))
    assert second.zero_rows == np.sum(np.all(linear == 0, axis=1))
    assert second.zero_columns == second.zero_inputs == np.sum(np.all(linear == 0, axis=0))


def test_shapes_and_names() -> None:
    report = sparsity_report(nn.Sequential(nn.Conv2d(2, 3, 5), nn.Flatten(), nn.Linear(6, 4)))
    conv, linear = report.layers
    assert (conv.name, conv.rows, conv.columns, conv.inputs) == ("0.weight", 3, 50, 2)
    assert (linear.name, linear.rows, linear.columns, linear.inputs) == ("2.weight", 4, 6, 6)
    assert conv.is_convolution
    assert not linear.is_convolution


def test_biases_and_batch_norm_are_parameters_but_not_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        model[0].weight[0] = 0
        model[0].bias.zero_()
        model[1].weight.fill_(1)
        model[1].bias.zero_()
    report = sparsity_report(model)
    assert report.level == report.layers[0].level == 0.5
    assert report.level_convolutions is None
    assert (report.parameters, report.parameters_nonzero) == (14, 6)


def test_dead_pixels_of_wen_et_al_2016() -> None:
    """Their second MLP reads 469 of 784 pixels: 40.18 % have no connection."""
    model = nn.Sequential(nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))
    with torch.no_grad():
        model[0].weight[:, 469:] = 0
    report = sparsity_report(model)
    assert 100 * report.dead_inputs / 784 == pytest.approx(40.18, abs=0.005)


def test_a_network_may_leave_weights_out() -> None:
    class Partly(nn.Sequential):
        def prunable(self) -> dict[str, nn.Parameter]:
            return {"1.weight": self[1].weight}

    report = sparsity_report(Partly(nn.Linear(2, 2), nn.Linear(2, 2)))
    assert [layer.name for layer in report.layers] == ["1.weight"]


def test_no_weights_no_level() -> None:
    report = sparsity_report(nn.Sequential(nn.BatchNorm1d(3)))
    assert (report.level, report.dead_inputs, report.layers) == (0.0, 0, ())


def test_report_is_json() -> None:
    report = sparsity_report(nn.Sequential(nn.Linear(2, 2)))
    assert json.loads(json.dumps(report.to_json()))["layers"][0]["rows"] == 2
