"""The kit's own data: always the same, of every kind, and with splits that tell who looks."""

from __future__ import annotations

import pytest
import torch

from robench.conformance.datasets import data, guarded
from robench.conformance.method_run import initial
from robench.conformance.networks import NETWORKS
from robench.data.base import to_float
from robench.models.base import prunable


@pytest.mark.parametrize(
    ("name", "shape", "outputs"),
    [
        ("images", (2, 8, 8), 5),
        ("one class", (2, 8, 8), 5),
        ("rows", (9,), 5),
        ("targets", (9,), 1),
    ],
)
def test_each_kind_has_its_form(name, shape, outputs):
    made = data(name)
    assert (made.input_shape, made.outputs, len(made.train)) == (shape, outputs, 160)
    assert len(data(name, 20).train) == 20
    assert made.task == ("regression" if name == "targets" else "classification")


def test_one_class_is_all_there_is_to_train_on():
    made = data("one class")
    assert made.train.labels.unique().tolist() == [0]
    assert len(made.test.labels.unique()) == 5


def test_looking_at_held_out_data_is_told():
    looks = []
    watched = guarded(data("images"), lambda: looks.append(1))
    looks.clear()
    assert len(watched.train.images) == 160
    assert not looks
    assert len(watched.validation.images) == 32
    assert watched.test.labels[0] >= 0
    assert len(looks) == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_always_the_same_and_leave_the_global_generator_alone(name):
    before = torch.get_rng_state()
    one, other = (initial(name, data("images")).eval() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    images = to_float(data("images").train.images[:3])
    assert torch.equal(one(images), other(images))
    held_back = {"body.5.weight"} if name == "partial" else set()
    matrices = {n for n, weight in one.named_parameters() if weight.dim() > 1}
    assert set(prunable(one)) == matrices - held_back
