"""The front door: what is refused, and what every kind keeps to, with either constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from robench.degradations import corruptions
from robench.degradations.corruptions import COMMON, CORRUPTIONS, SEVERITIES, corrupt, obstacle
from robench.degradations.corruptions.native import KINDS
from robench.errors import InputError, UnknownNameError

NATIVE = [kind for kind, known in CORRUPTIONS.items() if known.is_native]
EITHER = [
    *((kind, "cifar-10-c") for kind in NATIVE),
    *((kind, "imagenet-c") for kind in CORRUPTIONS),
]


def pictures(count: int, channels: int = 3, side: int = 32) -> torch.Tensor:
    """Smooth colourful images in whole grey values."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, channels, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return smooth.clamp(0, 1).mul(255).round().div(255)


def test_fifteen_and_four() -> None:
    assert len(COMMON) == 15
    assert len(CORRUPTIONS) == 19
    assert not set(COMMON) & {"speckle-noise", "gaussian-blur", "spatter", "saturate"}


def test_the_kinds_are_those_of_imagecorruptions() -> None:
    import imagecorruptions

    theirs = [name.replace("_", "-") for name in imagecorruptions.get_corruption_names("all")]
    assert theirs == list(CORRUPTIONS)


@pytest.mark.parametrize(("kind", "constants"), EITHER)
def test_an_image_is_corrupted_alike_alone_in_any_batch_and_in_any_order(
    kind: str, constants: corruptions.Constants
) -> None:
    images = pictures(5)
    index = torch.tensor([7, 3, 90, 4, 11])
    together = corrupt(images, kind, 3, seed=5, index=index, constants=constants)
    order = torch.tensor([4, 2, 0, 1, 3])
    shuffled = corrupt(images[order], kind, 3, seed=5, index=index[order], constants=constants)
    alone = corrupt(images[2:3], kind, 3, seed=5, index=[90], constants=constants)
    assert torch.equal(shuffled, together[order])
    assert torch.equal(alone[0], together[2])
    assert torch.equal(together, corrupt(images, kind, 3, 5, index, constants))
    assert (together.shape, together.dtype) == (images.shape, images.dtype)
    assert 0 <= float(together.min()) <= float(together.max()) <= 1
    codes = together * 255
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)
    assert not torch.equal(together, images)


@pytest.mark.parametrize(("kind", "constants"), EITHER)
def test_seed_index_and_severity_matter_where_noise_is_drawn(
    kind: str, constants: corruptions.Constants
) -> None:
    images = pictures(2)
    images[1] = images[0]
    one = corrupt(images, kind, 2, constants=constants)
    group = CORRUPTIONS[kind].group
    is_random = group == "noise" or kind in (
        "glass-blur", "motion-blur", "snow", "frost", "fog", "elastic-transform",
    )  # fmt: skip
    if kind != "spatter":  # so few drops fall on 32 pixels that there may be none
        assert torch.equal(one[0], one[1]) != is_random
        assert torch.equal(one, corrupt(images, kind, 2, seed=1, constants=constants)) != is_random
    strong = corrupt(images, kind, 5, constants=constants)
    assert not torch.equal(one, strong)


@pytest.mark.parametrize(("kind", "constants"), EITHER)
def test_grey_images_stay_grey(kind: str, constants: corruptions.Constants) -> None:
    images = pictures(2, channels=1)
    if obstacle(kind, constants, (1, 32, 32)):
        assert kind == "saturate"
        return
    got = corrupt(images.double(), kind, 3, constants=constants)
    assert (got.shape, got.dtype) == (images.shape, torch.float64)
    assert not torch.equal(got.float(), images)


def test_numpys_generator_is_left_alone() -> None:
    np.random.seed(1)  # noqa: NPY002 - the package draws from it
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - the package draws from it
    corrupt(pictures(1), "gaussian-noise", 1)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002 - the package draws from it


@pytest.mark.parametrize("severity", [0, 6, 2.5, True, "3"])
def test_other_severities(severity: object) -> None:
    with pytest.raises(InputError, match="is not a severity") as caught:
        corrupt(pictures(1), "contrast", severity, constants="cifar-10-c")  # type: ignore[arg-type]
    assert caught.value.allowed == "1, 2, 3, 4, 5"
    assert len(SEVERITIES) == 5


@pytest.mark.parametrize("severity", [3.0, np.int64(3), np.array(3), torch.tensor(3)], ids=repr)
def test_a_severity_may_be_of_any_type_of_number(severity: Any) -> None:
    expected = corrupt(pictures(1), "gaussian-noise", 3, constants="cifar-10-c")
    assert torch.equal(
        corrupt(pictures(1), "gaussian-noise", severity, constants="cifar-10-c"), expected
    )


def test_all_fifteen_are_there_for_small_images() -> None:
    for shape in ((1, 8, 8), (3, 8, 64), (1, 28, 28), (3, 32, 32), (3, 64, 64)):
        assert not [kind for kind in COMMON if obstacle(kind, "cifar-10-c", shape)]
    assert set(CORRUPTIONS) - {"spatter"} == set(KINDS)


def test_what_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="contrasts") as unknown:
        corrupt(pictures(1), "contrasts", 1)
    assert "'contrast'" in str(unknown.value.hint)
    with pytest.raises(InputError, match=r"28 x 28 pixels are too small: it takes 32 x 32"):
        corrupt(pictures(1, side=28), "contrast", 1)
    with pytest.raises(InputError, match=r"96 x 96 pixels are too large: it takes 64 x 64"):
        corrupt(pictures(1, side=96), "contrast", 1, constants="cifar-10-c")
    with pytest.raises(InputError, match="no code of its own"):
        corrupt(pictures(1), "spatter", 1, constants="cifar-10-c")
    with pytest.raises(InputError, match=r"7 x 7 pixels are too small: it takes 8 x 8"):
        corrupt(pictures(1, side=7), "snow", 1, constants="cifar-10-c")
    with pytest.raises(InputError, match="no colour"):
        corrupt(pictures(1, channels=1), "saturate", 1)
    with pytest.raises(InputError, match="no constants 'tiny'"):
        corrupt(pictures(1), "contrast", 1, constants="tiny")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"torch\.uint8"):
        corrupt(pictures(1).mul(255).to(torch.uint8), "contrast", 1)
    with pytest.raises(InputError, match="NaN"):
        corrupt(pictures(1) * float("nan"), "contrast", 1)
    with pytest.raises(InputError, match="4 channels"):
        corrupt(torch.zeros(1, 4, 32, 32), "contrast", 1)
    with pytest.raises(InputError, match="index"):
        corrupt(pictures(2), "contrast", 1, index=[1], constants="cifar-10-c")


@pytest.mark.parametrize("size", [(8, 8), (8, 64), (33, 17), (28, 28), (64, 64)], ids=str)
@pytest.mark.parametrize("kind", NATIVE)
def test_sizes_near_32_are_taken_as_they_are(kind: str, size: tuple[int, int]) -> None:
    height, width = size
    images = pictures(3, side=64)[:, :, :height, :width]
    index = torch.tensor([2**40, 0, 5])
    got = corrupt(images, kind, 5, seed=1, index=index, constants="cifar-10-c")
    assert got.shape == images.shape
    alone = corrupt(images[2:], kind, 5, seed=1, index=[5], constants="cifar-10-c")
    assert torch.equal(got[2:], alone)
