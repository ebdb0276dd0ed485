from __future__ import annotations

import math

import pytest
import torch

from robench.stages import graded as room
from robench.stages.graded import GradedAnswers, over_levels, parts_of


class Constant(torch.nn.Module):
    """Answers the class that the first pixel names."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        wanted = (images[:, 0, 0, 0] * 255).round().long()
        return torch.nn.functional.one_hot(wanted, 40).float()


def shown(answers: list[int]) -> torch.Tensor:
    images = torch.zeros(len(answers), 1, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor(answers)
    return images


def test_answers_are_kept_and_counted() -> None:
    graded = GradedAnswers(Constant(), 4)
    labels = torch.tensor([0, 1, 2, 3])
    accuracy, bits = graded.show(
        [shown([0, 1]), shown([1, 1])], labels, "mild", kind="fog", severity=1.0
    )
    assert (accuracy.value, accuracy.n) == (0.5, 4)
    assert accuracy.condition == {"kind": "fog", "severity": 1.0}
    assert bits.value == pytest.approx(-(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75)))
    tuple(graded.show([shown([3, 3, 3, 3])], labels, "strong"))
    arrays = graded.arrays()
    assert graded.conditions == ["mild", "strong"]
    assert arrays["answers"].tolist() == [[0, 1, 1, 1], [3, 3, 3, 3]]
    assert arrays["confusion"][1].tolist() == [[0, 0, 0, 1]] * 4


def test_many_classes_have_no_confusion_matrices() -> None:
    graded = GradedAnswers(Constant(), 40)
    tuple(graded.show([shown([0, 39])], torch.tensor([0, 1]), "any"))
    assert set(graded.arrays()) == {"answers"}


def test_summaries_over_levels() -> None:
    levels, accuracies = (1.0, 0.5, 0.1, 0.05), (0.8, 0.6, 0.2, 0.2)
    area, half = over_levels("contrast", levels, accuracies, 50, images="x")
    assert (area.name, area.value, area.n) == ("accuracy_area", pytest.approx(1.3 / 3), 50)
    assert area.condition == half.condition == {"kind": "contrast", "images": "x"}
    assert half.value == pytest.approx(0.3)
    assert not list(over_levels("rotation", (0, 90, 180, 270), (1, 1, 1, 1), 5))
    assert not list(over_levels("contrast", (1.0,), (1.0,), 5))


def test_parts_are_whole_batches_and_leave_nothing_out(monkeypatch) -> None:
    images = torch.zeros(1000, 1, 2, 2, dtype=torch.uint8)
    assert parts_of(images) == [slice(0, 256 * (2**24 // 1024))]
    monkeypatch.setattr(room, "_PART_VALUES", 4 * 600)
    parts = parts_of(images)
    assert parts == [slice(0, 512), slice(512, 1024)]
    assert sum(len(images[part]) for part in parts) == 1000
    monkeypatch.setattr(room, "_PART_VALUES", 1)
    assert len(parts_of(images)) == 4


@pytest.mark.parametrize("levels", [(0,), (0, 0), (0, 1), (0, 1, 5), (3, 3, 3, 3)], ids=str)
def test_nothing_is_summed_up_over_a_few_levels(levels: tuple[float, ...]) -> None:
    """The fault: MNIST-C has one strength, called 0, and its level at half accuracy was 0."""
    falling = [0.99, 0.3, 0.2, 0.1][: len(levels)]
    assert not list(over_levels("fog", levels, falling, 100))


def test_a_handful_of_levels_makes_a_curve() -> None:
    area, half = over_levels("fog", (0, 1, 3, 5), [1.0, 0.8, 0.2, 0.0], 100)
    assert area.name == "accuracy_area"
    assert half.value == pytest.approx(2.0)
