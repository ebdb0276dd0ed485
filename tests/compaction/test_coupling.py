"""Which steps between two layers let their channels be told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.compaction import compact
from robench.compaction.coupling import CoupledChannels
from robench.graph.trace import Traced, traced_copy


class Between(nn.Module):
    """A convolution, some steps given as a function, and a second layer."""

    def __init__(self, steps: Callable[[Tensor], Tensor], second: nn.Module) -> None:
        super().__init__()
        self.first, self.steps, self.second = nn.Conv2d(1, 3, 3), steps, second

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.steps(self.first(images)))


def coupled(model: nn.Module) -> tuple[list[int], list[int], str | None]:
    """Sets of the first layer's units and of what the last layer reads; why they are pinned."""
    traced = Traced(traced_copy(model.double().eval()), torch.rand(1, 1, 4, 4).double())
    found = CoupledChannels(traced)
    first, last = traced.layers[0], traced.layers[-1]
    read = found.of[traced.reads(last)[0]]
    return found.of[first].tolist(), read.tolist(), found.why(first)


@pytest.mark.parametrize(
    "steps",
    [
        lambda maps: torch.flatten(F.relu(maps), 1),
        lambda maps: F.max_pool2d(maps, 1).flatten(1),
        lambda maps: F.dropout(torch.tanh(maps).flatten(start_dim=1), 0.5, training=False),
        lambda maps: maps.sigmoid().view(maps.size(0), -1),
        lambda maps: F.adaptive_avg_pool2d(maps, 2).reshape(maps.shape[0], -1),
        lambda maps: (2 * maps + 1).flatten(1),
    ],
)
def test_functions_that_keep_channels_apart(steps: Callable[[Tensor], Tensor]) -> None:
    units, read, why = coupled(Between(steps, nn.Linear(12, 2)))
    assert why is None
    assert read == [unit for unit in units for _ in range(4)]


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        (lambda maps: maps.view(-1, 12), "view"),
        (lambda maps: maps.view(maps.size(0), 12), "view"),
        (lambda maps: torch.flatten(maps, 1, 2).flatten(1), "flatten"),
        (lambda maps: torch.softmax(maps, 1).flatten(1), "softmax"),
        (lambda maps: maps.transpose(0, 1).reshape(1, 12), "transpose"),
        (lambda maps: F.layer_norm(maps, (2, 2)).flatten(1), "layer_norm"),
        (lambda maps: (maps / maps.size(1)).flatten(1), "truediv"),
        (lambda maps: (maps * maps.size(1)).flatten(1), "mul"),
        (lambda maps: (maps + maps[:, :1]).flatten(1), "getitem"),
    ],
)
def test_functions_that_do_not(steps: Callable[[Tensor], Tensor], word: str) -> None:
    _, _, why = coupled(Between(steps, nn.Linear(12, 2)))
    assert why is not None
    assert word in why


def test_a_linear_layer_over_the_width_of_a_map_is_a_barrier() -> None:
    _, _, why = coupled(Between(F.relu, nn.Sequential(nn.Linear(2, 2), nn.Flatten())))
    assert why is not None
    assert "Linear" in why


class Subclass(nn.ReLU):
    """What it does is found out by looking into it."""


class Custom(nn.Module):
    """What it does cannot be found out, for it looks at the values."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.flip(1) if maps.sum() > 0 else maps


@pytest.mark.parametrize(
    ("module", "is_open"),
    [
        (nn.PReLU(), True),
        (nn.PReLU(3), False),
        (nn.Dropout2d(), True),
        (nn.AvgPool2d(2), True),
        (nn.MaxPool2d(2, return_indices=False), True),
        (nn.ZeroPad2d(1), True),
        (nn.ReflectionPad2d(1), True),
        (nn.BatchNorm2d(3), True),
        (nn.InstanceNorm2d(3), False),
        (nn.ChannelShuffle(3), False),
        (nn.Softmax2d(), False),
        (Subclass(), True),
        (Custom(), False),
    ],
)
def test_modules(module: nn.Module, is_open: bool) -> None:
    _, _, why = coupled(nn.Sequential(nn.Conv2d(1, 3, 3), module, nn.Conv2d(3, 2, 1)))
    assert (why is None) is is_open
    assert why is None or type(module).__name__ in why


def test_flattening_the_pixels_alone_leaves_the_channels_where_they_are() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(2), nn.Flatten(), nn.Linear(12, 2))
    units, read, why = coupled(model)
    assert why is None
    assert read == [unit for unit in units for _ in range(4)]


@pytest.mark.parametrize(
    "steps",
    [
        lambda maps: maps.permute(0, 2, 3, 1).flatten(1),
        lambda maps: maps.flatten(2).transpose(1, 2).flatten(1),
        lambda maps: torch.movedim(maps, 1, -1).flatten(start_dim=1, end_dim=2).flatten(1),
        lambda maps: maps.swapaxes(1, 3).transpose(dim0=1, dim1=2).reshape(maps.size(0), -1),
        lambda maps: maps.permute((0, 2, 3, 1)).unsqueeze(1).flatten(1),
    ],
)
def test_channels_that_lie_last_are_laid_in_rows_pixel_after_pixel(
    steps: Callable[[Tensor], Tensor],
) -> None:
    units, read, why = coupled(Between(steps, nn.Linear(12, 2)))
    assert why is None
    assert read == 4 * units


@pytest.mark.parametrize(
    ("steps", "is_open"),
    [
        (lambda maps: maps[:, :, ::2, 1:], True),
        (lambda maps: maps[:, :, 0], True),
        (lambda maps: maps[:, 1:, ::2], False),
        (lambda maps: maps[1:, :, ::2], False),
        (lambda maps: maps[:, :, None], False),
        (lambda maps: F.pad(maps, (1, 0, 2, 0)), True),
        (lambda maps: F.pad(maps, (1, 1, 1, 1), mode="reflect"), True),
        (lambda maps: F.pad(maps, (0, 0, 0, 0, 1, 2)), True),
        (lambda maps: F.pad(maps, pad=(0, 0, 0, 0, 1, 2), mode="constant", value=0), True),
        (lambda maps: F.pad(maps, (0, 0, 0, 0, 1, 2), value=1.0), False),
        (lambda maps: F.pad(maps, (0, 0, 0, 0, 0, -1)), False),
        (lambda maps: F.pad(maps, (0, 0, 0, 0, 0, 0, 1, 0)), False),
        (lambda maps: F.pad(maps, (0, 0, 0, 0, 0, maps.size(1))), False),
    ],
)
def test_parts_and_paddings_of_maps(steps: Callable[[Tensor], Tensor], is_open: bool) -> None:
    _, _, why = coupled(Between(lambda maps: steps(maps).flatten(1), nn.LazyLinear(2)))
    assert (why is None) is is_open


def test_a_sum_ties_and_a_concatenation_places_side_by_side() -> None:
    class Joins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(1, 3, 3) for _ in range(3))
            self.last = nn.Conv2d(6, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.last(torch.cat([self.a(images) + self.b(images), self.c(images)], dim=1))

    traced = Traced(traced_copy(Joins().double().eval()), torch.rand(1, 1, 4, 4).double())
    found = CoupledChannels(traced)
    a, b, c, last = (found.of[node].tolist() for node in traced.layers)
    assert a == b
    assert not set(a) & set(c)
    assert found.of[traced.reads(traced.layers[-1])[0]].tolist() == a + c
    assert not found.pinned[a + c].any()
    assert found.pinned[last].all()  # the logits


class NormTwice(nn.Module):
    """One BatchNorm before and after a convolution; what it reads first is scaled or not."""

    def __init__(self, *, is_scaled: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, bias=False), nn.Conv2d(3, 3, 1, bias=False)
        self.norm, self.head = nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)
        self.scale = nn.Parameter(torch.rand(3)) if is_scaled else None
        with torch.no_grad():
            self.first.weight[1] = 0
            self.second.weight[1] = 0
            self.second.weight[:, 1] = 0

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        if self.scale is not None:
            maps = (maps.permute(0, 2, 3, 1) * self.scale).permute(0, 3, 1, 2)
        return self.head(self.norm(self.second(self.norm(maps)))).mean((2, 3))


@pytest.mark.parametrize("is_scaled", [False, True])
def test_a_norm_called_twice_keeps_what_one_of_its_calls_needs(is_scaled: bool) -> None:
    """Channels are not followed through a product with a parameter, so the norm keeps its own."""
    model, images = NormTwice(is_scaled=is_scaled).double().eval(), torch.rand(2, 1, 4, 4).double()
    compacted = compact(model, images, columns=False)
    torch.testing.assert_close(compacted(images), model(images))
    assert compacted.norm.num_features == (3 if is_scaled else 2)
