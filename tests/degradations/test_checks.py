"""Every mistake at the front door has one message that says what is allowed."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS, DEGRADATIONS_REGISTRY, degrade
from robench.errors import InputError, UnknownNameError

GOOD = torch.full((2, 3, 16, 16), 0.5)


def with_value(value: float) -> Tensor:
    images = GOOD.clone()
    images[1, 2, 3, 4] = value
    return images


@pytest.mark.parametrize("kind", DEGRADATIONS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD.numpy(), "images are a ndarray, not a tensor"),
        ((GOOD * 255).to(torch.uint8), "images have type torch.uint8"),
        (GOOD.half(), "images have type torch.float16"),
        (GOOD[0], r"images have shape \[3, 16, 16\]"),
        (GOOD[:0], r"images have shape \[0, 3, 16, 16\]"),
        (GOOD[:, :0], "images have 0 channels"),
        (GOOD[:, :2], "images have 2 channels"),
        (GOOD.repeat(1, 2, 1, 1)[:, :4], "images have 4 channels"),
        (GOOD[:, :, :0], "images are 0 x 16 pixels"),
        (with_value(math.nan), "images hold NaN"),
        (with_value(math.inf), "images hold values from 0.5 to inf"),
        (with_value(1 + 2**-20), "images hold values from 0.5 to 1.00000095"),
        (with_value(-(2**-20)), "images hold values from -9.53674316e-07 to 0.5"),
    ],
)
def test_images_that_are_refused(kind: str, images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        degrade(images, kind, DEGRADATIONS[kind][0])
    assert caught.value.where == f"degradation {kind!r}"
    assert caught.value.allowed or caught.value.hint


@pytest.mark.parametrize(
    "kind",
    ["low-pass", "high-pass", "phase-noise", "power-equalisation", "eidolon-1", "eidolon-3"],
)
def test_images_too_small_for_a_kind(kind: str) -> None:
    assert degrade(GOOD[:, :, :8, :8], kind, 1.0).shape == (2, 3, 8, 8)
    with pytest.raises(InputError, match="16 x 7 pixels") as caught:
        degrade(GOOD[:, :, :, :7], kind, 1.0)
    assert caught.value.where == f"degradation {kind!r}"
    assert caught.value.allowed == "at least 8 x 8 pixels"


@pytest.mark.parametrize(
    ("kind", "level", "allowed"),
    [
        ("rotation", 45, "0, 90, 180, 270"),
        ("greyscale", 0.5, "0, 1"),
        ("contrast", 1.01, "any from 0 to 1; published: 1, 0.5, 0.3, 0.15, 0.1, 0.05, 0.03, 0.01"),
        ("contrast", math.nan, "any from 0 to 1"),
        ("uniform-noise", -0.1, "any from 0 to 1"),
        ("salt-and-pepper", math.inf, "any from 0 to 1"),
        ("low-pass", math.inf, "any from 0 to 1000"),
        ("high-pass", -math.inf, "any from 0 to 1000; published: inf, 3"),
        ("phase-noise", 181, "any from 0 to 180; published: 0, 30, 60, 90, 120, 150, 180"),
        ("power-equalisation", 0.5, "0, 1"),
        ("opponent-colour", 2, "0, 1"),
        ("eidolon-2", -1, "any from 0 to 1024; published: 1, 2, 4, 8, 16, 32, 64, 128"),
        ("contrast", "0.5", "any from 0 to 1"),
        ("contrast", None, "any from 0 to 1"),
    ],
)
def test_levels_that_are_refused(kind: str, level: Any, allowed: str) -> None:
    with pytest.raises(InputError, match=f"is not a level of '{kind}'") as caught:
        degrade(GOOD, kind, level)
    assert caught.value.allowed is not None
    assert caught.value.allowed.startswith(allowed)


@pytest.mark.parametrize(
    "level",
    [
        *(1, 1.0, Fraction(1), Decimal(1), np.float64(1), np.float32(1), np.int64(1), np.uint8(1)),
        *(np.array(1), np.array(1.0), torch.tensor(1), torch.tensor(1.0, requires_grad=True)),
    ],
    ids=repr,
)
def test_levels_may_be_any_real_number(level: Any) -> None:
    assert torch.equal(degrade(GOOD, "low-pass", level), degrade(GOOD, "low-pass", 1.0))


@pytest.mark.parametrize(
    "level",
    [
        *(Fraction(1, 5), Decimal("0.2"), np.float16(0.2), np.float32(0.2), np.array(0.2)),
        *(torch.tensor(0.2), torch.tensor(0.2, dtype=torch.float16), torch.tensor(0.2).double()),
    ],
    ids=repr,
)
def test_one_level_draws_one_noise_in_every_type(level: Any) -> None:
    if isinstance(level, torch.Tensor) and level.dtype == torch.float64:
        level = torch.tensor(0.2, dtype=torch.float64)
    expected = degrade(GOOD, "uniform-noise", 0.2)
    assert torch.equal(degrade(GOOD, "uniform-noise", level), expected)


@pytest.mark.parametrize(
    "level",
    [
        *(True, np.True_, torch.tensor(True), math.nan, np.float32("nan"), torch.tensor(math.nan)),
        *(0.2 + 0j, np.complex64(0.2), torch.tensor(0.2 + 0j), "0.2", b"0.2", None),
        *([0.2], np.array([0.2]), torch.tensor([0.2]), torch.tensor([]), object),
    ],
    ids=repr,
)
def test_what_is_no_real_number_is_refused(level: Any) -> None:
    with pytest.raises(InputError, match="is not a level of 'uniform-noise'") as caught:
        degrade(GOOD, "uniform-noise", level)
    assert "a level is one real number" in str(caught.value.hint)


@pytest.mark.parametrize(
    "level",
    [math.inf, -math.inf, torch.tensor(math.inf), 10**400, -(10**400)],
    ids=lambda level: f"{type(level).__name__}-{level > 0}",
)
def test_infinity_is_a_number_that_most_kinds_do_not_take(level: Any) -> None:
    with pytest.raises(InputError, match="is not a level of 'uniform-noise'"):
        degrade(GOOD, "uniform-noise", level)


def test_minus_zero_is_zero() -> None:
    # The noise is keyed by the level, and two spellings of one level must not differ.
    level = DEGRADATIONS_REGISTRY.get("uniform-noise").check_level(-0.0)
    assert math.copysign(1.0, level) == 1.0


@pytest.mark.parametrize(
    "index",
    [[0], [0, 1, 2], [[0, 1]], [0, -1], [0.0, 1.0], [True, False], torch.tensor(3), []],
    ids=str,
)
def test_indices_that_are_refused(index: Any) -> None:
    for kind in ("uniform-noise", "contrast"):
        with pytest.raises(InputError, match="index has shape") as caught:
            degrade(GOOD, kind, 0.1, index=index)
        assert caught.value.allowed == "2 whole numbers >= 0, one for each image"


@pytest.mark.parametrize(
    "index", [[5, 7], (5, 7), np.array([5, 7]), torch.tensor([5, 7], dtype=torch.int32)], ids=repr
)
def test_indices_may_come_in_any_container(index: Any) -> None:
    expected = degrade(GOOD, "uniform-noise", 0.1, index=torch.tensor([5, 7]))
    assert torch.equal(degrade(GOOD, "uniform-noise", 0.1, index=index), expected)


@pytest.mark.parametrize("seed", [0.5, "0", None])
def test_seeds_that_are_refused(seed: Any) -> None:
    with pytest.raises(InputError, match="the seed is"):
        degrade(GOOD, "uniform-noise", 0.1, seed=seed)


def test_seeds_may_be_any_whole_number() -> None:
    assert torch.equal(
        degrade(GOOD, "uniform-noise", 0.1, seed=np.int64(4)),
        degrade(GOOD, "uniform-noise", 0.1, seed=4),
    )
    for seed in (-1, 2**63, 2**200):
        assert not torch.equal(
            degrade(GOOD, "uniform-noise", 0.1, seed=seed), degrade(GOOD, "uniform-noise", 0.1)
        )


def test_a_kind_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="there is no degradation 'low-pas'") as caught:
        degrade(GOOD, "low-pas", 1.0)
    assert "'low-pass'" in str(caught.value.hint)


def test_a_variant_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="'pixel' is not a variant of 'low-pass'") as caught:
        degrade(GOOD, "low-pass", 1.0, variant="pixel")
    assert "'scaled'" in str(caught.value.allowed)
    with pytest.raises(InputError, match="'pixels' is not a variant of 'contrast'") as caught:
        degrade(GOOD, "contrast", 1.0, variant="pixels")
    assert caught.value.allowed == "none"
