"""Corruptions by imagecorruptions, image by image, with noise of their own for each.

The package (Michaelis et al. 2019, arXiv 1907.07484) draws from NumPy's global generator, but for
two kinds: scikit-image and Numba keep generators of their own, which take a seed by argument. Both
ways are seeded here for each image, and NumPy's generator is left as it was found.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from robench.degradations.base import to_grey
from robench.degradations.corruptions import CORRUPTIONS
from robench.errors import PluginError
from robench.spec.identity import seed_for

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["INSTALL_HINT", "corrupt_by_library", "library_versions"]

_DISTRIBUTION = "imagecorruptions-imaug"
INSTALL_HINT = f"`pip install {_DISTRIBUTION}`"
"""How to get the package where robench was installed without its dependencies."""
_BESIDE = ("numpy", "scipy", "scikit-image", "opencv-python-headless", "opencv-python", "pillow")
"""Packages whose versions change pixels: OpenCV comes under either name."""
_SEEDED_BY_ARGUMENT = ("glass-blur", "impulse-noise")


def library_versions() -> dict[str, str]:
    """Versions of imagecorruptions and of what it computes with; empty where it is not there."""
    if importlib.util.find_spec("imagecorruptions") is None:
        return {}
    found: dict[str, str] = {}
    for name in (_DISTRIBUTION, *_BESIDE):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def corrupt_by_library(
    images: Tensor, kind: str, severity: int, seed: int, index: Tensor
) -> Tensor:
    """What imagecorruptions makes of each image; see `robench.degradations.corruptions.corrupt`.

    Args:
        images: float [N, C, H, W] in [0, 1], at least 32 x 32.
        kind: a name in `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of the noise.
        index: int64 [N].

    Raises:
        PluginError: it is missing, cannot be imported, or is another distribution of that name.
    """
    library = _library()
    name = kind.replace("-", "_")
    codes = images.mul(255).round().to(torch.uint8).cpu().permute(0, 2, 3, 1).numpy()
    shown = np.repeat(codes, 3, axis=3) if codes.shape[3] == 1 else codes
    out: NDArray[np.uint8] = shown.copy()
    # Where no drop falls on a small image, spatter divides by zero: that image stays as it is.
    trap: Literal["raise"] | None = "raise" if kind == "spatter" else None
    with _numpy_state_kept():
        for place, number in enumerate(index.tolist()):
            own = seed_for(seed, f"corruption {kind}", severity, number) % 2**32
            argument = {"seed": own} if kind in _SEEDED_BY_ARGUMENT else {}
            np.random.seed(own)  # noqa: NPY002 - the package draws from this generator
            image = np.ascontiguousarray(shown[place])
            with np.errstate(invalid=trap), suppress(FloatingPointError):
                out[place] = library.corrupt(image, severity, name, **argument)
    corrupted = torch.from_numpy(out).permute(0, 3, 1, 2).to(images.device, images.dtype).div_(255)
    return corrupted if images.shape[1] == 3 else _of_grey(corrupted, kind)


def _library() -> ModuleType:
    """The package, imported on first use: with OpenCV and Numba it takes a while.

    Raises:
        PluginError: it is not installed, is the unmaintained release of that name, or cannot be
            imported.
    """
    versions = library_versions()
    if _DISTRIBUTION not in versions:
        raise PluginError(
            f"the package {_DISTRIBUTION} is not installed"
            + (", but another imagecorruptions is" if versions else ""),
            allowed=f"{_DISTRIBUTION} 1.1.5 or newer, the maintained fork",
            hint=("`pip uninstall imagecorruptions`, then " if versions else "")
            + f"{INSTALL_HINT}; constants: cifar-10-c needs no package",
        )
    try:
        return importlib.import_module("imagecorruptions")
    except ImportError as error:
        # Servers without a display often lack libGL, which opencv-python asks for.
        raise PluginError(
            f"the package {_DISTRIBUTION} cannot be imported: {error}",
            hint="if a shared library of OpenCV is missing, replace opencv-python by "
            "opencv-python-headless; constants: cifar-10-c needs no package",
        ) from error


def _of_grey(corrupted: Tensor, kind: str) -> Tensor:
    """One channel again: a channel of noise has its full strength, their mean would not."""
    if CORRUPTIONS[kind].group == "noise":
        return corrupted[:, :1]
    return to_grey(corrupted).mul_(255).round_().div_(255).unsqueeze(1)


@contextmanager
def _numpy_state_kept() -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002 - it is somebody else's
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
