from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from robench.data.assembly import assemble
from robench.data.base import Data
from robench.data.splits import own_split
from robench.errors import DataError, InputError, ParameterError

LABELS = np.arange(60, dtype=np.int64) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 2, 5, 4), dtype=np.uint8)
ROWS = np.random.default_rng(0).random((60, 7), dtype=np.float32)


def assembled(
    inputs: NDArray[np.uint8] | NDArray[np.float32] = IMAGES, subset: int | None = None
) -> Data:
    return assemble(
        "some",
        classes=["a", "b", "c"],
        inputs=inputs,
        labels=LABELS,
        splits=own_split(LABELS, "some"),
        subset=subset,
    )


@pytest.mark.parametrize("inputs", [IMAGES, ROWS], ids=["images", "rows"])
def test_index_leads_back_to_the_whole_data_set(inputs: NDArray[np.uint8]) -> None:
    data = assembled(inputs)
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split.images, torch.from_numpy(inputs[split.index.numpy()]))
        assert torch.equal(split.labels, torch.from_numpy(LABELS[split.index.numpy()]))


def test_statistics_are_those_of_the_training_images() -> None:
    data = assembled()
    pixels = data.train.images.numpy() / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_statistics_of_rows_are_by_feature_and_a_constant_has_deviation_one() -> None:
    rows = ROWS.copy()
    rows[:, 2] = 0.3
    data = assembled(rows)
    used = data.train.images.double().numpy()
    expected = used.std(axis=0)
    expected[2] = 1
    np.testing.assert_allclose(data.mean, used.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(data.std, expected, rtol=1e-6)


def test_the_hash_sees_every_pixel_label_class_and_index() -> None:
    def hashed(**changes: object) -> str:
        fields = {
            "classes": ["a", "b", "c"],
            "inputs": IMAGES,
            "labels": LABELS,
            "splits": own_split(LABELS, "some"),
        }
        return assemble("some", **(fields | changes)).sha256

    pixels, labels = IMAGES.copy(), LABELS.copy()
    pixels[59, 1, 4, 3] ^= 1
    labels[59] = 0
    found = {
        hashed(),
        hashed(inputs=pixels),
        hashed(labels=labels),
        hashed(classes=["a", "b", "d"]),
        hashed(splits=own_split(LABELS, "other")),
        hashed(subset=30),
    }
    assert len(found) == 6
    assert hashed() == hashed()


def test_a_subset_is_a_fair_beginning_of_the_training_split() -> None:
    whole, part = assembled(), assembled(subset=12)
    assert torch.equal(part.train.index, whole.train.index[:12])
    assert torch.equal(part.test.images, whole.test.images)
    assert torch.equal(part.validation.images, whole.validation.images)
    assert part.train.labels.bincount().tolist() == [4, 4, 4]
    assert part.mean != whole.mean


@pytest.mark.parametrize(("subset", "message"), [(43, "more than there are"), (2, "2 of 3")])
def test_a_subset_that_cannot_be_is_refused(subset: int, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        assembled(subset=subset)


def test_one_class_is_nothing_to_learn() -> None:
    labels = np.zeros(20, dtype=np.int64)
    with pytest.raises(DataError, match="1 class: nothing to tell apart"):
        assemble(
            "some",
            classes=["a"],
            inputs=IMAGES[:20],
            labels=labels,
            splits=own_split(labels, "some"),
        )


def test_too_few_inputs_are_refused() -> None:
    labels = np.array([0, 1], dtype=np.int64)
    with pytest.raises(DataError, match="validation split is empty"):
        assemble(
            "some",
            classes=["a", "b"],
            inputs=IMAGES[:2],
            labels=labels,
            splits=own_split(labels, "some"),
        )


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_features_outside_the_unit_interval_are_refused(bad: float) -> None:
    rows = ROWS.copy()
    rows[:, 1] = bad
    with pytest.raises(DataError, match=r"not in \[0, 1\]"):
        assembled(rows)


def test_arrays_of_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="float64"):
        assembled(ROWS.astype(np.float64))


TARGETS = np.random.default_rng(1).normal(30.0, 7.0, 60)


def regression(targets: NDArray[np.float64]) -> Data:
    return assemble(
        "some", classes=(), inputs=ROWS, labels=targets, splits=own_split(LABELS, "some")
    )


def test_targets_are_standardised_by_the_training_split() -> None:
    data = regression(TARGETS)
    used = TARGETS[data.train.index.numpy()]
    assert (data.task, data.outputs, data.classes) == ("regression", 1, ())
    assert data.target_mean == pytest.approx(used.mean())
    assert data.target_std == pytest.approx(used.std())
    for split in (data.train, data.validation, data.test):
        own = split.labels.double().numpy() * data.target_std + data.target_mean
        np.testing.assert_allclose(own, TARGETS[split.index.numpy()], rtol=1e-5)
    assert assembled().task == "classification"
    assert assembled().outputs == 3


@pytest.mark.parametrize(
    ("targets", "message"),
    [(np.full(60, 3.5), "all training targets are 3.5"), (np.full(60, np.nan), "not a number")],
)
def test_targets_that_say_nothing_are_refused(targets: NDArray[np.float64], message: str) -> None:
    with pytest.raises(DataError, match=message):
        regression(targets)
