"""The oracle: the only access of an attack to the model. It counts, limits and records queries.

Every query names the rows of the images that its points belong to. AttackBench (Cinà et al. 2025,
arXiv 2404.19460), from which the idea of such a wrapper comes, infers the row from the nearest
image instead. An attack that starts at another image, or permutes the batch, is then billed and
measured against the wrong image.
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
    """The query budget of every image is spent; the search ends with what was found so far."""


class Oracle:
    """A model that answers queries about given images, within a query budget.

    Points are clipped to the box before the model sees them. For each image the oracle records the
    closest adversarial of all queries, so that no attack can lose a point that it visited. It also
    records the adversarial with the largest margin, because the closest one may be adversarial only
    by rounding. Once the budget of an image is spent, the oracle returns the true class with a zero
    gradient. An attack that keeps querying only exhausted samples is aborted. If a surrogate
    provides the gradients (BPDA), its passes count too.

    Attributes:
        images: float32 [n, ...]; all are classified correctly before the attack.
        labels: int64 [n].
        logits: logits of the images, [n, classes]; available without a query.
        starts: where a search begins, [n, ...]: the images, or after a restart points near them.
        box: whether adversarials must lie in [0, 1].
        forwards: forward passes spent on each image, int64 [n].
        backwards: backward passes spent on each image, int64 [n].
        best: the closest adversarial known so far, [n, ...]; where there is none, the start.
        best_distance: its Euclidean distance from the image, float32 [n]; infinite for none.
        surest: the adversarial with the largest margin seen so far, [n, ...]; else the image.
        idle_since: `time.monotonic` at the end of the last query; infinite during a query.

    Args:
        inputs: images that the model classifies correctly.
        limit: query budget: forward and backward passes per image; `None` for no limit.
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
        # A batched backward pass for all rows of a Jacobian took 0.36 to 0.95 of the time of one
        # pass per row in MLPs, but up to 1.4 times as long with convolutions (one core).
        self._batches_jacobians = not any(
            isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
            for module in inputs.model.modules()
        )
        # Copies: an attack that modifies them in place cannot falsify the verification.
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

    # Copies too, made lazily.
    @cached_property
    def references(self) -> Tensor:
        """Images to start from, [M, ...]."""
        return self._inputs.references.clone()

    @cached_property
    def reference_classes(self) -> Tensor:
        """Classes that the model predicts for the references, int64 [M]."""
        return self._inputs.reference_classes.clone()

    @cached_property
    def transferred(self) -> Tensor | None:
        """Adversarials of a source model for these images, [n, ...], or `None`."""
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
        """Logits at given points (score-based query): one forward pass each.

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
        """Gradient of a function of the logits: one forward and one backward pass each.

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
        """Logits that the caller differentiates: one forward pass, and backward passes later.

        For attack libraries, which compute logits first and differentiate a loss afterwards. Each
        differentiation costs one backward pass per point. The gradient is zero where it is not
        finite, or where the query budget is spent.

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
        """Remaining query budget of the images, float32 [m]; infinite without a limit."""
        limit = math.inf if self._limit is None else self._limit
        return limit - (self.forwards + self.backwards)[rows].float()

    def noise(self, rows: Tensor) -> Tensor:
        """Random directions of unit length, [m, ...], new ones at every call.

        The generator is keyed by the seed and the image's pixels, so that the numbers of an image
        depend neither on the order nor on the number of images in a batch.
        """
        draws = [
            torch.randn(self.images.shape[1:], generator=self._generator(row))
            for row in rows.tolist()
        ]
        noise = torch.stack(draws).to(self.images.device)
        return noise / per_row(lengths(noise), noise)

    def is_adversarial(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Whether the largest logit is finite and not that of the label, bool [m]."""
        return is_wrong(logits, self.labels[rows])

    # -- inside -------------------------------------------------------------------------------

    def _admit(
        self, points: Tensor, rows: Tensor, *, backwards: int
    ) -> tuple[Tensor, Tensor | None]:
        """Clip the points, charge the passes, and return which are granted (`None`: all)."""
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
        """Charge the passes to each row; return which rows had budget left (`None`: all)."""
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
        """The gradient with respect to the logits; zero for rows without budget."""
        if (self.left(rows) <= 0).all():
            return torch.zeros_like(gradient)
        granted = self._charge(rows, self._surrogate_passes, self._surrogate_passes or 1)
        return gradient if granted is None else gradient * granted[:, None]

    def _end_if_refused(self, granted: int) -> None:
        """Abort an attack after `limit` consecutive queries of exhausted samples only."""
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
        # A row may repeat: scatter-reduce to the smallest distance per image, [n], then keep the
        # points [m, ...] that attain it.
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
    """Euclidean norm of each row, [m]."""
    values: Tensor = torch.linalg.vector_norm(points.flatten(1), dim=1)
    return values


def per_row(values: Tensor, points: Tensor) -> Tensor:
    """Reshape one value per row, [m], so that it broadcasts over `points` [m, ...]."""
    return values.view(-1, *[1] * (points.dim() - 1))


def _affordable(rows: Tensor, cost: int, left: Tensor) -> Tensor:
    """Which queries are within the budget; repeated rows are charged in order of occurrence."""
    if not (left > 0).any():
        raise BudgetExhaustedError
    # occurrence [m]: how often the row of each query occurred before it. In the stable order it is
    # the position minus the position of the first query of the same row.
    ordered, order = rows.sort(stable=True)
    place = torch.arange(len(rows), device=rows.device)
    occurrence = torch.empty_like(rows)
    occurrence[order] = place - torch.searchsorted(ordered, ordered)
    return (occurrence + 1) * cost <= left[rows]


def _differentiate(
    outputs: Tensor, leaf: Tensor, weights: Tensor | None = None, *, batched: bool = False
) -> Tensor:
    """Gradients of `outputs`; zero where not finite or where the leaf is not in the graph."""
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
    """Register a gradient hook on a tensor; torch does not annotate the types of its method."""
    hook: Callable[[Callable[[Tensor], Tensor]], object] = values.register_hook
    hook(change)


def _finite(gradient: Tensor) -> Tensor:
    # Contiguous, since attacks compute the norm of each row.
    return gradient.contiguous().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
