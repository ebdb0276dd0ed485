"""Batches: the same for everybody, each image once a pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robench.errors import DataError
from robench.training.batches import Batches

CPU = torch.device("cpu")


def batches_of(digits, size=32, seed=1, **options):
    return Batches(digits.train, size, seed, CPU, **options)


def identity(images):
    """A number that tells images apart."""
    flat = images.double().flatten(1)
    return flat @ torch.rand(flat.shape[1], generator=torch.Generator().manual_seed(0)).double()


def test_a_pass_shows_each_image_once_and_drops_the_rest(digits):
    batches = batches_of(digits)
    count = len(digits.train)
    assert batches.in_epoch == count // 32
    every = identity(digits.train.images.float() / 255)
    shown = torch.cat([identity(batches.at(step)[0]) for step in range(batches.in_epoch)])
    assert len(shown) == count // 32 * 32 < count
    distance = (shown[:, None] - every[None]).abs()
    places = distance.argmin(1)
    assert distance.amin(1).max() < 1e-4
    assert len(set(places.tolist())) == len(shown)


def test_labels_belong_to_their_images(digits):
    batches = batches_of(digits)
    every = identity(digits.train.images.float() / 255)
    images, labels = batches.at(3)
    places = (identity(images)[:, None] - every[None]).abs().argmin(1)
    assert torch.equal(digits.train.labels[places], labels)


def test_order_depends_on_seed_and_pass_alone(digits):
    first, again, other = batches_of(digits), batches_of(digits), batches_of(digits, seed=2)
    later = first.at(first.in_epoch)[0]
    assert torch.equal(first.at(0)[0], again.at(0)[0])  # asked for in another order
    assert torch.equal(again.at(again.in_epoch)[0], later)
    assert not torch.equal(first.at(0)[0], later)
    assert not torch.equal(first.at(0)[0], other.at(0)[0])


def test_probing_is_a_full_pass_of_its_own(digits):
    batches = batches_of(digits)
    expected = batches_of(digits).at(1)[0]
    probed = list(batches.probe(0))
    assert len(probed) == batches.in_epoch
    assert all(len(images) == len(labels) == 32 for images, labels in probed)
    assert not torch.equal(probed[0][0], batches.at(0)[0])
    assert torch.equal(batches.at(1)[0], expected)


def test_images_are_scaled(digits):
    images, _ = batches_of(digits).at(0)
    assert images.dtype is torch.float32
    assert 0 <= images.min() < images.max() <= 1


def test_less_than_a_batch_is_one_batch(digits):
    few = replace(digits, train=digits.train.first(10))
    batches = batches_of(few, size=64)
    assert batches.size == 10
    assert batches.in_epoch == 1
    assert len(batches.at(5)[0]) == 10


def test_no_images_at_all_is_an_error(digits):
    with pytest.raises(DataError, match="empty"):
        batches_of(replace(digits, train=digits.train.first(0)))


def test_a_distortion_is_told_the_index_and_the_step(digits):
    calls = []

    def distortion(images, labels, index, step, *, learns):
        calls.append((labels, index, step, learns))
        return images * 0

    batches = batches_of(digits, distortion=distortion)
    images, labels = batches.at(11)
    assert not images.any()
    told, index, step, learns = calls[0]
    assert step == 11
    assert learns
    assert torch.equal(told, labels)
    labels_of = dict(zip(digits.train.index.tolist(), digits.train.labels.tolist(), strict=True))
    assert [labels_of[number] for number in index.tolist()] == labels.tolist()
    list(batches.probe(11))
    assert not any(learns for *_, learns in calls[1:])


def test_the_first_steps_may_be_clean(digits):
    def distortion(images, labels, index, step, *, learns):
        return images * 0

    batches = batches_of(digits, distortion=distortion, distorts_from=3)
    assert [bool(batches.at(step)[0].any()) for step in range(5)] == [True] * 3 + [False] * 2
