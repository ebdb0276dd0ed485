"""A method that keeps all the rules, in a file that does not."""

import torch

from robench.methods.base import Method
from robench.methods.masks import magnitude_masks

DTYPE = torch.float64
torch.set_default_dtype(DTYPE)  # here


class Spills(Method):
    """Changes the process on import."""

    name = "spills"

    def finish(self, state):
        state.masks = magnitude_masks(state.prunable, state.level)
