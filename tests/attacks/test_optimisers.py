"""What holds for every attack that optimises: FMN, ALMA, APGD."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks import ATTACKS
from robench.attacks.core.base import Attack
from tests.networks import ConstantLogits

NAMES = ["alma", "apgd", "fmn"]


def attack(name: str, **params: object) -> Attack:
    return ATTACKS.get(name)(**params)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_linear_model_is_solved(linear, name: str, classes: int) -> None:
    task = linear(classes)
    every_class = attack(name, targets=classes - 1)
    ratio = every_class(task.model, task.images, task.labels, box=False).distance / task.distance
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.02
    # In one direction the nearest of many planes can be missed, but not by most images.
    free = attack(name)(task.model, task.images, task.labels, box=False).distance / task.distance
    assert free.min() > 1 - 1e-4
    assert free.median() < 1.02


@pytest.mark.parametrize(
    "name", ["fmn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("alma", "apgd"))]
)
def test_an_image_gets_the_same_alone_as_among_others(digits, name: str) -> None:
    images, labels = digits.correct(64)
    count = 64 if name == "alma" else 12
    together = attack(name)(digits.model, images, labels).distance[:count]
    size = 8 if name == "alma" else 1
    few = attack(name)(digits.model, images[:count], labels[:count], batch_size=size).distance
    change = (few / together - 1).abs()
    if name == "alma":  # rounding may decide between two minima; adv-lib's changes as often
        assert change.median() < 1e-3
        assert (change < 0.02).double().mean() > 0.85
        assert few.mean().item() == pytest.approx(together.mean().item(), rel=0.02)
    else:
        assert change.max() < 1e-3


class Scaled(nn.Module):
    """The same answers, with logits of another size."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model = model
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) * self.factor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("factor", [1000.0, 1e-3])
def test_the_scale_of_the_logits_does_not_matter(digits, name: str, factor: float) -> None:
    images, labels = digits.correct(50)
    plain = attack(name)(digits.model, images, labels).distance
    scaled = attack(name)(Scaled(digits.model, factor).eval(), images, labels).distance
    change = (scaled / plain - 1).abs()
    assert change.median() < 1e-3
    assert (change < 0.02).double().mean() > (0.85 if name == "alma" else 0.999)
    assert scaled.mean().item() == pytest.approx(plain.mean().item(), rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_images_on_the_box_are_all_beaten(digits, name: str) -> None:
    images, labels = digits.images.round(), digits.labels
    with torch.no_grad():
        correct = digits.model(images).argmax(dim=1) == labels
    result = attack(name)(digits.model, images[correct], labels[correct])
    assert correct.sum() > 200
    assert result.success.all()
    assert (result.adversarial >= 0).all()
    assert (result.adversarial <= 1).all()


class Cut(nn.Module):
    """A staircase; its graph leads back to the images, with derivatives of zero."""

    def forward(self, images: Tensor) -> Tensor:
        return (5 * images[:, :3]).floor() + 0 * images[:, :3]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize("targets", [0, 2])
def test_without_gradients_it_fails_honestly(name: str, box: bool, targets: int) -> None:
    images = 0.2 + 0.1 * torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    result = attack(name, targets=targets)(ConstantLogits().eval(), images, box=box)
    assert result.distance.isinf().all()
    assert torch.equal(result.adversarial, images)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_without_gradients_is_reproducible_and_counts_what_it_meets(name: str) -> None:
    images = torch.rand(12, 6, generator=torch.Generator().manual_seed(0))
    result = attack(name)(Cut().eval(), images, seed=1)
    again = attack(name)(Cut().eval(), images.flip(0), seed=1, batch_size=5)
    torch.testing.assert_close(again.distance.flip(0), result.distance)
    with torch.no_grad():
        clean, found = (Cut()(points).argmax(dim=1) for points in (images, result.adversarial))
    assert torch.equal(clean != found, result.success)


@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_kept_and_what_was_found_counts(digits, name: str) -> None:
    images, labels = digits.correct(20)
    result = attack(name)(digits.model, images, labels, limit=61)
    assert (result.passes <= 61).all()
    assert (result.passes >= 60).all()
    assert result.success.any()


@pytest.mark.parametrize("name", NAMES)
def test_targets_find_closer_points(digits, name: str) -> None:
    images, labels = digits.correct(40)
    one = attack(name)(digits.model, images, labels).distance
    three = attack(name, targets=3)(digits.model, images, labels).distance
    assert three.mean() < one.mean()
