"""What tests of merges share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.links import Link, links_of
from robench.methods.noiseout.moments import Moments
from robench.methods.noiseout.plan import Candidates, Merge, reading
from robench.methods.noiseout.probe import Probe, evaluating
from robench.models.base import prunable
from robench.models.chain import chain


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def links(model: nn.Module) -> list[Link]:
    return links_of(chain(model), prunable(model))


def moments_of(model: nn.Module, inputs: torch.Tensor) -> list[Moments]:
    labels = torch.zeros(2 * len(inputs), dtype=torch.long)
    probe = Probe([(torch.cat([inputs, inputs]), labels)], 2 * len(inputs))
    return probe.moments(model, links(model))


def candidates(model: nn.Module, inputs: torch.Tensor, choose="correlation") -> list[Candidates]:
    return [
        Candidates(
            place, moments, reading(link, link.reader.module.weight),
            np.ones(link.layer.units, dtype=bool), choose,
        )
        for place, (link, moments) in enumerate(
            zip(links(model), moments_of(model, inputs), strict=True)
        )
    ]  # fmt: skip


def optimiser(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def outputs(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with evaluating(model):
        return model(inputs)


def merged(model: nn.Module, inputs: torch.Tensor, count: int, choose="correlation") -> list[Merge]:
    """Merge so many units of the first link, and hand back the merges."""
    first = candidates(model, inputs, choose)[0]
    merges = [first.take() for _ in range(count)]
    carry_out(links(model), merges, optimiser(model))
    return merges


def dense(*widths: int, seed: int = 0, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(seed)
    body = nn.Sequential()
    for inputs, units in pairwise(widths):
        body.extend([nn.Linear(inputs, units), activation()])
    return body[:-1].double()


def make_affine_copies(layer: nn.Linear, activation: nn.Module, reader: nn.Linear) -> None:
    """Unit 1 becomes a copy of unit 0, unit 2 its negative, which tanh hands on as it is."""
    with torch.no_grad():
        for copy, sign in ((1, 1.0), (2, -1.0)):
            layer.weight[copy] = sign * layer.weight[0]
            layer.bias[copy] = sign * layer.bias[0]


def convolutions(*between: nn.Module, padding: int = 0, bias: bool = True, **more) -> nn.Sequential:
    """Two convolutions and what lies between them, then a Linear; map 2 is map 0 again."""
    torch.manual_seed(3)
    first = nn.Conv2d(1, 5, 3)
    second = nn.Conv2d(5, 4, 3, padding=padding, bias=bias, **more)
    tail = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    return nn.Sequential(first, *between, second, *tail).double()


def copy_map(model: nn.Sequential, source: int, to: int, sign: float = 1.0, offset: float = 0.0):
    with torch.no_grad():
        model[0].weight[to] = sign * model[0].weight[source]
        model[0].bias[to] = sign * model[0].bias[source] + offset
