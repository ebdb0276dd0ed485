"""The only way for an attack to see the model: it counts, limits and remembers.

Every question names the rows of the images that it is about. AttackBench (Cinà et al. 2025,
arXiv 2404.19460), from which the idea of such a wrapper comes, infers the row from the nearest
image instead, so that an attack which starts at another image, or permutes the batch, is billed
and measured against the wrong one.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from robench.attacks.core.inputs import AttackInputs, is_wrong
from robench.attacks.core.losses import logit_margin
from robench.errors import InputError
from robench.models.layout import quick_layout

__all__ = ["BudgetExhaustedError", "Oracle", "lengths", "per_row"]


class BudgetExhaustedError(Exception):
    """No image has any budget left; the front door catches this and takes what was found."""


class Oracle:
    """A model that answers questions about given images, within a budget.

    Points are clipped to the box before the model sees them. The shortest adversarial seen at any
    question is remembered for each image, so that no attack can lose a point that it visited, and
    beside it the one with the largest margin: the shortest may be one by rounding alone. An image
    whose budget is spent gets its own class with no gradient for an answer, and an attack
    that keeps querying such images alone is aborted. Where a surrogate lends its gradient, its
    passes are billed too.

    Attributes:
        images: float32 [n, ...]; all of them in their class before the attack.
        labels: int64 [n].
        logits: what the model answers to the images, [n, classes]; known before any question.
        starts: where a search begins, [n, ...]: the images, or after a restart points near them.
        box: whether adversarials must lie in [0, 1].
        forwards: passes of the model for each image, int64 [n].
        backwards: passes of its derivative for each image, int64 [n].
        best: the closest adversarial known so far, [n, ...]; where there is none, the start.
        best_distance: its Euclidean distance from the image, float32 [n]; infinite for none.
        surest: the adversarial with the largest margin seen so far, [n, ...]; else the image.
        idle_since: when the last question was answered, of `time.monotonic`; infinite while one is.

    Args:
        inputs: images that the model puts in their class.
        limit: forward and backward passes that one image may cost; `None` for no limit.
    """

    def __init__(self, inputs: AttackInputs, *, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise InputError(f"limit is {limit}", allowed="whole numbers from 1, or None")
        self._model = inputs.model
        self._layout = quick_layout(inputs.model)
        self._limit = limit
        self._refused_in_a_row = 0
        self._surrogate_passes = inputs.surrogate_passes
        self._seed = inputs.seed
        self._generators: dict[int, torch.Generator] = {}
        # All rows of a Jacobian in one backward pass, against one pass a row, took 0.36 to 0.95 of
        # the time in MLPs but up to 1.4 times as long with convolutions (one core).
        self._batches_jacobians = not any(
            isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
            for module in inputs.model.modules()
        )
        # Copies, so that an attack which writes into them deceives only itself.
        self.images = inputs.images.clone()
        self.labels = inputs.labels.clone()
        self._inputs = inputs
        self.logits = inputs.logits.clone()
        self.classes = self.logits.shape[1]
        self.box = inputs.box
        self.forwards = torch.zeros_like(self.labels)
        self.backwards = torch.zeros_like(self.labels)
        self.starts = self.images if inputs.starts is None else inputs.starts.clone()
        self.best = self.starts.clone()
        self.best_distance = self.images.new_full((len(self.images),), torch.inf)
        if inputs.found is not None:
            distance = lengths(inputs.found - self.images)
            self.best = torch.where(per_row(distance > 0, self.best), inputs.found, self.best)
            self.best_distance = torch.where(distance > 0, distance, torch.inf)
        known = per_row(self.best_distance.isfinite(), self.best)
        self.surest = torch.where(known, self.best, self.images)
        self._surest_margin = torch.full_like(self.best_distance, -torch.inf)
        self.idle_since = time.monotonic()

    # Copies too, made for those attacks alone that ask for them.
    @cached_property
    def references(self) -> Tensor:
        """Images to start from, [M, ...]."""
        return self._inputs.references.clone()

    @cached_property
    def reference_classes(self) -> Tensor:
        """What the model takes the references for, int64 [M]."""
        return self._inputs.reference_classes.clone()

    @cached_property
    def transferred(self) -> Tensor | None:
        """Adversarials of another network for these images, [n, ...], or `None`."""
        transferred = self._inputs.transferred
        return None if transferred is None else transferred.clone()

    @property
    def rows(self) -> Tensor:
        """The rows of all images, int64 [n]."""
        return torch.arange(len(self.images), device=self.images.device)

    def clip(self, points: Tensor) -> Tensor:
        """The nearest points in the box, or the points themselves where there is no box."""
        return points.clamp(0, 1) if self.box else points

    def query(self, points: Tensor, rows: Tensor) -> Tensor:
        """The logits at some points: one forward pass each.

        Args:
            points: float32 [m, ...].
            rows: int64 [m], the row in `images` that each point belongs to; rows may repeat.

        Returns:
            Logits [m, classes].
        """
        points, granted = self._admit(points, rows, backwards=0)
        with torch.no_grad():
            logits = self._answer(points, rows, granted)
        self._remember(points, rows, logits)
        return logits

    def gradient(
        self, points: Tensor, rows: Tensor, objective: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The gradient of a function of the logits: one forward and one backward pass each.

        Args:
            points: float32 [m, ...].
            rows: int64 [m], the row in `images` that each point belongs to.
            objective: logits [m, classes] → [m], each value a function of its own row alone.

        Returns:
            Logits [m, classes], and gradients [m, ...] with zeros for what is not finite.
        """
        points, granted = self._admit(points, rows, backwards=1)
        with torch.enable_grad():
            leaf = points.detach().requires_grad_()
            logits = self._answer(leaf, rows, granted)
            gradient = _differentiate(objective(logits).sum(), leaf)
        self._remember(points, rows, logits.detach())
        return logits.detach(), gradient

    def jacobian(self, points: Tensor, rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of K sums of the logits: one forward and K backward passes for each point.

        Args:
            points: float32 [m, ...].
            rows: int64 [m], the row in `images` that each point belongs to.
            weights: of the logits in each sum, [K, m, classes].

        Returns:
            Logits [m, classes], and gradients [K, m, ...] with zeros for what is not finite.
        """
        points, granted = self._admit(points, rows, backwards=len(weights))
        with torch.enable_grad():
            leaf = points.detach().requires_grad_()
            logits = self._answer(leaf, rows, granted)
        self._remember(points, rows, logits.detach())
        return logits.detach(), self._vector_jacobian_products(logits, leaf, weights)

    def attached(self, points: Tensor, rows: Tensor) -> Tensor:
        """Logits to be differentiated by someone else: a forward pass, and later backward passes.

        For libraries, which ask first and say of what they want the gradient afterwards. Each time
        that they do costs a backward pass of every point. The gradient is zero where it is not
        finite, or cannot be paid for any more.

        Args:
            points: float32 [m, ...], which may be part of a graph.
            rows: int64 [m], the row in `images` that each point belongs to.

        Returns:
            Logits [m, classes], attached to `points`.
        """
        clipped, granted = self._admit(points, rows, backwards=0)
        with torch.enable_grad():
            leaf = clipped.view_as(clipped)
            if leaf.requires_grad:
                _on_gradient(leaf, _finite)
            logits = self._answer(leaf, rows, granted)
            # A model without derivatives has a zero one, not an error.
            logits = logits + 0 * leaf.flatten(1).sum(dim=1, keepdim=True)
        if logits.requires_grad:
            _on_gradient(logits, lambda gradient: self._paid_for(gradient, rows))
        self._remember(clipped.detach(), rows, logits.detach())
        return logits

    def left(self, rows: Tensor) -> Tensor:
        """Passes that images may still cost, float32 [m]; infinite without a limit."""
        limit = math.inf if self._limit is None else self._limit
        return limit - (self.forwards + self.backwards)[rows].float()

    def noise(self, rows: Tensor) -> Tensor:
        """Random directions of unit length, [m, ...], new ones at every call.

        Drawn from the seed and from the image itself, so that neither the order nor the number of
        images in a batch changes what an image gets.
        """
        draws = [
            torch.randn(self.images.shape[1:], generator=self._generator(row))
            for row in rows.tolist()
        ]
        noise = torch.stack(draws).to(self.images.device)
        return noise / per_row(lengths(noise), noise)

    def is_adversarial(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Whether logits are numbers and name another class than that of `rows`, bool [m]."""
        return is_wrong(logits, self.labels[rows])

    # -- inside -------------------------------------------------------------------------------

    def _admit(
        self, points: Tensor, rows: Tensor, *, backwards: int
    ) -> tuple[Tensor, Tensor | None]:
        """Clip the points, charge for them, and say which are answered (`None`: all of them)."""
        if rows.dim() != 1 or points.shape != (len(rows), *self.images.shape[1:]):
            raise InputError(
                f"points of shape {tuple(points.shape)} for rows of shape {tuple(rows.shape)}",
                allowed=f"[m, {', '.join(map(str, self.images.shape[1:]))}] and [m]",
            )
        forwards = 1
        if backwards and self._surrogate_passes:
            forwards += self._surrogate_passes
            backwards *= self._surrogate_passes
        return self.clip(points), self._charge(rows, forwards, backwards)

    def _charge(self, rows: Tensor, forwards: int, backwards: int) -> Tensor | None:
        """Bill each row, and say which could pay (`None`: all of them)."""
        granted = None
        charged = rows
        if self._limit is not None:
            left = self._limit - self.forwards - self.backwards
            granted = _affordable(rows, forwards + backwards, left)
            charged = rows[granted]
            self._end_if_refused(len(charged))
        once = torch.ones_like(charged)
        self.forwards.index_add_(0, charged, once * forwards)
        self.backwards.index_add_(0, charged, once * backwards)
        return granted

    def _paid_for(self, gradient: Tensor, rows: Tensor) -> Tensor:
        """The gradient by the logits, with zeros for what cannot be paid for."""
        if (self.left(rows) <= 0).all():
            return torch.zeros_like(gradient)
        granted = self._charge(rows, self._surrogate_passes, self._surrogate_passes or 1)
        return gradient if granted is None else gradient * granted[:, None]

    def _end_if_refused(self, granted: int) -> None:
        """End an attack that has asked for nothing but spent images as often as it had passes."""
        self._refused_in_a_row = 0 if granted else self._refused_in_a_row + 1
        if self._limit is not None and self._refused_in_a_row > self._limit:
            raise BudgetExhaustedError

    def _answer(self, points: Tensor, rows: Tensor, granted: Tensor | None) -> Tensor:
        if granted is None:
            return self._ask(points)
        refusal = torch.nn.functional.one_hot(self.labels[rows], self.classes).to(points.dtype)
        (places,) = granted.nonzero(as_tuple=True)
        if not len(places):
            return refusal
        return refusal.index_put((places,), self._ask(points[places]))

    def _ask(self, points: Tensor) -> Tensor:
        self.idle_since = math.inf
        try:
            logits: Tensor = self._model(self._layout(points))
        finally:
            self.idle_since = time.monotonic()
        return logits

    def _remember(self, points: Tensor, rows: Tensor, logits: Tensor) -> None:
        (found,) = self.is_adversarial(logits, rows).nonzero(as_tuple=True)
        if not len(found):
            return
        points, rows = points.detach()[found], rows[found]
        self._remember_surest(points, rows, logits[found])
        distance = lengths(points - self.images[rows]).nan_to_num(nan=torch.inf)
        shortest = self.best_distance.scatter_reduce(0, rows, distance, "amin")
        improved = (distance < self.best_distance[rows]) & (distance == shortest[rows])
        self.best[rows[improved]] = points[improved]
        self.best_distance = shortest

    def _remember_surest(self, points: Tensor, rows: Tensor, logits: Tensor) -> None:
        margin = -logit_margin(logits, self.labels[rows])
        surer = margin > self._surest_margin[rows]
        if not surer.any():
            return
        points, rows, margin = points[surer], rows[surer], margin[surer]
        largest = self._surest_margin.scatter_reduce(0, rows, margin, "amax")
        chosen = margin == largest[rows]
        self.surest[rows[chosen]] = points[chosen]
        self._surest_margin = largest

    def _vector_jacobian_products(self, logits: Tensor, leaf: Tensor, weights: Tensor) -> Tensor:
        if self._batches_jacobians:
            try:
                return _differentiate(logits, leaf, weights, batched=True)
            except RuntimeError:
                # A derivative that cannot be vectorised, for instance one that branches on data.
                self._batches_jacobians = False
        return torch.stack([_differentiate(logits, leaf, part) for part in weights])

    def _generator(self, row: int) -> torch.Generator:
        if row not in self._generators:
            pixels = self.images[row].cpu().numpy().tobytes()
            key = hashlib.blake2b(pixels, digest_size=7, salt=self._seed.to_bytes(8, "little"))
            seed = int.from_bytes(key.digest(), "little")
            self._generators[row] = torch.Generator().manual_seed(seed)
        return self._generators[row]


def lengths(points: Tensor) -> Tensor:
    """Euclidean length of each row, [m]."""
    values: Tensor = torch.linalg.vector_norm(points.flatten(1), dim=1)
    return values


def per_row(values: Tensor, points: Tensor) -> Tensor:
    """One value a row, [m], shaped so that it multiplies `points` [m, ...]."""
    return values.view(-1, *[1] * (points.dim() - 1))


def _affordable(rows: Tensor, cost: int, left: Tensor) -> Tensor:
    """Which questions can be paid for; a row that repeats pays each time, the first ones first."""
    if not (left > 0).any():
        raise BudgetExhaustedError
    ordered, order = rows.sort(stable=True)
    place = torch.arange(len(rows), device=rows.device)
    occurrence = torch.empty_like(rows)
    occurrence[order] = place - torch.searchsorted(ordered, ordered)
    return (occurrence + 1) * cost <= left[rows]


def _differentiate(
    outputs: Tensor, leaf: Tensor, weights: Tensor | None = None, *, batched: bool = False
) -> Tensor:
    """Gradients of `outputs`; zeros for what is not finite, or where no path leads to the leaf."""
    gradient = None
    if outputs.requires_grad:
        (gradient,) = torch.autograd.grad(
            outputs,
            leaf,
            weights,
            retain_graph=weights is not None,
            allow_unused=True,
            is_grads_batched=batched,
        )
    if gradient is None:
        count = (len(weights),) if batched and weights is not None else ()
        return leaf.new_zeros(*count, *leaf.shape)
    return _finite(gradient)


def _on_gradient(values: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Change the gradient by some values before it is used; torch does not type its own method."""
    hook: Callable[[Callable[[Tensor], Tensor]], object] = values.register_hook
    hook(change)


def _finite(gradient: Tensor) -> Tensor:
    # In the usual order: attacks take the length of each, row by row.
    return gradient.contiguous().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
