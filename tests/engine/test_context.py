"""What a stage may use: its data, and the checkpoints that it reads, each with its hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from robench.data import load
from robench.engine.context import Setting, context_of, load_data
from robench.errors import StoreError
from robench.spec import NO_DATA, Cell, PluginRef
from robench.store import Store
from robench.training.checkpoint import Checkpoint


def test_data_are_those_that_were_planned_for(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    setting, store = Setting(tmp_path), Store(tmp_path)
    good = make_cell(data_sha256=load("digits").sha256)
    assert context_of(good, setting, store).data.name == "digits"
    load_data(good, setting)
    with pytest.raises(StoreError, match="changed while the suite was running"):
        load_data(make_cell(data_sha256="1" * 64), setting)
    load_data(make_cell(data=PluginRef(name=NO_DATA, version=1)), setting)


def test_a_checkpoint_is_read_when_it_is_asked_for_and_its_hash_is_noted(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    parent = make_cell(seed=5)
    model = torch.nn.Linear(2, 2)
    Checkpoint.of(model, {}).save(store.checkpoint_path(parent.id))
    read: dict[str, str] = {}
    cell = make_cell(stage="degrade", parent=parent.id)
    context = context_of(cell, Setting(tmp_path), store, read)
    assert context.donor is None
    assert read == {}
    assert context.parent is not None
    weights = context.parent().weights
    assert torch.equal(weights["weight"], model.weight)
    assert list(read) == [parent.id]
    assert len(read[parent.id]) == 64
