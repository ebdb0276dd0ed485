"""What the front door lets in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.core.inputs import AttackInputs, check_inputs, is_wrong
from robench.errors import InputError

IMAGES = torch.linspace(0.1, 0.9, 24).reshape(4, 6)
LABELS = torch.tensor([0, 1, 2, 0])


def network(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, classes).eval()


class Wrong(nn.Module):
    """Computes whatever it is given."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def with_value(value: float) -> Tensor:
    images = IMAGES.clone()
    images[2, 3] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (with_value(1.01), r"1 of 4 images leave \[0, 1\], first images\[2\] by the value 1.01"),
        (with_value(-0.5), r"images\[2\] by the value -0.5"),
        (with_value(float("nan")), r"images\[2\] by the value nan"),
        (IMAGES.double(), "type torch.float64"),
        ((IMAGES * 255).to(torch.uint8), "to_float"),
        (IMAGES[0], r"shape \(6,\)"),
        (IMAGES[:0], r"shape \(0, 6\)"),
        (IMAGES.numpy(), "images is a ndarray"),
    ],
)
def test_images_that_are_refused(images: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_inputs(network(), images, LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 2, 3]), "1 labels are not classes of the model, for instance 3"),
        (torch.tensor([0, -1, 2, 0]), "for instance -1"),
        (torch.tensor([0, 1]), r"labels are \(2,\)"),
        (torch.rand(4), "type torch.float32"),
        (torch.ones(4, dtype=torch.bool), "type torch.bool"),
    ],
)
def test_labels_that_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_inputs(network(), IMAGES, labels)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("a network", "the model is a str"),
        (nn.Sequential(nn.Linear(6, 3), nn.Dropout()), "3 modules are in training mode"),
        (Wrong(lambda images: images + torch.randn_like(images)), "the model is stochastic"),
        (Wrong(lambda images: images[:, :1]), "at least two classes"),
        (Wrong(lambda images: (images, images)), "returns tuple"),
        (Wrong(lambda images: images.sum()), r"returns \(\), not logits"),
        (Wrong(lambda images: images[:1, :3]), "for 4 images"),
        (Wrong(lambda images: images[:, :3] / 0 * 0), "4 of 4 clean images with NaN"),
        (Wrong(lambda images: images[:, :3] * 1j), "returns torch.complex64"),
    ],
)
def test_models_that_are_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_inputs(model, IMAGES, LABELS)


def test_a_module_that_is_left_in_training_mode_is_named() -> None:
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout()).eval()
    model[1].train()
    with pytest.raises(InputError, match="1 modules are in training mode, for instance 1"):
        check_inputs(model, IMAGES, LABELS)


@pytest.mark.parametrize(("key", "value"), [("seed", -1), ("batch_size", 0)])
def test_settings_that_are_refused(key: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{key} is {value}"):
        check_inputs(network(), IMAGES, LABELS, **{key: value})


def test_references_must_look_like_images() -> None:
    with pytest.raises(InputError, match="references have the shape"):
        check_inputs(network(), IMAGES, LABELS, references=torch.rand(3, 5))
    with pytest.raises(InputError, match="1 of 4 references leave"):
        check_inputs(network(), IMAGES, LABELS, references=with_value(2))


def test_rounding_beyond_the_box_is_cut_off() -> None:
    inputs = check_inputs(network(), with_value(1 + 5e-7), LABELS)
    assert inputs.images.max() == 1


def test_probabilities_are_attacked_by_their_logits() -> None:
    plain = network()
    softmax = nn.Sequential(plain, nn.Softmax(dim=1)).eval()
    inputs = check_inputs(softmax, IMAGES, LABELS)
    assert inputs.is_probabilistic
    expected = plain(IMAGES).detach()
    torch.testing.assert_close(inputs.logits, expected)
    torch.testing.assert_close(inputs.model(IMAGES).detach(), expected)
    assert not check_inputs(plain, IMAGES, LABELS).is_probabilistic


def test_labels_default_to_the_estimated_classes() -> None:
    inputs = check_inputs(network(), IMAGES, None)
    assert inputs.correct.all()


def test_parts_are_in_order_and_complete() -> None:
    inputs = check_inputs(network(), IMAGES, LABELS, batch_size=3)
    parts: list[AttackInputs] = list(inputs.split())
    assert [len(part.images) for part in parts] == [3, 1]
    assert torch.equal(torch.cat([part.images for part in parts]), IMAGES)
    assert torch.equal(torch.cat([part.labels for part in parts]), LABELS)
    assert torch.equal(torch.cat([part.correct for part in parts]), inputs.correct)
    assert torch.equal(parts[1].references, IMAGES)


def test_an_answer_that_is_not_a_number_is_not_wrong() -> None:
    nan, inf = float("nan"), float("inf")
    logits = torch.tensor([[0.0, 1], [1, 0], [nan, 1], [0, nan], [0, inf], [-inf, 1]])
    labels = torch.zeros(6, dtype=torch.int64)
    assert is_wrong(logits, labels).tolist() == [True, False, False, False, False, True]
