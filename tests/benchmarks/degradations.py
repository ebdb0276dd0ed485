"""Milliseconds per image of each degradation, against NumPy and SciPy one image at a time.

The other side is what one would write from the formulas: float64, a loop over images of shape
[height, width, 3]. Both give three channels. One thread, whose own processor time is taken: it is
the time that passes where nothing else runs, and hardly changes where something does.
"""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from robench.degradations import DEGRADATIONS, degrade
from robench.degradations.opponent import monitor_table
from robench.degradations.power import natural_spectrum

Image = npt.NDArray[np.float64]

CASES = [
    ("greyscale", 1.0),
    ("contrast", 0.3),
    ("uniform-noise", 0.2),
    ("salt-and-pepper", 0.2),
    ("low-pass", 1.0),
    ("low-pass", 3.0),
    ("low-pass", 7.0),
    ("low-pass", 15.0),
    ("low-pass", 40.0),
    ("high-pass", 0.4),
    ("high-pass", 0.7),
    ("high-pass", 1.0),
    ("high-pass", 3.0),
    ("phase-noise", 90.0),
    ("power-equalisation", 1.0),
    ("opponent-colour", 1.0),
    ("rotation", 90.0),
    ("eidolon-1", 32.0),
    ("eidolon-2", 32.0),
    ("eidolon-3", 32.0),
]
SIZES = (224, 32)
BORDER = 0.4423
SECONDS = 1.0
EIDOLON_SIZE = 256
COHERENCES = {"eidolon-1": 1.0, "eidolon-2": 0.3, "eidolon-3": 0.0}


def by_image(image: Image, kind: str, level: float, random: np.random.Generator) -> Image:
    """One image, as the formulas say."""
    if kind == "opponent-colour":
        return _opponent_colour(image)
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


def _phase_noise(grey: Image, level: float, random: np.random.Generator) -> Image:
    spectrum = np.fft.fftshift(np.fft.fft2(grey))
    amplitude, phase = np.abs(spectrum), np.angle(spectrum)
    turned = phase[1:, 1:].ravel()
    half = turned.size // 2
    shift = random.uniform(-1, 1, half) * np.radians(level)
    turned[:half] += shift
    turned[half + 1 :] -= shift[::-1]
    phase[1:, 1:] = turned.reshape(phase[1:, 1:].shape)
    turned_spectrum = np.fft.ifftshift(amplitude * np.exp(1j * phase))
    return np.clip(np.fft.ifft2(turned_spectrum).real, 0, 1)


def _power_equalisation(grey: Image, _: float, __: np.random.Generator) -> Image:
    phase = np.angle(np.fft.fftshift(np.fft.fft2(grey)))
    spectrum = np.fft.ifftshift(AMPLITUDES[len(grey)] * np.exp(1j * phase))
    return np.clip(np.fft.ifft2(spectrum).real, 0, 1)


def _whole_spectrum(size: int) -> Image:
    impulse = torch.fft.irfft2(natural_spectrum(size, size), s=(size, size)).numpy()
    return np.abs(np.fft.fftshift(np.fft.fft2(impulse)))


AMPLITUDES = {size: _whole_spectrum(size) for size in SIZES}

CONES = np.array(
    [
        [0.1619982647, 0.208049264, 0.0389347448],
        [0.0330275785, 0.2496504557, 0.0618343518],
        [0.0015524055, 0.0198861001, 0.1890224274],
    ]
)
OPPONENT = np.array(
    [
        [9.27590805, 9.27590805, 0],
        [7.86421647, -9.33587662, 0],
        [-3.39709047, -3.39709047, 12.16230246],
    ]
)
TABLE = monitor_table().numpy()


def _opponent_colour(image: Image) -> Image:
    grey = CONES @ [0.5, 0.5, 0.5]
    opponent = (TABLE[np.rint(image * 255).astype(int)] @ CONES.T - grey) @ OPPONENT.T
    opponent[..., 1:] *= -1
    light = (opponent @ np.linalg.inv(OPPONENT).T + grey) @ np.linalg.inv(CONES).T
    # Row by row, for the distances to all entries of the table would not fit into the caches.
    nearest = [np.abs(TABLE - row[..., None]).argmin(-1) for row in light.clip(0, 1)]
    return np.stack(nearest) / 255


def _convolved(plane: Image, sigma: float) -> Image:
    kernel = np.fft.fftfreq(len(plane), 1 / len(plane))
    kernel = np.exp(-(kernel**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
    spectrum = np.fft.rfft2(plane) * np.fft.rfft2(np.outer(kernel, kernel))
    return np.fft.irfft2(spectrum, s=plane.shape)


def _eidolon(coherence: float, grey: Image, reach: float, random: np.random.Generator) -> Image:
    size = len(grey)
    padded = np.pad(255 * grey, size // 2, mode="symmetric")
    smoothing = [2 ** ((k - 1) / 2) for k in range(math.ceil(2 * math.log2(size / 4)))]
    blurred = [*(_convolved(padded, sigma) for sigma in smoothing), np.zeros_like(padded)]

    def noise(sigma: float) -> Image:
        numbers = random.standard_normal(padded.shape)
        numbers = np.clip(127.5 * numbers / np.abs(numbers).max(), -127, 127)
        return _convolved(numbers, sigma)

    def together() -> Image:
        planes = np.stack([noise(sigma) * sigma / (size / 4) for sigma in smoothing])
        return planes[::-1].cumsum(0)[::-1]

    coherent = together(), together()
    here = np.arange(2 * size)
    out = np.zeros_like(padded)
    for number in range(len(smoothing)):
        down, across = (
            (1 - coherence) * noise(10.0) + coherence * planes[number] for planes in coherent
        )
        rows = np.clip(here[:, None] + reach * down, 0, 2 * size - 1).astype(int)
        columns = np.clip(here + reach * across, 0, 2 * size - 1).astype(int)
        out += (blurred[number] - blurred[number + 1])[rows, columns]
    inner = slice(size // 2, size // 2 + size)
    return np.clip(out[inner, inner] / 255, 0, 1)


PLANES: dict[str, Callable[[Image, float, np.random.Generator], Image]] = {
    "greyscale": lambda grey, _, __: grey,
    "contrast": lambda grey, level, _: (1 - level) / 2 + level * grey,
    "uniform-noise": _uniform_noise,
    "salt-and-pepper": _salt_and_pepper,
    "low-pass": lambda grey, level, _: np.clip(_blur(grey, level), 0, 1),
    "high-pass": _high_pass,
    "phase-noise": _phase_noise,
    "power-equalisation": _power_equalisation,
    "rotation": lambda grey, level, _: np.rot90(grey, round(level / 90)),
    **{kind: partial(_eidolon, coherence) for kind, coherence in COHERENCES.items()},
}


def interleaved_ms(first: Callable[[], object], second: Callable[[], object]) -> list[float]:
    """Median processor times of two rivals that take turns, so that a busy moment hits both."""
    times: list[list[float]] = [[], []]
    first(), second()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < 5:
        for rival, taken in zip((first, second), times, strict=True):
            start = time.process_time()
            rival()
            taken.append((time.process_time() - start) * 1e3)
    return [statistics.median(taken) for taken in times]


def compare(size: int, kind: str, level: float) -> tuple[float, float]:
    """Milliseconds per image, ours and theirs, on the same pixels at the same level."""
    count = batch(size, kind)
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    arrays = list(images.permute(0, 2, 3, 1).double().contiguous().numpy())
    variant = "pixels" if kind.endswith("pass") else None
    random = np.random.default_rng(0)
    few = arrays[:1] if kind in COHERENCES else arrays
    ours, theirs = interleaved_ms(
        lambda: degrade(images, kind, level, variant=variant),
        lambda: [by_image(image, kind, level, random) for image in few],
    )
    return ours / count, theirs / len(few)


def batch(size: int, kind: str) -> int:
    if size == 32:
        return 128
    return 4 if kind in COHERENCES else 16


def conditions() -> Iterator[tuple[int, str, float]]:
    for size in SIZES:
        for kind, level in CASES:
            yield (EIDOLON_SIZE if size > 32 and kind in COHERENCES else size), kind, level


def everything(count: int = 1000, size: int = 32) -> tuple[float, float]:
    """Seconds for all kinds at all levels, and by how many MiB the memory grew meanwhile."""
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    for kind, levels in DEGRADATIONS.items():
        for level in levels:
            degrade(images, kind, level)
    seconds = time.perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    for count in (1000, 4000):
        seconds, mebibytes = everything(count)
        print(
            f"all kinds and levels on {count:,} images of 32 x 32: {seconds:.1f} s, "
            f"memory +{mebibytes:.0f} MiB"
        )
    print(f"{'degradation':<20}{'level':>6}{'size':>6}{'ours_ms':>10}{'scipy_ms':>10}{'ratio':>8}")
    for size, kind, level in conditions():
        ours, theirs = compare(size, kind, level)
        print(f"{kind:<20}{level:>6g}{size:>6}{ours:>10.4f}{theirs:>10.4f}{theirs / ours:>8.1f}")


if __name__ == "__main__":
    main()
