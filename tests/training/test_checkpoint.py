"""Checkpoints: round trips, and files that are not what they should be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from robench.errors import InputError, StoreError
from robench.methods.masks import magnitude_masks
from robench.models.base import prunable
from robench.training.checkpoint import Checkpoint


@pytest.fixture
def saved(network, tmp_path):
    model = network("convnet", widths=[4, 6])
    masks = magnitude_masks(prunable(model), 0.7)
    masks.cut(prunable(model))
    checkpoint = Checkpoint.of(model, masks, {"level": 0.7, "notes": ["a", None]})
    path = tmp_path / "deep" / "network.safetensors"
    checkpoint.save(path)
    return model, checkpoint, path


def test_what_is_read_is_what_was_written(saved, network):
    model, checkpoint, path = saved
    read = Checkpoint.load(path)
    assert read.sha256 == checkpoint.sha256
    assert read.metadata == {"level": 0.7, "notes": ["a", None]}
    for name, mask in checkpoint.masks.items():
        assert read.masks[name].dtype is torch.bool
        assert torch.equal(read.masks[name], mask)
    other = network("convnet", widths=[4, 6])
    read.apply_to(other)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(1, 7), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_masks_of_any_shape_survive_packing(shape, seed, tmp_path_factory):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.5
    path = tmp_path_factory.mktemp("masks") / "m.safetensors"
    Checkpoint({}, {"w": mask}).save(path)
    assert torch.equal(Checkpoint.load(path).masks["w"], mask)


def test_masks_take_a_bit_a_weight(saved):
    _, checkpoint, path = saved
    packed = load_file(path)
    for name, mask in checkpoint.masks.items():
        assert packed[f"mask/{name}"].dtype is torch.uint8
        assert packed[f"mask/{name}"].numel() == -(-mask.numel() // 8)


def test_a_checkpoint_is_a_copy(network):
    model = network()
    checkpoint = Checkpoint.of(model)
    before = checkpoint.sha256
    with torch.no_grad():
        model.body.fc1.weight.zero_()
    assert checkpoint.sha256 == before
    assert Checkpoint.of(model).sha256 != before


def test_the_hash_covers_masks_and_metadata(network):
    model = network()
    masks = magnitude_masks(prunable(model), 0.5)
    hashes = {
        Checkpoint.of(model).sha256,
        Checkpoint.of(model, masks).sha256,
        Checkpoint.of(model, masks, {"level": 0.5}).sha256,
    }
    assert len(hashes) == 3


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_named(saved, share):
    path = saved[2]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError) as caught:
        Checkpoint.load(path)
    assert str(path) in str(caught.value)
    assert "damaged" in str(caught.value)
    assert "trained anew" in str(caught.value)


def test_a_flipped_bit_is_found(saved):
    path = saved[2]
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not what was written"):
        Checkpoint.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StoreError, match="is not there"):
        Checkpoint.load(tmp_path / "none.safetensors")


def test_other_safetensors_are_no_checkpoints(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.ones(3)}, path)
    with pytest.raises(StoreError, match="no checkpoint of robench"):
        Checkpoint.load(path)


def test_a_folder_that_cannot_be_written_is_named(network, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        Checkpoint.of(network()).save(tmp_path / "file" / "c.safetensors")
    assert "file" in str(caught.value.where)


def test_saving_again_replaces_the_file_and_leaves_no_other(saved):
    _, _, path = saved
    Checkpoint({"w": torch.zeros(2)}).save(path)
    assert list(Checkpoint.load(path).weights) == ["w"]
    assert list(path.parent.iterdir()) == [path]


def test_another_architecture_is_refused(saved, network):
    _, checkpoint, _ = saved
    with pytest.raises(
        InputError, match=r"'body.conv1.weight' is \(4, 1, 3, 3\) in the checkpoint"
    ):
        checkpoint.apply_to(network("convnet", widths=[5, 6]))
    with pytest.raises(InputError, match="only the checkpoint has a tensor 'body"):
        checkpoint.apply_to(network("mlp"))
