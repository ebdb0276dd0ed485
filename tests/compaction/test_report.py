"""The report of a compaction: written as JSON, read again, and carried by the network."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from robench.compaction import compact
from robench.compaction.graph_edits import Edit
from robench.compaction.report import CompactionReport, LayerReport, report_of
from robench.deploy.columns import ColumnChoice
from robench.errors import InputError
from robench.graph.differences import Differences
from tests.networks import linear_layers

REPORT = CompactionReport(
    layers=(
        LayerReport("0", "Conv2d", 8, 3, 1, None),
        LayerReport("2", "Linear", 4, 0, 0, "its branch is constant"),
    ),
    differences=Differences(0.0, 1e-7, 0.0, 1e-6),
    parameters_before=100,
    parameters_after=40,
    columns=(ColumnChoice("0", "direct", 9, 4, (1, 8, 8), (0, 2, 0, 1), {"dense": {"1": 0.5}}),),
    edits=(Edit("pad", "pad", padding=(0, 1)), Edit("split", "chunk", sizes=(2, 3))),
    input_sizes=((8, 8), (9, 10)),
    only_shape=(1, 8, 8),
)


def test_it_is_written_and_read() -> None:
    assert CompactionReport.from_json(json.loads(json.dumps(REPORT.to_json()))) == REPORT
    assert REPORT.units_removed == 9


def test_reports_of_before_sizes_were_noted_are_read() -> None:
    data = json.loads(json.dumps(REPORT.to_json()))
    del data["input_sizes"], data["only_shape"]
    found = CompactionReport.from_json(data)
    assert found.input_sizes == ()
    assert found.only_shape is None


def test_a_compacted_network_carries_its_report() -> None:
    model = linear_layers(4, 6, 2)
    with torch.no_grad():
        model[2].weight[:, :2] = 0
    report = report_of(compact(model, torch.rand(3, 4)))
    assert [(layer.units_before, layer.units_after) for layer in report.layers] == [(6, 4), (2, 2)]
    assert (report.parameters_before, report.parameters_after) == (44, 30)
    with pytest.raises(InputError, match="carries no compaction report"):
        report_of(nn.Linear(1, 1))
