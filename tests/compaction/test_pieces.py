"""Steps that give several tensors: cuts are followed, everything else is pinned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.compaction import compact, load, report_of, save
from tests.networks import Net, randomised


class TwoConvs(Net):
    """Convolutions `a` and `b`; the means of what `forward` gives are the logits."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], width: int = 6) -> None:
        super().__init__(forward, a=nn.Conv2d(3, 6, 3, padding=1), b=nn.Conv2d(width, 4, 1))
        randomised(self)
        self.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).mean((2, 3))


def dead(model: TwoConvs, constants: dict[int, float]) -> TwoConvs:
    """The network with filters of its first layer that are nothing but a bias."""
    with torch.no_grad():
        for unit, constant in constants.items():
            model.a.weight[unit], model.a.bias[unit] = 0, constant
    return model


def images(*size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 3, *size, generator=generator, dtype=torch.float64)


def same(model: nn.Module) -> nn.Module:
    compacted = compact(model, images(8, 8), columns=False)
    for inputs in (images(8, 8), images(5, 11), 0.01 * images(9, 9), -images(4, 4)):
        torch.testing.assert_close(compacted(inputs), model(inputs), atol=1e-12, rtol=1e-12)
    return compacted


def units(compacted: nn.Module) -> dict[str, int]:
    return {layer.name: layer.units_after for layer in report_of(compacted).layers}


def gate(cut: Callable[[Tensor], Any]) -> Callable[[Any, Tensor], Tensor]:
    def forward(m: Any, x: Tensor) -> Tensor:
        first, second = cut(m.a(x))
        maps: Tensor = m.b(first * second)
        return maps

    return forward


CUTS: list[Callable[[Tensor], Any]] = [
    lambda y: y.chunk(2, 1),
    lambda y: y.chunk(chunks=2, dim=-3),
    lambda y: torch.chunk(y, 2, dim=1),
    lambda y: y.split(3, 1),
    lambda y: y.split([3, 3], dim=1),
    lambda y: torch.split(y, split_size_or_sections=3, dim=1),
    lambda y: y.tensor_split(2, 1),
    lambda y: torch.tensor_split(y, (3,), dim=1),
]


@pytest.mark.parametrize("cut", CUTS)
def test_halves_of_a_gate_go_together(cut: Callable[[Tensor], Any]) -> None:
    """A gate of zero shuts the channel that it multiplies, which then goes with its gate."""
    assert units(same(TwoConvs(gate(cut), width=3))) == {"a": 6, "b": 4}
    compacted = same(dead(TwoConvs(gate(cut), width=3), {1: 0.0}))
    assert units(compacted) == {"a": 4, "b": 4}


def test_a_gate_that_is_another_constant_stays() -> None:
    assert units(same(dead(TwoConvs(gate(CUTS[0]), width=3), {1: 0.3}))) == {"a": 6, "b": 4}
    both = dead(TwoConvs(gate(CUTS[0]), width=3), {1: 0.3, 4: -0.2})
    assert units(same(both)) == {"a": 4, "b": 4}


def test_two_numbers_of_pieces_are_cut_elsewhere(tmp_path: Path) -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        first, second = m.a(x).split([2, 4], 1)
        maps: Tensor = m.b(torch.cat([second.relu(), first], 1))
        return maps

    model = dead(TwoConvs(forward), {1: 0.2, 3: -0.2})
    model.a.weight.data[2] = 0
    compacted = same(model)
    assert units(compacted)["a"] == 3
    assert [(edit.kind, edit.sizes) for edit in report_of(compacted).edits] == [("split", (1, 2))]
    save(compacted, tmp_path / "split.safetensors")
    loaded = load(tmp_path / "split.safetensors", TwoConvs(forward))
    assert torch.equal(loaded(images(6, 6)), compacted(images(6, 6)))
    assert report_of(loaded) == report_of(compacted)


def test_a_piece_that_nobody_needs_keeps_a_channel() -> None:
    model = TwoConvs(lambda m, x: m.b(m.a(x).tensor_split((4,), dim=1)[0]), width=4)
    assert units(same(model)) == {"a": 5, "b": 4}


def test_pieces_put_together_again() -> None:
    reordered = TwoConvs(lambda m, x: m.b(torch.cat(m.a(x).chunk(3, 1)[::-1], 1)))
    assert units(same(dead(reordered, {0: 0.5, 5: 0.0})))["a"] == 4
    whole = TwoConvs(lambda m, x: m.b(torch.cat(m.a(x).chunk(2, 1), 1)))
    assert units(same(dead(whole, {0: 0.5})))["a"] == 5
    nested = TwoConvs(lambda m, x: m.b(m.a(x).chunk(2, 1)[1].chunk(3, 1)[0].relu()), width=1)
    assert units(same(nested))["a"] == 4  # one a piece


def _maximum(m: Any, x: Tensor) -> Tensor:
    """0.088 of 0.47 too much on dark images, where the dead channel is the largest."""
    y = m.a(x).relu()
    return m.b(y) * y.max(1, keepdim=True)[0]


@pytest.mark.parametrize(
    "forward",
    [
        _maximum,
        lambda m, x: m.b(m.a(x).topk(6, 1)[0]),
        lambda m, x: m.b(m.a(x).topk(6, dim=1).values),
        lambda m, x: m.b(m.a(x).sort(1)[0]),
        lambda m, x: m.b(nn.functional.max_pool2d(m.a(x), 2, return_indices=True)[0]),
        lambda m, x: m.b(torch.stack(m.a(x).unbind(1)[::-1], 1)),
        lambda m, x: m.b(torch.stack(m.a(x).split(3, 2)[:1])[0]),
        lambda m, x: m.b(m.a(x)) + torch.var_mean(m.a.bias + x.sum())[0],
        lambda m, x: m.b((y := m.a(x)) * torch.var_mean(y, dim=1, keepdim=True)[1]),
    ],
)
def test_what_reads_a_tensor_and_gives_several_pins_it(
    forward: Callable[[Any, Tensor], Tensor],
) -> None:
    assert units(same(TwoConvs(forward)))["a"] == 6
    compacted = same(dead(TwoConvs(forward), {1: 0.6, 4: 0.0}))
    assert units(compacted)["a"] == 6
    assert report_of(compacted).layers[0].note


def test_indices_of_max_pooling() -> None:
    class Pooled(TwoConvs):
        def __init__(self) -> None:
            super().__init__(lambda m, x: m.b(m.pool(m.a(x))[0]))
            self.pool = nn.MaxPool2d(2, return_indices=True)

    assert units(same(dead(Pooled().eval(), {1: 0.6})))["a"] == 6


class Halves(nn.Module):
    """A module that gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        return {"first": maps * self.scale, "second": maps.flip(1)}


def test_a_module_that_gives_a_dictionary_pins_what_it_reads() -> None:
    model = TwoConvs(lambda m, x: m.b((y := m.halves(m.a(x)))["first"] + y["second"]))
    model.halves = Halves().eval()
    assert units(same(dead(model, {1: 0.6})))["a"] == 6
