"""What each point of a search is after."""

from __future__ import annotations

import torch
from torch import nn

from robench.attacks.core.aims import Aims
from robench.attacks.core.budget import Oracle
from robench.attacks.core.losses import difference_of_logits_ratio
from robench.attacks.core.problem import examine


def oracle() -> Oracle:
    return Oracle(
        examine(nn.Identity().eval(), torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.1]]), None)
    )


def test_without_targets_each_image_leaves_its_class() -> None:
    aims = Aims.of(oracle(), 0)
    assert aims.rows.tolist() == [0, 1]
    assert aims.classes.tolist() == [0, 1]
    logits = torch.tensor([[1.0, 3.0, 0.0], [1.0, 3.0, 0.0]])
    assert aims.margin(logits).tolist() == [-2, 2]


def test_each_target_is_a_point_of_its_own() -> None:
    aims = Aims.of(oracle(), 9)
    assert aims.rows.tolist() == [0, 0, 1, 1]
    assert aims.classes.tolist() == [2, 1, 0, 2]
    logits = torch.tensor([[1.0, 3.0, 0.0]]).expand(4, -1)
    assert aims.margin(logits).tolist() == [3, -2, 2, 3]
    clean = oracle().logits[aims.rows]
    expected = -difference_of_logits_ratio(logits, aims.classes, clean, targeted=True)
    assert torch.equal(aims.ratio(logits), expected)


def test_some_of_the_points_keep_their_aims() -> None:
    aims = Aims.of(oracle(), 2).select(torch.tensor([False, True, False, True]))
    assert aims.rows.tolist() == [0, 1]
    assert aims.classes.tolist() == [1, 2]
    assert aims.is_targeted
