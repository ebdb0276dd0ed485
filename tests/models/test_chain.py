"""Layers in forward order, and clear refusals where there is no order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.errors import NotApplicableError
from robench.models.chain import chain, trace


class Centre(nn.Module):
    """A normalisation of one's own, as stands in front of every network."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[0] == 0:  # cannot be traced into: must count as one step
            return images
        return images - self.mean


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.normalise = Centre()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3)
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(self.normalise(images))))


def test_layers_come_in_forward_order_with_what_follows_them() -> None:
    model = Convolutional()
    layers = chain(model)
    assert [layer.name for layer in layers] == ["body.0", "body.4", "head.2"]
    assert [layer.module for layer in layers] == [model.body[0], model.body[4], model.head[2]]
    assert [layer.batch_norm for layer in layers] == [model.body[1], None, None]
    assert [layer.is_output for layer in layers] == [False, False, True]
    assert [layer.units for layer in layers] == [4, 6, 3]
    assert [step.name for step in layers[0].between] == ["body.1", "body.2", "body.3"]
    assert [step.target for step in layers[1].between] == [torch.tanh, "head.0", "head.1"]
    assert layers[2].between == ()


def test_order_is_that_of_the_calls_not_of_the_definition() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Linear(4, 2)
            self.first = nn.Linear(3, 4)

        def forward(self, rows: Tensor) -> Tensor:
            return self.second(F.relu(self.first(rows)))

    assert [layer.name for layer in chain(Backwards())] == ["first", "second"]


def test_batch_norm_after_the_activation_is_found() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert chain(model)[0].batch_norm is model[2]


def test_asking_for_the_batch_size_is_no_branch() -> None:
    class Flattening(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.fc = nn.Linear(2, 2)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.conv(images)
            return self.fc(maps.view(maps.size(0), maps.shape[1] * maps.shape[2] * maps.shape[3]))

    assert [layer.name for layer in chain(Flattening())] == ["conv", "fc"]


def test_what_is_computed_for_nothing_is_no_branch() -> None:
    class Wasteful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, rows: Tensor) -> Tensor:
            self.fc2(rows)
            return self.fc1(rows)

    assert [layer.name for layer in chain(Wasteful())] == ["fc1"]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.fc1(rows)
        return self.fc2(hidden) + hidden


class TwoInputs(Residual):
    def forward(self, rows: Tensor, others: Tensor) -> Tensor:
        return self.fc2(self.fc1(rows) + others)


class CalledTwice(Residual):
    def forward(self, rows: Tensor) -> Tensor:
        return self.fc1(self.fc1(rows))


class Branching(Residual):
    def forward(self, rows: Tensor) -> Tensor:
        return self.fc1(rows) if rows.sum() > 0 else self.fc2(rows)


class ManyOutputs(Residual):
    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.fc1(rows)
        return self.fc2(hidden), hidden


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Residual(), ["'add'", "'fc2' and 'fc1'"]),
        (TwoInputs(), ["'others'", "input"]),
        (CalledTwice(), ["'fc1'", "twice"]),
        (Branching(), ["cannot be traced"]),
        (ManyOutputs(), ["'output'"]),
        (nn.Sequential(nn.ReLU()), ["no Conv2d or Linear"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_chain_is_refused_by_name(model: nn.Module, words: list[str]) -> None:
    with pytest.raises(NotApplicableError) as caught:
        chain(model)
    assert all(word in str(caught.value) for word in words), str(caught.value)


class Halving(nn.Module):
    """Every second pixel; the batch that it looks at, if it does, cannot be traced."""

    def __init__(self, *, looks: bool = False, holds: bool = False) -> None:
        super().__init__()
        self.looks = looks
        if holds:
            self.register_buffer("factor", torch.ones(()), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        if self.looks and maps.sum() > 0:
            return maps
        return maps[:, :, ::2, ::2]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Halving(), "getitem"),
        (Halving(looks=True), "1"),
        (Halving(holds=True), "1"),
        (nn.ReLU(), "1"),
    ],
    ids=["open", "cannot be traced", "holds a tensor", "torch's own"],
)
def test_tracing_closely_goes_into_modules_without_tensors(part: nn.Module, name: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), part).eval()

    def steps(*, closely: bool) -> list[str]:
        graph = trace(model, closely=closely)
        return [
            node.name if node.op == "call_function" else str(node.target) for node in graph.nodes
        ]

    assert steps(closely=True)[2] == name
    assert steps(closely=False)[2] == "1"


def test_looking_changes_nothing() -> None:
    model = Convolutional()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    was_training = model.training
    chain(model)
    assert model.training is was_training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
