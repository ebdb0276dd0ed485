"""The control of a mask: as many weights in each layer, at random places."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator

from robench.errors import TrainingError
from robench.methods.base import Method, TrainState
from robench.methods.masks import Masks
from robench.spec.base import Frozen

__all__ = ["LayerShuffle"]


def _other_than_itself(name: str) -> str:
    if name == LayerShuffle.name:
        raise ValueError("a shuffle of a shuffle is the shuffle; name the method itself")
    return name


class LayerShuffle(Method):
    """Another method's masks, shuffled within each layer: a control of what they choose.

    Frankle et al. 2021 (arXiv 2009.08576). Where the method is no better than this, it has chosen
    how many weights each layer keeps, and not which. Training begins where the method itself began,
    with the masks in force from the first step.
    """

    name = "layer-shuffle"
    starts_from = "dense"

    class Params(Frozen):
        """Whose masks."""

        of: Annotated[str, AfterValidator(_other_than_itself)] = "magnitude"
        """Name of the method, as in ``robench list methods``."""

    params: Params

    def mask_source(self) -> str:
        """The method whose masks are shuffled."""
        return self.params.of

    def prepare(self, state: TrainState) -> None:
        """Shuffle the masks; the loop holds them from here on."""
        if not state.donor:
            raise TrainingError(
                f"there are no masks of {self.params.of!r} to shuffle",
                hint=f"train {self.params.of!r} at the level {state.level:g} first, and hand its "
                "masks over as `donor`",
            )
        state.masks = Masks()
        for name, mask in state.donor.items():
            # Drawn on the CPU, so that all devices draw the same places.
            places = torch.randperm(mask.numel(), generator=state.generator).to(mask.device)
            state.masks[name] = mask.flatten()[places].view(mask.shape)
