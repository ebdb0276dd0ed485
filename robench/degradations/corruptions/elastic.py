"""Elastic transforms: the image sheared and stretched, and each pixel moved a little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.degradations.random import Noise

__all__ = ["affine_maps", "displacements", "elastic_transform"]

_TRUNCATE = 3.0
_CORNERS = 6
"""Coordinates of the three points that fix an affine map."""


def elastic_transform(images: Tensor, constant: tuple[float, float, float], noise: Noise) -> Tensor:
    """An affine map that is the image's own, and then a field of smooth displacements.

    Of three points about the middle, each goes to a random place up to `shift` away, and the plane
    with them. Each pixel of what comes out is then taken from a place a little beside. Both steps
    interpolate linearly, and beyond the border the image is mirrored.

    Args:
        images: float64 [N, C, H, W].
        constant: strength and smoothness of the displacements, and `shift`, each a share of the
            shorter side.
        noise: of the maps and the displacements.
    """
    height, width = images.shape[2:]
    alpha, sigma, shift = (share * min(height, width) for share in constant)
    uniform = noise.uniform(_CORNERS + 2 * height * width).double().cpu().numpy() * 2 - 1
    maps = affine_maps(uniform[:, :_CORNERS].reshape(-1, 3, 2) * shift, height, width)
    fields = uniform[:, _CORNERS:].reshape(-1, 2, height, width)
    moves = displacements(fields, alpha, sigma)
    grid = np.indices((height, width), dtype=np.float64)
    out = images.cpu().numpy().copy()
    for place, image in enumerate(out):
        matrix, offset = maps[place, :, :2], maps[place, :, 2]
        for plane in image:
            # "mirror" shows the edge once, "reflect" twice: so the published code's two steps.
            mapped = ndimage.affine_transform(plane, matrix, offset, order=1, mode="mirror")
            if alpha:
                where = grid + moves[place]
                mapped = ndimage.map_coordinates(mapped, where, order=1, mode="reflect")
            plane[:] = mapped
    return torch.from_numpy(out).to(images.device)


def affine_maps(moves: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """The maps from places in the new image to places in the old one.

    Args:
        moves: [N, 3, 2], how far each of the three points goes: down, and to the right.
        height: of the images.
        width: of the images.

    Returns:
        [N, 2, 3]: a matrix, and beside it an offset, for (row, column).
    """
    third = min(height, width) // 3
    middle = np.array([height // 2, width // 2], dtype=np.float64)
    before = middle + third * np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    after = before + moves
    ones = np.ones((len(moves), 3, 1))
    # For each image: [row, column, 1] of the three new places times the map gives the old ones.
    solved = np.linalg.solve(
        np.concatenate([after, ones], axis=2), np.broadcast_to(before, after.shape)
    )
    return np.ascontiguousarray(solved.transpose(0, 2, 1))


def displacements(fields: NDArray[np.float64], alpha: float, sigma: float) -> NDArray[np.float64]:
    """Fields of white noise, smoothed and scaled.

    Args:
        fields: [N, 2, H, W], uniform in [-1, 1).
        alpha: what the smoothed noise is multiplied by, in pixels.
        sigma: standard deviation of the Gaussian that smooths it, in pixels.
    """
    if not alpha:
        return np.zeros_like(fields)
    axes = (0.0, 0.0, sigma, sigma)
    smooth: NDArray[np.float64] = ndimage.gaussian_filter(
        fields, axes, mode="reflect", truncate=_TRUNCATE
    )
    return smooth * alpha
