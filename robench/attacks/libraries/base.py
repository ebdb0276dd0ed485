"""Adapter for attack libraries: the oracle as a module from points to logits."""

from __future__ import annotations

import hashlib
import importlib
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.nearest import nearest_of_other_classes
from robench.attacks.core.base import Attack
from robench.attacks.core.oracle import BudgetExhaustedError, Oracle
from robench.attacks.libraries.params import OneByOne
from robench.errors import NotApplicableError, PluginError

__all__ = ["LibraryAttack", "OracleModule", "import_library"]


class RowsUnknownError(Exception):
    """A library queried a number of points that cannot be assigned to its images."""


class OracleModule(nn.Module):
    """The oracle for some of its rows, as a module in evaluation mode.

    Libraries do not say which image a point belongs to. If there are as many points as rows, they
    are assigned in order; if there is a single row, all points belong to it.

    Args:
        oracle: answers.
        rows: int64 [m], the images that the library was given.
    """

    def __init__(self, oracle: Oracle, rows: Tensor) -> None:
        super().__init__()
        self._oracle = oracle
        self._rows = rows
        self.eval()

    def forward(self, points: Tensor) -> Tensor:
        """Logits, attached to points that need a gradient.

        Raises:
            BudgetExhaustedError: none of the rows has any budget left.
            RowsUnknownError: the number of points does not tell their rows.
        """
        if len(self._rows) not in (1, len(points)):
            raise RowsUnknownError(f"{len(points)} points for {len(self._rows)} images")
        if (self._oracle.left(self._rows) <= 0).all():
            raise BudgetExhaustedError
        rows = self._rows.expand(len(points))
        if points.requires_grad and torch.is_grad_enabled():
            return self._oracle.attached(points, rows)
        return self._oracle.query(points, rows)


class LibraryAttack(Attack):
    """An attack of another library; subclasses fill `search`.

    All images go to the library at once. Where it asks about some of them only, they go one by one
    instead. An attack that draws at random draws for the whole batch, so that its distances change
    with it: ``one_by_one=True`` avoids that.
    """

    Params = OneByOne
    params: OneByOne
    needs_start: ClassVar[bool] = False
    """Whether `search` begins at an adversarial: the nearest image of another class. Images without
    one are left out."""
    always_alone: ClassVar[bool] = False
    """Whether images always go to the library one by one."""

    @abstractmethod
    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """What the library returns, [m, ...]; it need not be adversarial.

        Args:
            model: from points to logits.
            images: float32 [m, ...].
            labels: int64 [m].
            starts: an adversarial for each image where `needs_start`, [m, ...], else `None`.
        """

    def run(self, oracle: Oracle) -> Tensor:
        """All images at once, or one by one; an error for one image does not stop the others.

        Raises:
            NotApplicableError: there is no box, and the library keeps to it.
        """
        if not oracle.box:
            raise NotApplicableError(
                f"the attack {self.name!r} keeps to the box [0, 1]",
                hint="use one of robench's own attacks with box=False",
            )
        rows, starts = _adversarial_starts(oracle) if self.needs_start else (oracle.rows, None)
        points = oracle.images.clone()
        if not (self.params.one_by_one or self.always_alone):
            try:
                if len(rows):
                    points[rows] = self._handed_over(oracle, rows, starts)
                return points
            except RowsUnknownError:
                pass
        errors: list[Exception] = []
        for place in range(len(rows)):
            row = rows[place : place + 1]
            start = None if starts is None else starts[place : place + 1]
            try:
                points[row] = self._handed_over(oracle, row, start)
            except BudgetExhaustedError:
                continue
            except Exception as error:  # noqa: BLE001 - raised again, after the other images
                errors.append(error)
        if errors:
            raise errors[0]
        return points

    def _handed_over(self, oracle: Oracle, rows: Tensor, starts: Tensor | None) -> Tensor:
        """What the library returns for some of the images."""
        # Noise depends on the seed and the images alone, and so does what it seeds.
        noise = oracle.noise(rows).cpu().numpy().tobytes()
        seed = int.from_bytes(hashlib.blake2b(noise, digest_size=4).digest(), "little")
        model = OracleModule(oracle, rows)
        with _seeded(seed), torch.enable_grad():
            return self.search(model, oracle.images[rows], oracle.labels[rows], starts).detach()


def import_library(module: str, *, hint: str, attack: str, where: str | None = None) -> ModuleType:
    """A library, without the warnings of its import.

    Args:
        module: its name.
        hint: how to install it.
        attack: that needs it, for the message.
        where: file and line of the text that asked.

    Raises:
        PluginError: it cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision beside another torch
        raise PluginError(
            f"the attack {attack!r} cannot be had: {error}", where=where, hint=hint
        ) from error


def _adversarial_starts(oracle: Oracle) -> tuple[Tensor, Tensor]:
    """Rows that have an image of another class to start from, and that image, [m, ...]."""
    rows, starts = nearest_of_other_classes(oracle, 1)
    if not len(rows):
        return rows, starts
    adversarial = oracle.is_adversarial(oracle.query(starts, rows), rows)
    return rows[adversarial], starts[adversarial]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let torch's and numpy's global generators begin at a seed, and put them back afterwards."""
    state = np.random.get_state()  # noqa: NPY002 - libraries draw from the global generator
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
