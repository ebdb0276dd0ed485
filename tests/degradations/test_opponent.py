"""Opponent colours against the chain of matrices that the paper goes through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.degradations import degrade
from robench.degradations.opponent import _nearest_entry, monitor_table
from robench.errors import InputError

CONES = np.array(
    [
        [0.1619982647, 0.208049264, 0.0389347448],
        [0.0330275785, 0.2496504557, 0.0618343518],
        [0.0015524055, 0.0198861001, 0.1890224274],
    ]
)
"""Responses of the three cones to the three channels of the monitor."""
OPPONENT = np.array(
    [
        [9.27590805, 9.27590805, 0],
        [7.86421647, -9.33587662, 0],
        [-3.39709047, -3.39709047, 12.16230246],
    ]
)
"""Luminance, L - M and S - luminance from the cones' distances to grey."""


def by_the_matrices(codes: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] to whole numbers, step by step."""
    table = monitor_table().numpy()
    grey = CONES @ [0.5, 0.5, 0.5]
    opponent = (table[codes] @ CONES.T - grey) @ OPPONENT.T
    opponent[..., 1:] *= -1
    cones = opponent @ np.linalg.inv(OPPONENT).T + grey
    light = (cones @ np.linalg.inv(CONES).T).clip(0, 1)
    return np.abs(table - light[..., None]).argmin(-1)


def test_the_monitor_table() -> None:
    table = monitor_table()
    assert table.shape == (256,)
    assert (float(table[0]), float(table[-1])) == (0.0, 1.0)
    assert (table.diff() > 0).all()
    power = torch.linspace(0, 1, 256, dtype=torch.float64) ** 1.99
    assert float((table - power).abs().max()) == pytest.approx(0.035, abs=5e-4)


@pytest.mark.data
def test_the_monitor_table_is_the_published_one(data_root) -> None:
    file = data_root.parent / "reference" / "geirhos_constants.npz"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    np.testing.assert_array_equal(monitor_table().numpy(), np.load(file)["x_gamma"])


def test_the_short_formula_is_the_long_chain() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (1, 60, 60, 3))
    images = torch.from_numpy(codes / 255).permute(0, 3, 1, 2)
    got = degrade(images, "opponent-colour", 1.0).permute(0, 2, 3, 1).mul(255).numpy()
    # The rest are ties between two entries of the table, which rounding decides.
    differs = np.abs(got - by_the_matrices(codes)) > 1e-9
    assert differs.mean() <= 2e-4
    assert np.abs(got - by_the_matrices(codes)).max() <= 1 + 1e-9


def test_the_search_finds_the_nearest_entry_and_the_lower_of_two() -> None:
    table = monitor_table()
    middle = (table[1:] + table[:-1]) / 2
    light = torch.cat(
        [torch.rand(20_000, dtype=torch.float64) ** 3, table, middle, middle.nextafter(table[1:])]
    )
    assert torch.equal(_nearest_entry(light).long(), torch.bucketize(light, middle))
    assert _nearest_entry(table).tolist() == list(range(256))
    assert _nearest_entry(torch.tensor([-0.5, 1.5]).double()).tolist() == [0, 255]


@pytest.mark.parametrize("variant", ["monitor", "srgb"])
def test_greys_stay_and_level_0_is_the_image(images: Tensor, variant: str) -> None:
    greys = (torch.arange(256) / 255).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    shown = degrade(greys, "opponent-colour", 1.0, variant=variant)
    torch.testing.assert_close(shown, greys, rtol=0, atol=1e-6)
    assert torch.equal(degrade(images, "opponent-colour", 0.0, variant=variant), images)


@pytest.mark.parametrize(("variant", "tolerance"), [("monitor", 2.5 / 255), ("srgb", 1e-6)])
def test_twice_is_once_where_nothing_is_clipped(variant: str, tolerance: float) -> None:
    """Pale colours have opposites on every monitor; a table of 256 values rounds them."""
    images = 0.5 + 0.06 * torch.rand(4, 3, 16, 16)
    once = degrade(images, "opponent-colour", 1.0, variant=variant)
    twice = degrade(once, "opponent-colour", 1.0, variant=variant)
    torch.testing.assert_close(twice, images, rtol=0, atol=tolerance)
    assert float((once - images).abs().max()) > 0.03


def test_srgb_keeps_the_luminance_of_srgb() -> None:
    images = 0.5 + 0.1 * torch.rand(4, 3, 16, 16, dtype=torch.float64)
    weights = torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64).view(3, 1, 1)
    before, after = (
        ((((x + 0.055) / 1.055) ** 2.4) * weights).sum(1)
        for x in (images, degrade(images, "opponent-colour", 1.0, variant="srgb"))
    )
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["monitor", "srgb"])
def test_primaries_become_their_opposites(variant: str) -> None:
    """Red turns bluish green, and blue turns yellow."""
    red, blue = ((0.8, 0.3, 0.3), (0.3, 0.3, 0.8))
    images = torch.tensor([red, blue]).view(2, 3, 1, 1)
    shown = degrade(images, "opponent-colour", 1.0, variant=variant).view(2, 3)
    assert shown[0, 0] < shown[0, 1]
    assert shown[1, 2] < shown[1, 0]
    torch.testing.assert_close(shown[0, 1], shown[0, 2])
    torch.testing.assert_close(shown[1, 0], shown[1, 1])


def test_the_table_rounds_to_its_256_values() -> None:
    images = torch.rand(2, 3, 8, 8)
    rounded = (images * 255).round() / 255
    shown = degrade(images, "opponent-colour", 1.0)
    assert torch.equal(shown, degrade(rounded, "opponent-colour", 1.0))
    torch.testing.assert_close(shown * 255, (shown * 255).round(), rtol=0, atol=1e-4)


def test_grey_images_have_no_opposite() -> None:
    with pytest.raises(InputError, match="images have 1 channels") as caught:
        degrade(torch.rand(1, 1, 8, 8), "opponent-colour", 1.0)
    assert caught.value.allowed == "3"
