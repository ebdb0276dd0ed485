"""Small networks drawn at random, with zeros: the same function at every image size and scale."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from robench.compaction import compact, report_of
from robench.errors import InputError
from robench.graph.operations import BatchNorm, Weighted

Step = Callable[[Any, Tensor], Tensor]


class Block(nn.Module):
    """Layers by name, and what is done with them, given as a function of the block and the maps.

    Args:
        width: channels that it gives.
        step: the function.
        parts: layers by name.
    """

    def __init__(self, width: int, step: Step, **parts: nn.Module) -> None:
        super().__init__()
        self.width, self._step = width, step
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, maps: Tensor) -> Tensor:
        return self._step(self, maps)


class RandomNetwork(nn.Module):
    """Blocks one after another, and a head for images of any size or of one alone.

    Args:
        draw: what decides.
        count: how many blocks.
        flat: whether the head reads each pixel by itself; it is lazy then.
    """

    def __init__(self, draw: random.Random, count: int, *, flat: bool) -> None:
        super().__init__()
        width = draw.choice([3, 4, 6])
        blocks: list[nn.Module] = [conv(draw, 2, width, 3, padding=draw.choice([0, 1]))]
        self.kinds = [draw.choice(sorted(BLOCKS)) for _ in range(count)]
        for kind in self.kinds:
            block = BLOCKS[kind](draw, width)
            width = block.width
            blocks += [block] if draw.random() < 0.3 else [block, pointwise(draw, width)]
        self.blocks, self.flat = nn.Sequential(*blocks), flat
        self.head = nn.LazyLinear(3) if flat else nn.Linear(width, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.blocks(images)
        logits: Tensor = self.head(maps.flatten(1) if self.flat else maps.mean((2, 3)))
        return logits


def conv(draw: random.Random, width: int, filters: int, size: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(width, filters, size, bias=draw.random() < 0.6, **options)


def pointwise(draw: random.Random, width: int) -> nn.Module:
    """A step that treats each pixel by itself, perhaps with a BatchNorm before it."""
    norm = [nn.BatchNorm2d(width)] if draw.random() < 0.5 else []
    shape = draw.choice([nn.ReLU, nn.Sigmoid, nn.Hardswish, nn.Tanh, nn.Identity])
    return nn.Sequential(*norm, shape())


def convolution(draw: random.Random, width: int) -> Block:
    padding = draw.choice([0, 1, "same"])
    layer = conv(
        draw, width, draw.choice([2, 4, 6]), draw.choice([1, 3]), padding=padding,
        stride=1 if padding == "same" else draw.choice([1, 1, 2]),
        padding_mode=draw.choice(["zeros", "zeros", "replicate"]),
    )  # fmt: skip
    return Block(layer.out_channels, lambda m, x: m.conv(x), conv=layer)


def depthwise(draw: random.Random, width: int) -> Block:
    layer = conv(draw, width, width, 3, padding=1, groups=width, stride=draw.choice([1, 2]))
    return Block(width, lambda m, x: m.conv(x), conv=layer)


def grouped(draw: random.Random, width: int) -> Block:
    layer = conv(draw, width, 2 * width, 3, padding=1, groups=1 + (width % 2 == 0))
    return Block(2 * width, lambda m, x: m.conv(x), conv=layer)


def pooling(draw: random.Random, width: int) -> Block:
    poolings = [
        nn.AvgPool2d(3, 2, padding=1),
        nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, ceil_mode=True, divisor_override=3),
        nn.MaxPool2d(3, 2, padding=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.AdaptiveMaxPool2d(2),
    ]
    return Block(width, lambda m, x: m.pool(x), pool=draw.choice(poolings))


def functional_pooling(draw: random.Random, width: int) -> Block:
    steps: list[Step] = [
        lambda _, x: F.avg_pool2d(x, 3, 1, 1),
        lambda _, x: F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False),
        lambda _, x: F.max_pool2d(x, 3, 1, padding=1),
        lambda _, x: F.max_pool2d(x, 3, 1, padding=1, return_indices=True)[0],
        lambda _, x: F.adaptive_avg_pool2d(x, 1),
        lambda _, x: F.avg_pool2d(x, x.shape[2:]),
    ]
    return Block(width, draw.choice(steps))


def padding(draw: random.Random, width: int) -> Block:
    steps: list[Step] = [
        lambda _, x: F.pad(x, (1, 0, 1, 1)),
        lambda _, x: F.pad(x, (1, 1, 1, 1), value=0.5),
        lambda _, x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
        lambda _, x: x[:, :, ::2, 1:],
        lambda _, x: x[:, :, 1:],
    ]
    if draw.random() < 0.3:
        return Block(width + 3, lambda _, x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)))
    return Block(width, draw.choice(steps))


def residual(draw: random.Random, width: int) -> Block:
    inner = draw.choice([2, 4, 6])
    steps: list[Step] = [
        lambda m, x: x + m.branch(x),
        lambda m, x: m.branch(x) - x,
        lambda m, x: x - m.branch(x),
        lambda m, x: F.adaptive_avg_pool2d(x, 1) + m.branch(x),
    ]
    branch = nn.Sequential(
        conv(draw, width, inner, 3, padding=1), pointwise(draw, inner),
        conv(draw, inner, width, 3, padding=1), pointwise(draw, width),
    )  # fmt: skip
    return Block(width, draw.choice(steps), branch=branch)


def downsampling(draw: random.Random, width: int) -> Block:
    filters = draw.choice([2, 4, 6])
    return Block(
        filters, lambda m, x: m.norm(m.branch(x)) + m.shortcut(x), norm=pointwise(draw, filters),
        branch=conv(draw, width, filters, 3, padding=1, stride=2),
        shortcut=conv(draw, width, filters, 1, stride=2),
    )  # fmt: skip


def gate_by_pool(draw: random.Random, width: int) -> Block:
    steps: list[Step] = [
        lambda m, x: x * m.gate(F.adaptive_avg_pool2d(x, 1)).sigmoid(),
        lambda m, x: m.gate(x.mean((2, 3), keepdim=True)).sigmoid() * x,
        lambda m, x: x + m.gate(F.adaptive_avg_pool2d(x, 1)).sigmoid(),
    ]
    return Block(width, draw.choice(steps), gate=conv(draw, width, width, 1))


def gate_by_pieces(draw: random.Random, width: int) -> Block:
    half = draw.choice([2, 4])
    cuts: list[Callable[[Tensor], Any]] = [
        lambda y: y.chunk(2, 1),
        lambda y: torch.chunk(y, chunks=2, dim=1),
        lambda y: torch.split(y, half, dim=1),
        lambda y: y.split([half, half], dim=-3),
        lambda y: torch.tensor_split(y, 2, dim=1),
    ]
    cut = draw.choice(cuts)

    def gate(m: Any, x: Tensor) -> Tensor:
        first, second = cut(m.conv(x))
        product: Tensor = first * second.sigmoid()
        return product

    step = draw.choice([gate, gate, lambda m, x: F.glu(m.conv(x), dim=1)])
    return Block(half, step, conv=conv(draw, width, 2 * half, 3, padding=1))


def uneven_pieces(draw: random.Random, width: int) -> Block:
    def both(m: Any, x: Tensor) -> Tensor:
        first, second = m.conv(x).split([3, 4], 1)
        return torch.cat([second, m.inner(first)], dim=1)

    steps: list[tuple[int, Step]] = [
        (8, both),
        (4, lambda m, x: m.inner(m.conv(x).tensor_split((3,), dim=1)[0])),
        (7, lambda m, x: torch.cat(m.conv(x).split([3, 4], 1), 1)),
        (4, lambda m, x: torch.cat(m.conv(x).chunk(3, 1)[1:], 1)),
    ]
    filters, step = draw.choice(steps)
    return Block(filters, step, conv=conv(draw, width, 7, 1), inner=conv(draw, 3, 4, 3, padding=1))


def concatenation(draw: random.Random, width: int) -> Block:
    layer = conv(draw, width, 3, 3, padding=1)
    if draw.random() < 0.4:
        return Block(2 * width + 3, lambda m, x: torch.cat([x, m.conv(x), x], 1), conv=layer)
    return Block(width + 3, lambda m, x: torch.cat((m.conv(x), x), dim=-3), conv=layer)


def shared_norm(draw: random.Random, width: int) -> Block:
    layer = conv(draw, width, width, 3, padding=1)
    return Block(
        width, lambda m, x: m.norm(m.conv(m.norm(x).relu())), conv=layer, norm=nn.BatchNorm2d(width)
    )


def mixing(draw: random.Random, width: int) -> Block:
    steps: list[Step] = [
        lambda m, x: m.conv(x) * x.max(1, keepdim=True)[0],
        lambda m, x: m.conv(x) / x.shape[1],
        lambda m, x: m.conv(x).topk(1, dim=1)[0] + x,
        lambda m, x: m.conv(x) * m.conv.weight.abs().mean(),
        lambda m, x: torch.relu_(m.conv(x)) * x.size(1) ** -0.5,
        lambda m, x: torch.stack(m.conv(x).chunk(2, 1)).sum() + x,
    ]
    return Block(width, draw.choice(steps), conv=conv(draw, width, width, 1))


def transposed(draw: random.Random, width: int) -> Block:
    """Windows that overlap, that leave pixels out, or that do neither."""
    stride, groups = draw.choice([1, 2, 3]), draw.choice([1, 1, 1 + (width % 2 == 0), width])
    layer = nn.ConvTranspose2d(
        width, groups * draw.choice([1, 2, 3]), draw.choice([1, 2, 3]), stride,
        padding=0, output_padding=draw.randrange(stride), groups=groups,
        bias=draw.random() < 0.6, dilation=draw.choice([1, 1, 2]),
    )  # fmt: skip
    if layer.kernel_size[0] == 3:
        layer.padding = draw.choice([(0, 0), (1, 1)])
    return Block(layer.out_channels, lambda m, x: m.conv(x), conv=layer)


def channels_last(draw: random.Random, width: int) -> Block:
    """What ConvNeXt does between two permutations."""
    hidden = draw.choice([2, 4, 6])
    has_gate = draw.random() < 0.4
    norm = draw.choice([nn.LayerNorm, nn.Identity, nn.Identity])(width)

    def inner(m: Any, x: Tensor) -> Tensor:
        y = m.fc1(m.norm(x.permute(0, 2, 3, 1)))
        if has_gate:
            first, second = y.chunk(2, dim=-1)
            y = m.act(first) * second
        else:
            y = m.act(y)
        y = m.fc2(y) * m.scale
        return y.permute(0, 3, 1, 2)

    def rows(m: Any, x: Tensor) -> Tensor:
        """Pixels as tokens, and their mean, as the last stage of a vision transformer."""
        y = m.fc2(m.act(m.fc1(m.norm(x.flatten(2).transpose(1, 2))).chunk(1 + has_gate, -1)[0]))
        return y.mean(1).unsqueeze(2).unsqueeze(3)

    parts: dict[str, nn.Module] = {
        "fc1": nn.Linear(width, (1 + has_gate) * hidden), "fc2": nn.Linear(hidden, width),
        "act": pointwise_after_linear(draw), "norm": norm,
    }  # fmt: skip
    steps: list[Step] = [inner, lambda m, x: x + inner(m, x), lambda m, x: x + rows(m, x)]
    block = Block(width, draw.choice(steps), **parts)
    block.scale = nn.Parameter(torch.rand(width))
    return block


def pointwise_after_linear(draw: random.Random) -> nn.Module:
    kind: type[nn.Module] = draw.choice([nn.ReLU, nn.GELU, nn.Sigmoid, nn.Identity])
    return kind()


def sequence(draw: random.Random, width: int) -> Block:
    """Rows of pixels as signals, and back."""
    conv1d: nn.Module = draw.choice(
        [
            nn.Conv1d(width, width, 3, padding=1),
            nn.Conv1d(width, width, 3, padding="same", groups=width, dilation=2),
            nn.ConvTranspose1d(width, width, 3, padding=1),
            nn.Conv1d(width, width, 1, bias=False),
        ]
    )
    between = draw.choice(
        [
            nn.MaxPool1d(3, 1, 1), nn.AvgPool1d(3, 1, 1), nn.BatchNorm1d(width), nn.Sigmoid(),
            nn.Sequential(nn.ZeroPad1d(1), nn.MaxPool1d(3, 1)), nn.AdaptiveAvgPool1d(1),
            nn.AvgPool1d(3, 1, padding=1, count_include_pad=False), nn.GroupNorm(1, width),
        ]
    )  # fmt: skip
    steps: list[Step] = [
        lambda m, x: m.last(m.between(m.first(x.mean(3)))).unsqueeze(3) + x,
        lambda m, x: x * m.last(m.between(m.first(x[:, :, 0]))).unsqueeze(2),
        lambda m, x: m.last(m.between(m.first(x.mean(dim=2)).sigmoid())).unsqueeze(-2),
    ]
    last = nn.Conv1d(width, width, draw.choice([1, 3]), padding="same")
    return Block(width, draw.choice(steps), first=conv1d, between=between, last=last)


def volume(draw: random.Random, width: int) -> Block:
    """A film of one image."""
    first = nn.Conv3d(width, width, 3, padding=draw.choice([(1, 1, 1), (1, 0, 1)]))
    last = draw.choice(
        [
            nn.Conv3d(width, 4, (1, 3, 3), padding=(0, 1, 1)),
            nn.ConvTranspose3d(width, 4, (2, 1, 1), stride=(1, 2, 2)),
        ]
    )
    flat: dict[str, Any] = {"kernel_size": (1, 1, 3), "stride": 1, "padding": (0, 0, 1)}
    between = draw.choice([nn.BatchNorm3d(width), nn.MaxPool3d(**flat), nn.AvgPool3d(**flat)])
    steps: list[Step] = [
        lambda m, x: m.last(m.between(m.first(x.unsqueeze(2)))).mean(2),
        lambda m, x: m.last(m.between(m.first(x.unsqueeze(2)).relu()))[:, :, 0],
    ]
    return Block(4, draw.choice(steps), first=first, between=between, last=last)


BLOCKS: dict[str, Callable[[random.Random, int], Block]] = {
    block.__name__: block
    for block in (
        channels_last, concatenation, convolution, depthwise, downsampling, functional_pooling,
        gate_by_pieces, gate_by_pool, grouped, mixing, padding, pooling, residual, sequence,
        shared_norm, transposed, uneven_pieces, volume,
    )
}  # fmt: skip


def random_network(seed: int, size: tuple[int, int], *, flat: bool, count: int) -> RandomNetwork:
    """One in double precision with zeros of every kind, that takes images [N, 2, *size].

    Raises:
        RuntimeError: the blocks that were drawn leave nothing of maps of this size.
    """
    network = RandomNetwork(random.Random(seed), count, flat=flat).double().eval()
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    share = (0.2, 0.5, 0.8)[seed % 3]
    with torch.no_grad():
        network(torch.rand(1, 2, *size, dtype=torch.float64))
        for part in network.modules():
            if isinstance(part, BatchNorm):
                for value, least in (
                    (part.running_mean, -0.5), (part.running_var, 0.5), (part.weight, 0.5),
                    (part.bias, -0.5),
                ):  # fmt: skip
                    value.copy_(drawn(part.num_features) + least)
                part.weight[drawn(part.num_features) < share / 3] = 0
                part.bias[drawn(part.num_features) < share / 3] = 0
            elif isinstance(part, Weighted):
                part.weight.copy_(drawn(*part.weight.shape) - 0.5)
                weight = part.weight.transpose(0, 1) if is_transposed(part) else part.weight
                rows, columns = weight.shape[:2]
                # Some layers are dead as a whole.
                weight[drawn(rows) < (1.0 if drawn(1) < 0.2 else share)] = 0
                weight[:, drawn(columns) < share / 3] = 0
                if part.bias is not None:
                    part.bias.copy_(drawn(len(part.bias)) - 0.5)
                    part.bias[drawn(len(part.bias)) < share / 2] = 0
    return network


def is_transposed(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)


EXAMPLES = ((4, 4), (5, 5), (8, 8), (7, 9), (12, 12))
OTHERS = ((3, 3), (4, 7), (5, 5), (6, 6), (9, 9), (11, 8), (12, 12), (17, 23))
"""None of these is one at which the proof itself looks."""


def check(seed: int, size: tuple[int, int], count: int, *, flat: bool, constants: str) -> int:
    """Compact a random network and compare it at other sizes; how many there were.

    Raises:
        RuntimeError: as :func:`random_network`.
    """
    network = random_network(seed, size, flat=flat, count=count)
    generator = torch.Generator().manual_seed(seed)
    example = torch.rand(3, 2, *size, generator=generator, dtype=torch.float64)
    compacted = compact(network, example, constants=constants, columns=False)
    report, compared = report_of(compacted), 0
    for other in (size, *OTHERS):
        images = torch.randn(2, 2, *other, generator=generator, dtype=torch.float64)
        images[1] *= 0.05
        try:
            expected, gradient = logits_and_gradient(network, images)
        except (RuntimeError, ValueError):
            continue  # the original does not take this size
        if report.only_shape is not None and other != size:
            with pytest.raises(InputError, match="was given inputs of shape"):
                compacted(images)
            continue
        found, gradient_found = logits_and_gradient(compacted, images)
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9, equal_nan=True)
        torch.testing.assert_close(gradient_found, gradient, atol=1e-9, rtol=1e-9, equal_nan=True)
        compared += 1
    return compared


def logits_and_gradient(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    leaf = images.clone().requires_grad_()
    logits = network(leaf)
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    return logits.detach(), gradient


def draw_and_check(seed: int, size: tuple[int, int], count: int, **options: Any) -> None:
    try:
        network = random_network(seed, size, flat=options["flat"], count=count)
    except (RuntimeError, ValueError):
        return  # nothing is left of maps of this size
    if not bool(network(torch.rand(1, 2, *size).double()).isfinite().all()):
        return  # the mean of nothing
    assert check(seed, size, count, **options) > 0


drawn = given(
    seed=st.integers(0, 100_000),
    size=st.sampled_from(EXAMPLES),
    count=st.integers(1, 5),
    flat=st.sampled_from([False, False, True]),
    constants=st.sampled_from(["keep", "keep", "bias-map"]),
)


@settings(max_examples=12, deadline=None)
@drawn
def test_random_networks_are_the_same_at_every_size(**drawn: Any) -> None:
    draw_and_check(**drawn)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@drawn
def test_many_random_networks_are_the_same_at_every_size(**drawn: Any) -> None:
    draw_and_check(**drawn)


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_each_kind_of_block(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one kind after another."""
    for other in BLOCKS.keys() - {kind}:
        monkeypatch.delitem(BLOCKS, other)
    assert sum(check(seed, (8, 8), 2, flat=False, constants="keep") for seed in range(3)) > 0
