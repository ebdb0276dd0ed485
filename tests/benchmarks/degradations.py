"""Milliseconds per image of each degradation, against NumPy and SciPy one image at a time.

The other side is what one would write from the formulas: float64, a loop over images of shape
[height, width, 3], `scipy.ndimage.gaussian_filter`. Both give three channels. One thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from robench.degradations import degrade

Image = npt.NDArray[np.float64]

CASES = [
    ("greyscale", 1.0),
    ("contrast", 0.3),
    ("uniform-noise", 0.2),
    ("salt-and-pepper", 0.2),
    ("low-pass", 1.0),
    ("low-pass", 7.0),
    ("low-pass", 40.0),
    ("high-pass", 0.4),
    ("high-pass", 3.0),
    ("rotation", 90.0),
]
BATCHES = {224: 16, 32: 128}
BORDER = 0.4423
SECONDS = 1.0


def by_image(image: Image, kind: str, level: float, random: np.random.Generator) -> Image:
    """One image, as the formulas say."""
    grey = image @ np.array([0.2125, 0.7154, 0.0721])
    plane = PLANES[kind](grey, level, random)
    return np.repeat(plane[:, :, None], 3, axis=2)


def _uniform_noise(grey: Image, level: float, random: np.random.Generator) -> Image:
    return np.clip(0.35 + 0.3 * grey + random.uniform(-level, level, grey.shape), 0, 1)


def _salt_and_pepper(grey: Image, level: float, random: np.random.Generator) -> Image:
    numbers = random.uniform(size=grey.shape)
    salted = np.where(numbers >= 1 - level / 2, 1.0, 0.35 + 0.3 * grey)
    return np.where(numbers < level / 2, 0.0, salted)


def _blur(grey: Image, level: float) -> Image:
    return np.asarray(ndimage.gaussian_filter(grey, level, mode="constant", cval=BORDER))


def _high_pass(grey: Image, level: float, _: np.random.Generator) -> Image:
    detail = grey - _blur(grey, level)
    return np.clip(detail - detail.mean() + BORDER, 0, 1)


PLANES: dict[str, Callable[[Image, float, np.random.Generator], Image]] = {
    "greyscale": lambda grey, _, __: grey,
    "contrast": lambda grey, level, _: (1 - level) / 2 + level * grey,
    "uniform-noise": _uniform_noise,
    "salt-and-pepper": _salt_and_pepper,
    "low-pass": lambda grey, level, _: np.clip(_blur(grey, level), 0, 1),
    "high-pass": _high_pass,
    "rotation": lambda grey, level, _: np.rot90(grey, round(level / 90)),
}


def interleaved_ms(first: Callable[[], object], second: Callable[[], object]) -> list[float]:
    """Median times of two rivals that take turns, so that a busy moment hits both."""
    times: list[list[float]] = [[], []]
    first(), second()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < 5:
        for rival, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            rival()
            taken.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(taken) for taken in times]


def compare(size: int, kind: str, level: float) -> tuple[float, float]:
    """Milliseconds per image, ours and theirs, on the same pixels at the same level."""
    count = BATCHES[size]
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    arrays = list(images.permute(0, 2, 3, 1).double().contiguous().numpy())
    variant = "pixels" if kind.endswith("pass") else None
    random = np.random.default_rng(0)
    ours, theirs = interleaved_ms(
        lambda: degrade(images, kind, level, variant=variant),
        lambda: [by_image(image, kind, level, random) for image in arrays],
    )
    return ours / count, theirs / count


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'degradation':<18}{'level':>6}{'size':>6}{'ours_ms':>10}{'scipy_ms':>10}{'ratio':>8}")
    for size in BATCHES:
        for kind, level in CASES:
            ours, theirs = compare(size, kind, level)
            print(
                f"{kind:<18}{level:>6g}{size:>6}{ours:>10.4f}{theirs:>10.4f}{theirs / ours:>8.1f}"
            )


if __name__ == "__main__":
    main()
