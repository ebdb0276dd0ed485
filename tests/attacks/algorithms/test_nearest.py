"""The gradient-free floor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robench.attacks.algorithms.nearest import NearestOtherClass


class Threshold(nn.Module):
    """Class 1 from a first feature of 0.5 on, without any gradient."""

    def forward(self, images: Tensor) -> Tensor:
        above = (images[:, 0] > 0.5).float()
        return torch.stack([1 - above, above], dim=1)


IMAGES = torch.tensor([[0.1, 0.0], [0.2, 1.0], [0.9, 0.0], [0.6, 1.0]])
LABELS = torch.tensor([0, 0, 1, 1])


def test_the_boundary_is_found_on_the_way_to_the_best_start() -> None:
    result = NearestOtherClass()(Threshold().eval(), IMAGES, LABELS)
    # Each row of two features goes straight to the neighbour with its own second feature.
    expected = torch.tensor([0.4, 0.3, 0.4, 0.1], dtype=torch.float64)
    torch.testing.assert_close(result.distance, expected, rtol=0, atol=1e-4)
    assert (result.backwards == 0).all()
    assert (result.forwards == 2 * (1 + 15)).all()


def test_only_the_nearest_candidates_are_tried() -> None:
    far = torch.tensor([[0.9, 1.0], [0.7, 0.0], [0.3, 0.0]])
    result = NearestOtherClass(candidates=1)(
        Threshold().eval(), IMAGES[:1], LABELS[:1], references=far
    )
    # [0.3, 0] is nearer, but of the same class.
    assert abs(result.distance.item() - 0.4) < 1e-4
    assert result.forwards.item() == 16


def test_nothing_is_found_where_there_is_nowhere_to_start() -> None:
    result = NearestOtherClass()(Threshold().eval(), IMAGES[:2], LABELS[:2])
    assert result.distance.isinf().all()
    assert (result.passes == 0).all()


def test_a_reference_counts_by_what_the_model_takes_it_for(digits) -> None:
    images, labels = digits.correct(20)
    misread = digits.images[:100]
    result = NearestOtherClass()(digits.model, images, labels, references=misread)
    assert result.success.all()
    with torch.no_grad():
        assert (digits.model(result.adversarial).argmax(dim=1) != labels).all()


def test_batches_do_not_change_the_candidates(digits) -> None:
    images, labels = digits.correct(40)
    whole = NearestOtherClass()(digits.model, images, labels)
    single = NearestOtherClass()(digits.model, images, labels, batch_size=7)
    torch.testing.assert_close(single.distance, whole.distance, rtol=1e-4, atol=0)
