from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from robench.data import DATASETS
from robench.data.base import Data, Dataset, Split, check_plugin, to_float
from robench.errors import InputError


def split(
    count: int = 4, shape: tuple[int, ...] = (1, 2, 2), labels: Tensor | None = None
) -> Split:
    return Split(
        images=torch.zeros((count, *shape), dtype=torch.uint8),
        labels=torch.arange(count) % 2 if labels is None else labels,
        index=torch.arange(count),
    )


def data(**changes: object) -> Data:
    fields = {
        "name": "some",
        "kind": "image",
        "classes": ("a", "b"),
        "train": split(),
        "validation": split(),
        "test": split(),
        "sha256": "0" * 64,
        "mean": (0.0,),
        "std": (1.0,),
    }
    return Data(**(fields | changes))


def test_to_float_maps_bytes_onto_the_unit_interval() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    torch.testing.assert_close(to_float(every), torch.linspace(0, 1, 256))
    assert every.dtype == torch.uint8
    assert to_float(every)[-1] == 1
    floats = torch.rand(3)
    assert to_float(floats) is floats


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bool])
def test_to_float_refuses_types_of_unknown_range(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=str(dtype)):
        to_float(torch.zeros(3, dtype=dtype))


def test_first_keeps_the_order_and_never_asks_for_more_than_there_is() -> None:
    whole = split(5)
    assert whole.first(2).index.tolist() == [0, 1]
    assert len(whole.first(2)) == 2
    assert whole.first(None) is whole
    assert whole.first(99) is whole


@pytest.mark.parametrize(
    ("images", "labels", "index"),
    [
        (torch.zeros(2, 1, 2, 2), torch.zeros(2).long(), torch.arange(2)),
        (torch.zeros(2, 3, dtype=torch.uint8), torch.zeros(2).long(), torch.arange(2)),
        (torch.zeros(2, 3), torch.zeros(2).double(), torch.arange(2)),
        (torch.zeros(2, 3), torch.zeros(3).long(), torch.arange(2)),
        (torch.zeros(2, 3), torch.zeros(2).long(), torch.arange(3)),
        (torch.zeros(2, 3), torch.zeros(2).long(), torch.arange(2).int()),
    ],
)
def test_a_split_of_other_tensors_is_refused(images: Tensor, labels: Tensor, index: Tensor) -> None:
    with pytest.raises(InputError):
        Split(images, labels, index)


def test_data_knows_its_shape() -> None:
    assert data().input_shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "tabular"}, "tabular data of shape"),
        ({"test": split(shape=(1, 3, 3))}, "shapes"),
        ({"test": split(labels=torch.tensor([0, 1, 2, 0]))}, "labels from 0 to 2"),
        ({"test": split(labels=torch.tensor([0, 1, -1, 0]))}, "labels from -1 to 1"),
    ],
)
def test_splits_that_do_not_go_together_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        data(**changes)


class Good(Dataset):
    name = "good"

    def load(self, root: Path, /) -> Data:
        return data()


class Nameless(Dataset):
    def load(self, root: Path, /) -> Data:
        return data()


class Empty(Dataset):
    name = "empty"


@pytest.mark.parametrize(
    ("value", "reason"),
    [(3, "not a subclass"), (Dataset, "`load`"), (Empty, "`load`"), (Nameless, "`name`")],
)
def test_what_is_no_data_set_is_told_why(value: object, reason: str) -> None:
    assert reason in (check_plugin(value) or "")


def test_a_class_with_a_name_and_a_load_is_a_data_set() -> None:
    assert check_plugin(Good) is None


def test_every_data_set_has_a_summary_and_its_own_name() -> None:
    for name in DATASETS.names():
        assert DATASETS.get(name).name == name
        assert 20 < len(DATASETS.summary(name)) < 100
