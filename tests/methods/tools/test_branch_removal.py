"""Removing branches: which ones, how near to the level, and what is left of the block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import LevelNotReachedError
from robench.methods.tools.branch_removal import BranchGroups, branches_of
from robench.models.base import prunable

WIDTHS = (4, 8, 12, 16)


class Stack(nn.Module):
    """Bottlenecks of several widths beside identity shortcuts: 2 x 20 w weights each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(5, 20)
        for width in WIDTHS:
            self.add_module(f"in{width}", nn.Linear(20, width))
            self.add_module(f"norm{width}", nn.BatchNorm1d(width))
            self.add_module(f"out{width}", nn.Linear(width, 20))
        self.head = nn.Linear(20, 3)

    def forward(self, x):
        x = self.stem(x)
        for width in WIDTHS:
            hidden = self.get_submodule(f"norm{width}")(self.get_submodule(f"in{width}")(x)).relu()
            x = x + self.get_submodule(f"out{width}")(hidden)
        return self.head(x)

    def residual_branches(self):
        return tuple((f"in{width}", f"norm{width}", f"out{width}") for width in WIDTHS)


STEM_AND_HEAD = 160
BRANCHES = [40 * width for width in WIDTHS]
TOTAL = STEM_AND_HEAD + sum(BRANCHES)


def groups_of(model: nn.Module) -> BranchGroups:
    return BranchGroups(branches_of(model, prunable(model)), prunable(model))


def gone(model: nn.Module, zeros: int) -> list[int]:
    """The widths of the branches that go at so many zeros; their blocks must hand inputs on."""
    masks, silence = groups_of(model).snap(zeros / TOTAL)
    masks.cut(prunable(model))
    silence.apply()
    widths = [width for width in WIDTHS if not model.get_submodule(f"out{width}").weight.any()]
    for width in widths:
        for part in ("in", "norm", "out"):
            assert not any(p.any() for p in model.get_submodule(f"{part}{width}").parameters())
    return widths


def test_the_branch_with_the_weakest_layer_goes_first():
    model = Stack()
    with torch.no_grad():
        model.out12.weight *= 0.01
    assert gone(model, 480) == [12]
    x = torch.randn(6, 5)
    kept = model.stem(x)
    for width in (4, 8, 16):
        hidden = model.get_submodule(f"norm{width}")(model.get_submodule(f"in{width}")(kept)).relu()
        kept = kept + model.get_submodule(f"out{width}")(hidden)
    torch.testing.assert_close(model.train()(x), model.head(kept))


def test_a_branch_that_would_go_too_far_leaves_its_place_to_a_smaller_one():
    model = Stack()
    with torch.no_grad():
        model.out16.weight *= 0.01
        model.in8.weight *= 0.1
    assert gone(model, 330) == [8]  # 640 would be farther away


def test_a_dead_layer_takes_its_branch_along():
    model = Stack()
    with torch.no_grad():
        model.in8.weight.zero_()
    assert groups_of(model).zeros == 320
    assert gone(model, 480) == [4, 8]


def test_a_dead_layer_without_a_shortcut_is_all():
    model = Stack()
    with torch.no_grad():
        model.head.weight.zero_()
    assert groups_of(model).zeros == TOTAL


def test_levels_that_no_branches_make_up_say_what_was_reached():
    model = Stack()
    with torch.no_grad():  # nothing may be half dead: what is zero already counts
        model.in4.weight.zero_()
        model.in16.weight.zero_()
    groups = groups_of(model)
    groups.check_reachable(0.2)
    with pytest.raises(LevelNotReachedError, match="no set of whole branches") as caught:
        groups.snap(0.1)  # the dead ones alone are 800, and 320 more or fewer are allowed
    assert caught.value.achieved == 800 / TOTAL
    with pytest.raises(LevelNotReachedError, match="identity shortcut"):
        BranchGroups(branches_of(model, prunable(model))[:1], prunable(model)).check_reachable(0.9)


def test_only_declared_branches_that_are_prunable_count():
    model = Stack()
    weights = prunable(model)
    del weights["in4.weight"]
    assert [list(branch.layers) for branch in branches_of(model, weights)] == [
        [f"in{width}", f"out{width}"] for width in WIDTHS[1:]
    ]
    assert branches_of(nn.Sequential(nn.Linear(3, 3)), {}) == []


def test_a_residual_network_of_the_house_loses_blocks(network, run):
    model = network("resnet", depth=14, widths=[4, 8, 12])
    assert len(model.residual_branches()) == 4
    result = run(model, "ssl", {"groups": "depth"}, level=0.3, steps=3, batch_size=8)
    dead = [
        names
        for names in model.residual_branches()
        if not any(p.any() for name in names for p in model.get_submodule(name).parameters())
    ]
    assert dead
    assert result.level == pytest.approx(0.3, abs=0.2)
