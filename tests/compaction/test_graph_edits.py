"""Changes of a graph: each has its effect, and can be applied again from plain data."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch import fx, nn

from robench.compaction.graph_edits import Edit, apply_edits, free_name
from robench.errors import InputError
from tests.networks import Net

IMAGES = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def graph() -> fx.GraphModule:
    """a(x) + b(x), two convolutions of one pixel."""
    model = Net(lambda m, x: m.a(x) + m.b(x), a=nn.Conv2d(3, 2, 1), b=nn.Conv2d(3, 2, 1))
    return fx.symbolic_trace(model.eval())


def test_a_dropped_branch_leaves_the_other() -> None:
    module = graph()
    expected = module.a(IMAGES)
    apply_edits(module, [Edit("drop", "add", "a")], {})
    assert torch.equal(module(IMAGES), expected)
    assert not hasattr(module, "b")


def test_a_constant_takes_the_place_of_a_branch() -> None:
    module, constant = graph(), torch.ones(1, 2, 1, 1)
    expected = module.a(IMAGES) + 1
    apply_edits(module, [Edit("constant", "add", "b", "constant_0")], {"constant_0": constant})
    assert torch.equal(module(IMAGES), expected)
    assert free_name(module, "constant") == "constant_1"
    assert free_name(module, "constant", taken=["constant_1"]) == "constant_2"


def test_a_stored_tensor_is_added() -> None:
    module = graph()
    expected = module(IMAGES) + 5
    apply_edits(module, [Edit("add", "a", buffer="c")], {"c": torch.full((1, 2, 1, 1), 5.0)})
    torch.testing.assert_close(module(IMAGES), expected)


def test_channels_are_selected() -> None:
    module, chosen = graph(), torch.tensor([2, 0])
    module.b.weight = nn.Parameter(module.b.weight[:, chosen].detach())
    expected = module.a(IMAGES) + module.b(IMAGES[:, chosen])
    apply_edits(module, [Edit("select", "b", "images", "s")], {"s": chosen})
    assert torch.equal(module(IMAGES), expected)


def test_splits_and_paddings_get_other_sizes() -> None:
    split = fx.symbolic_trace(Net(lambda m, x: x.chunk(2, 1)[0]))
    apply_edits(split, [Edit("split", "chunk", sizes=(1, 2))], {})
    assert split(IMAGES).shape == (2, 1, 4, 4)
    padded = fx.symbolic_trace(Net(lambda m, x: nn.functional.pad(x, (0, 0, 0, 0, 1, 1))))
    apply_edits(padded, [Edit("pad", "pad", padding=(0, 0, 0, 0, 2, 0))], {})
    assert padded(IMAGES).shape == (2, 5, 4, 4)
    assert not padded(IMAGES)[:, :2].any()


def test_one_size_refuses_others() -> None:
    module = graph()
    (first,) = (node.name for node in module.graph.nodes if node.op == "placeholder")
    edit = Edit("one-size", first, "size_0", sizes=(3, 4, 4))
    assert Edit(**asdict(edit)) == edit
    apply_edits(module, [edit], {})
    assert module(IMAGES).shape == (2, 2, 4, 4)
    with pytest.raises(InputError, match=r"\(2, 3, 4, 3\)"):
        module(IMAGES[..., :3])


def test_a_step_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        apply_edits(graph(), [Edit("drop", "add", "c")], {})
