"""What tests of rounds share."""

from __future__ import annotations

import torch

from robench.methods.base import TrainState

FAST = {"noise_outputs": 8, "probe_samples": 100, "rounds": 4}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everything(state: TrainState) -> list[torch.Tensor]:
    """A copy of all that a round may change."""
    kept = [value for group in state.optimiser.param_groups for value in group["params"]]
    kept += [v for key in kept for v in state.optimiser.state[key].values()]
    kept += [*state.model.buffers(), *state.masks.values()]
    return [tensor.detach().clone() for tensor in kept]


def are_equal(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))
