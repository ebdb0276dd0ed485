"""Which images are in which batch: decided by a seed alone, the same for all methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from robench.data.base import to_float
from robench.errors import DataError
from robench.spec.identity import seed_for

if TYPE_CHECKING:
    from torch import Tensor

    from robench.data.base import Split
    from robench.training.distortion import TrainingDistortion

__all__ = ["Batches"]


class Batches:
    """The batches of one run.

    The images stay on the device as they are, mostly uint8; a batch is gathered and scaled when its
    step comes. Each pass over the data is a new permutation. The images that are left over when a
    pass is cut into batches are dropped, so that all batches are of one size and BatchNorm never
    sees a handful; a data set smaller than a batch is one batch.

    Args:
        split: the training split.
        batch_size: images in a batch.
        seed: of the permutations.
        device: where the batches are wanted.
        distortion: of each batch.
        distorts_from: the first step that it does so.

    Raises:
        DataError: there are no training images.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        device: torch.device,
        distortion: TrainingDistortion | None = None,
        distorts_from: int = 0,
    ) -> None:
        if not len(split):
            raise DataError("the training split is empty")
        self.size = min(batch_size, len(split))
        self.in_epoch = len(split) // self.size
        self._seed = seed
        self._images = split.images.to(device)
        self._labels = split.labels.to(device)
        self._index = split.index.to(device)
        self.distortion = distortion
        self._distorts_from = distorts_from
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images in [0, 1] and labels of one step, on the device."""
        epoch, place = divmod(step, self.in_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._permutation("order", epoch)
        chosen = self._order[place * self.size : (place + 1) * self.size]
        return self._gather(chosen, step, learns=True)

    def probe(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """A pass over all training batches in another order, distorted as in that step."""
        order = self._permutation("probe", step)
        for chosen in torch.split(order, self.size)[: self.in_epoch]:
            yield self._gather(chosen, step, learns=False)

    def _permutation(self, purpose: str, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_for(self._seed, purpose, number))
        order = torch.randperm(len(self._labels), generator=generator)
        return order.to(self._labels.device)

    def _gather(self, chosen: Tensor, step: int, *, learns: bool) -> tuple[Tensor, Tensor]:
        images = to_float(self._images.index_select(0, chosen))
        labels = self._labels.index_select(0, chosen)
        if self.distortion is not None and step >= self._distorts_from:
            index = self._index.index_select(0, chosen)
            images = self.distortion(images, labels, index, step, learns=learns)
        return images, labels
