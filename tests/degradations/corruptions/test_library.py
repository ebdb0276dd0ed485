"""imagecorruptions behind the front door."""

from __future__ import annotations

import sys

import imagecorruptions
import numpy as np
import pytest
import torch

from robench.degradations.corruptions import corrupt, library
from robench.degradations.corruptions.library import library_versions
from robench.errors import PluginError
from robench.spec.identity import seed_for


def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, 40, 36), generator=generator).float() / 255


@pytest.mark.parametrize("kind", ["gaussian-noise", "impulse-noise", "glass-blur", "fog"])
def test_the_pixels_are_the_librarys(kind: str) -> None:
    own = seed_for(4, f"corruption {kind}", 2, 17) % 2**32
    seed = {"seed": own} if kind in ("impulse-noise", "glass-blur") else {}
    np.random.seed(own)  # noqa: NPY002 - the package draws from it
    pixels = image()[0].mul(255).round().byte().permute(1, 2, 0).numpy().copy()
    want = imagecorruptions.corrupt(pixels, 2, kind.replace("-", "_"), **seed)
    got = corrupt(image(), kind, 2, seed=4, index=[17])
    assert np.array_equal(got[0].mul(255).round().byte().permute(1, 2, 0).numpy(), want)


def test_grey_noise_has_its_full_strength() -> None:
    grey = torch.full((20, 1, 32, 32), 0.5)
    assert float(corrupt(grey, "gaussian-noise", 1).std()) == pytest.approx(0.08, rel=0.05)


def test_spatter_without_a_drop_leaves_the_image() -> None:
    small = torch.full((30, 3, 32, 32), 128 / 255)
    got = corrupt(small, "spatter", 1)
    untouched = (got == small).flatten(1).all(1)
    assert untouched.any()  # or else this test asks for nothing
    assert float(got.min()) > 0.4  # and none has become black


def test_versions_are_known() -> None:
    versions = library_versions()
    assert {"imagecorruptions-imaug", "numpy", "scipy", "scikit-image", "pillow"} <= set(versions)
    assert any(name.startswith("opencv") for name in versions)


def test_without_the_package_the_message_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(library, "library_versions", dict)
    with pytest.raises(PluginError, match="not installed") as caught:
        corrupt(image(), "fog", 1)
    assert str(caught.value.hint).startswith("`pip install imagecorruptions-imaug`")


def test_of_the_unmaintained_release_the_message_says_to_remove_it(monkeypatch) -> None:
    monkeypatch.setattr(library, "library_versions", lambda: {"numpy": "2.0"})
    with pytest.raises(PluginError, match="another imagecorruptions is") as caught:
        corrupt(image(), "fog", 1)
    assert str(caught.value.hint).startswith("`pip uninstall imagecorruptions`")


def test_a_package_that_does_not_import_is_told_from_one_that_is_missing(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "imagecorruptions"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where libGL is not there
    with pytest.raises(PluginError, match="cannot be imported") as caught:
        corrupt(image(), "fog", 1)
    assert "opencv-python-headless" in str(caught.value.hint)
