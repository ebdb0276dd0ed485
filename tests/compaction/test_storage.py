"""To the disk and back without pickle, and clear words about files of another kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from robench.compaction import compact, load, report_of, save
from robench.errors import InputError, StoreError


def template(bias: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=bias),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 5, bias=bias),
        nn.BatchNorm1d(5, affine=False),
        nn.Linear(5, 2),
    )


@pytest.fixture
def compacted() -> nn.Module:
    torch.manual_seed(0)
    model = template().eval()
    with torch.no_grad():
        model[0].weight[1:3] = 0
        model[1].bias.fill_(0.5)  # the dead channels are constants, which need a bias to go to
        model[4].weight[2] = 0
        model[1].running_mean.normal_()
    return compact(model, torch.rand(4, 1, 4, 4))


def test_what_comes_back_is_what_was_saved(compacted: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save(compacted, path)
    fresh = template()
    loaded = load(path, fresh)
    images = torch.rand(7, 1, 4, 4)
    assert torch.equal(loaded(images), compacted(images))
    assert report_of(loaded) == report_of(compacted)
    assert repr(loaded) == repr(compacted)  # the sizes that the layers tell
    assert not loaded.training
    assert loaded[4].bias is not None
    assert fresh[0].out_channels == 6
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]


def test_a_loaded_network_can_be_trained_and_saved_again(
    compacted: nn.Module, tmp_path: Path
) -> None:
    save(compacted, tmp_path / "once")
    loaded = load(tmp_path / "once", template())
    loaded(torch.rand(3, 1, 4, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())
    save(loaded, tmp_path / "twice")
    assert torch.equal(load(tmp_path / "twice", template())[4].bias, compacted[4].bias)


def test_double_precision_stays_double(tmp_path: Path) -> None:
    save(compact(template().double().eval(), torch.rand(1, 1, 4, 4)), tmp_path / "file")
    assert load(tmp_path / "file", template())[0].weight.dtype == torch.float64


def test_header_tells_the_widths(compacted: nn.Module, tmp_path: Path) -> None:
    save(compacted, tmp_path / "file")
    with safe_open(tmp_path / "file", framework="pt") as file:
        sizes = json.loads(file.metadata()["sizes"])
    assert sizes["0"] == {"in_channels": 1, "out_channels": 4, "groups": 1}
    assert sizes["1"] == {"num_features": 4}
    assert sizes["4"] == {"in_features": 16, "out_features": 4}


def test_only_compacted_networks_are_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no compaction report"):
        save(template(), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(compacted: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(StoreError, match="cannot be written"):
        save(compacted, tmp_path / "taken" / "file")


def _missing(path: Path) -> None:
    path.unlink()


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def _foreign(path: Path) -> None:
    save_file({"0.weight": torch.ones(2)}, path, metadata={"format": "pt"})


def _bare(path: Path) -> None:
    save_file({"0.weight": torch.ones(2)}, path)


@pytest.mark.parametrize("damage", [_missing, _truncated, _foreign, _bare])
def test_files_that_hold_nothing_of_ours(
    damage: Callable[[Path], None], compacted: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    save(compacted, path)
    damage(path)
    with pytest.raises(StoreError) as caught:
        load(path, template())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (nn.Sequential(nn.Linear(4, 2)), "its layers are"),
        (template()[:5], "its layers are"),
        (nn.Sequential(nn.Linear(4, 2), *template()[1:]), "'0' is no Linear"),
        (nn.Sequential(nn.Conv2d(1, 6, 5), *template()[1:]), "size mismatch for 0.weight"),
    ],
)
def test_templates_of_another_architecture(
    other: nn.Module, words: str, compacted: nn.Module, tmp_path: Path
) -> None:
    save(compacted, tmp_path / "file")
    with pytest.raises(StoreError, match="of this architecture") as caught:
        load(tmp_path / "file", other)
    assert words in str(caught.value)


class Block(nn.Module):
    """A branch beside the identity, in front of a linear layer with inputs that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.branch = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.next, self.flatten, self.fc = nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(20, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        return self.fc(self.flatten(self.next(maps + self.branch(maps).relu())))


def test_a_changed_graph_comes_back_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Block().eval()
    with torch.no_grad():
        model.branch.weight.zero_()
        model.next.weight[2] = 0
    images = torch.rand(3, 1, 6, 6)
    compacted = compact(model, images)
    assert [edit.kind for edit in report_of(compacted).edits] == ["constant"]
    path = tmp_path / "graph.safetensors"
    save(compacted, path)
    loaded = load(path, Block())
    assert torch.equal(loaded(images), compacted(images))
    assert report_of(loaded) == report_of(compacted)
    assert "branch" not in dict(loaded.named_modules())
    with pytest.raises(StoreError, match="no compacted Sequential of this architecture"):
        load(path, template())
