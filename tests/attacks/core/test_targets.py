"""What each point of a search is after."""

from __future__ import annotations

import torch
from torch import nn

from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.losses import difference_of_logits_ratio
from robench.attacks.core.oracle import Oracle
from robench.attacks.core.targets import Targets


def oracle() -> Oracle:
    return Oracle(
        check_inputs(nn.Identity().eval(), torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.1]]), None)
    )


def test_without_targets_each_image_leaves_its_class() -> None:
    targets = Targets.of(oracle(), 0)
    assert targets.rows.tolist() == [0, 1]
    assert targets.classes.tolist() == [0, 1]
    logits = torch.tensor([[1.0, 3.0, 0.0], [1.0, 3.0, 0.0]])
    assert targets.margin(logits).tolist() == [-2, 2]


def test_each_target_is_a_point_of_its_own() -> None:
    targets = Targets.of(oracle(), 9)
    assert targets.rows.tolist() == [0, 0, 1, 1]
    assert targets.classes.tolist() == [2, 1, 0, 2]
    logits = torch.tensor([[1.0, 3.0, 0.0]]).expand(4, -1)
    assert targets.margin(logits).tolist() == [3, -2, 2, 3]
    clean = oracle().logits[targets.rows]
    expected = -difference_of_logits_ratio(logits, targets.classes, clean, targeted=True)
    assert torch.equal(targets.ratio(logits), expected)


def test_some_of_the_points_keep_their_aims() -> None:
    targets = Targets.of(oracle(), 2).select(torch.tensor([False, True, False, True]))
    assert targets.rows.tolist() == [0, 1]
    assert targets.classes.tolist() == [1, 2]
    assert targets.is_targeted
