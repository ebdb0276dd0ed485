"""Files of weights: sizes are read first, and a file of another kind is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from robench.errors import StoreError
from robench.graph.weights import opened, resize, sizes_of, write_file


def network(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(width, 2)
    ).eval()


def test_a_larger_network_takes_the_sizes_and_tensors_of_a_smaller_one(tmp_path: Path) -> None:
    small, path = network(2), tmp_path / "weights.safetensors"
    write_file(path, small, {"format": "test-1"})
    large = network(6)
    with opened(path, "test-1", what="network", hint="") as (metadata, tensors):
        assert metadata["format"] == "test-1"
        resize(large, sizes_of(small), tensors)
        large.load_state_dict(tensors)
    assert sizes_of(large) == sizes_of(small)
    assert large[0].weight.shape == (2, 3, 3, 3)
    images = torch.rand(4, 3, 3, 3)
    assert torch.equal(large(images), small(images))


def test_other_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="its layers are"):
        resize(network(6), sizes_of(network(2)) | {"9": {"in_features": 1}}, {})


def test_what_does_not_fit_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_file(path, network(2), {"format": "test-1"})
    with (
        pytest.raises(StoreError, match="holds no network: its format is 'test-1'"),
        opened(path, "test-2", what="network", hint=""),
    ):
        pytest.fail("the block was entered")
    path.write_bytes(b"no tensors")
    with (
        pytest.raises(StoreError, match="no readable safetensors file"),
        opened(path, "test-1", what="network", hint=""),
    ):
        pytest.fail("the block was entered")
