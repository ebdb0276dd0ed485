"""Measuring a network on training images that are set aside for it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.methods.noiseout.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from robench.methods.noiseout.links import Link

__all__ = ["Probe", "are_separate"]


class Probe:
    """Training images in two halves: activations are measured on one, scores on the other.

    The network trains on them like on all others, so that scores flatter it; their falls do not.

    Args:
        batches: inputs and labels.
        samples: how many inputs are taken, if there are so many.
        batch_size: inputs that go through the network at a time.
    """

    def __init__(self, batches: Iterable[tuple[Tensor, Tensor]], samples: int) -> None:
        inputs, labels = [], []
        for some_inputs, some_labels in batches:
            inputs.append(some_inputs)
            labels.append(some_labels)
            if sum(map(len, labels)) >= samples:
                break
        size, half = len(labels[0]), min(sum(map(len, labels)), samples) // 2
        self._to_fit = torch.split(torch.cat(inputs)[:half], size)
        self._to_score = torch.split(torch.cat(inputs)[half : 2 * half], size)
        self._labels = torch.cat(labels)[half : 2 * half]

    def moments(self, model: nn.Module, links: Sequence[Link]) -> list[Moments]:
        """Of what each reader reads, with the network in evaluation mode."""
        found = [Moments(link.layer.units, centred=link.takes_constants) for link in links]
        with evaluating(model), ExitStack() as hooks:
            for link, moments in zip(links, found, strict=True):
                hooks.callback(_watch(link, moments).remove)
            for inputs in self._to_fit:
                model(inputs)
        return found

    def score(self, model: nn.Module) -> float:
        """Accuracy, or R² of a regression, in evaluation mode; at most 1."""
        with evaluating(model):
            outputs = torch.cat([model(inputs) for inputs in self._to_score])
        if self._labels.is_floating_point():
            error = (outputs.squeeze(1) - self._labels).square().mean()
            return 1 - float(error / self._labels.var(correction=0).clamp(min=1e-12))
        return float((outputs.argmax(1) == self._labels).double().mean())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for a while; then training mode again."""
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train()


def are_separate(model: nn.Module, link: Link, inputs: Tensor, generator: torch.Generator) -> bool:
    """Whether each unit of a link reaches its own inputs of the reader and no others.

    Half of the units, chosen at random, are silenced for once: the inputs of the others must not
    change. They do where a step between the layers mixes or reorders units.
    """
    silent = torch.randperm(link.layer.units, generator=generator) < link.layer.units // 2
    silent = silent.to(inputs.device)
    seen: list[Tensor] = []

    def keep(_: nn.Module, read: tuple[Tensor, ...]) -> None:
        seen.append(link.activations(read[0].detach().clone())[:, ~silent])

    def hush(layer: nn.Module, _: object, written: Tensor) -> Tensor:
        shape = (-1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1,)
        return written.masked_fill(silent.view(shape), 0.0)

    with evaluating(model), ExitStack() as hooks:
        hooks.callback(link.reader.module.register_forward_pre_hook(keep).remove)
        model(inputs)
        hooks.callback(link.layer.module.register_forward_hook(hush).remove)
        model(inputs)
    return torch.equal(*seen)


def _watch(link: Link, moments: Moments) -> torch.utils.hooks.RemovableHandle:
    def look(_: nn.Module, read: tuple[Tensor, ...]) -> None:
        moments.add(link.activations(read[0]))

    return link.reader.module.register_forward_pre_hook(look)
