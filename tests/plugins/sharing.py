"""Methods that share: one network for all levels, masks of another method; and a regression."""

import numpy as np
import torch
from pydantic import Field

from robench.data.assembly import assemble
from robench.data.base import Dataset
from robench.data.splits import own_split
from robench.methods.base import Method
from robench.methods.masks import magnitude_masks
from robench.spec.base import Frozen


class OneForAll(Method):
    """Sets a share of the weights to zero while it trains; the levels are cut out afterwards."""

    name = "one-for-all"
    shares_training = True

    class Params(Frozen):
        """How sparse it makes the network by itself."""

        share: float = Field(0.0, ge=0, lt=1)

    def after_step(self, state):
        assert state.level == 0
        state.notes["steps"] = state.step
        state.masks = magnitude_masks(state.prunable, self.params.share)

    def finish(self, state):
        state.notes["steps_at_finish"] = state.step
        state.masks = magnitude_masks(state.prunable, state.level)


class Borrower(Method):
    """Takes the masks of another method as they are."""

    name = "borrower"

    class Params(Frozen):
        """Whose masks."""

        of: str = "magnitude"

    def mask_source(self):
        return self.params.of

    def prepare(self, state):
        state.masks = state.donor


class Plane(Dataset):
    """A number that depends on the first two of six features."""

    name = "plane"

    def load(self, root):
        rows = np.random.default_rng(5).random((300, 6))
        target = 1000 + 50 * (2 * rows[:, 0] - rows[:, 1])
        return assemble(
            self.name,
            classes=(),
            inputs=rows.astype(np.float32),
            labels=target,
            splits=own_split(np.zeros(300, dtype=np.int64), self.name),
        )


class Curious(Method):
    """Notes what task it was given."""

    name = "curious"

    def finish(self, state):
        state.notes["task"] = state.task
        state.masks = magnitude_masks(state.prunable, state.level)
        state.native = float(torch.tensor(0.25))
