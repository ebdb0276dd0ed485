"""Timm's networks behind robench's door; a small timm of our own stands in where it is absent."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError, PluginError, UnknownNameError
from robench.models import MODELS, build, library_names
from robench.models.base import Network
from robench.models.timm import TimmNetwork, family

LIBRARY = """
from timm.models.nets import flexible, patchy

def list_models():
    return ["flexible", "patchy"]

def create_model(name, pretrained, **options):
    assert not pretrained
    return {"flexible": flexible, "patchy": patchy}[name](**options)
"""

NETS = """
from torch import nn

def register_model(function):
    return function

class Flexible(nn.Sequential):
    def __init__(self, num_classes, in_chans):
        pool = nn.AdaptiveAvgPool2d(1)
        head = nn.Linear(4, num_classes)
        super().__init__(nn.Conv2d(in_chans, 4, 3), pool, nn.Flatten(), head)

class Patchy(nn.Sequential):
    def __init__(self, num_classes, in_chans, img_size=(224, 224)):
        height, width = img_size
        assert height % 4 == width % 4 == 0, "patches of 4 pixels do not fit"
        features = 2 * (height // 4) * (width // 4)
        patches = nn.Conv2d(in_chans, 2, 4, stride=4)
        super().__init__(patches, nn.Flatten(), nn.Linear(features, num_classes))

@register_model
def flexible(**options):
    return Flexible(**options)

@register_model
def patchy(**options):
    return Patchy(**options)
"""


@pytest.fixture
def small_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package `timm` of two networks, in place of any that is installed."""
    (tmp_path / "timm" / "models").mkdir(parents=True)
    (tmp_path / "timm" / "__init__.py").write_text(LIBRARY)
    (tmp_path / "timm" / "models" / "__init__.py").write_text("")
    (tmp_path / "timm" / "models" / "nets.py").write_text(NETS)
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(MODELS, "_made", {})
    library_names._registered.cache_clear()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        del sys.modules[name]
    library_names._registered.cache_clear()


def timms(
    architecture: str, shape: tuple[int, ...] = (3, 16, 24), classes: int = 10, seed: int = 0
) -> Network:
    mean, std = (0.5,) * shape[0], (0.2,) * shape[0]
    name = f"timm:{architecture}"
    return build(name, input_shape=shape, classes=classes, mean=mean, std=std, seed=seed)


@pytest.mark.parametrize("architecture", ["flexible", "patchy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_built_for_the_images(small_timm: None, architecture: str, channels: int) -> None:
    network = timms(architecture, (channels, 16, 24), classes=6)
    assert isinstance(network, TimmNetwork)
    assert network(torch.rand(2, channels, 16, 24)).shape == (2, 6)
    assert network.prunable().keys() == {
        f"body.{architecture}.{place}.weight"
        for place, part in enumerate(network.get_submodule(f"body.{architecture}"))
        if isinstance(part, nn.Conv2d | nn.Linear)
    }


def test_the_same_seed_gives_the_same_weights(small_timm: None) -> None:
    first, second, other = (timms("patchy", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_images_that_do_not_fit_are_refused(small_timm: None) -> None:
    with pytest.raises(NotApplicableError, match="patches of 4 pixels do not fit"):
        timms("patchy", (3, 16, 17))
    with pytest.raises(NotApplicableError, match="timm:flexible cannot take") as caught:
        timms("flexible", (3, 2, 2))
    assert caught.value.allowed == "at least 3x3 pixels"


def test_unknown_networks_show_the_nearest(small_timm: None) -> None:
    assert "timm:patchy" in MODELS
    with pytest.raises(UnknownNameError, match="'timm:patch'") as caught:
        MODELS.get("timm:patch", where="suite.yaml:4")
    assert "did you mean 'timm:patchy'" in str(caught.value)
    with pytest.raises(UnknownNameError, match="no network of timm 'patch'"):
        family("patch")


def test_without_timm_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr(MODELS, "_made", {})
    library_names._registered.cache_clear()
    MODELS.check("timm:anything")  # it cannot be told
    with pytest.raises(PluginError, match="networks of timm cannot be had") as caught:
        MODELS.get("timm:resnet18", where="suite.yaml:4")
    assert caught.value.where == "suite.yaml:4"
    assert caught.value.hint == "pip install 'robench[timm]'"
    library_names._registered.cache_clear()


def test_the_real_timm() -> None:
    pytest.importorskip("timm", reason="the extra timm is not installed")
    importlib.invalidate_caches()
    network = timms("resnet18", (1, 32, 32))
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 10)
    assert len(network.residual_branches()) == 5
    assert timms("vit_tiny_patch16_224", (3, 32, 48)).eval()(torch.rand(1, 3, 32, 48)).shape == (
        1,
        10,
    )
