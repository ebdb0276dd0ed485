"""`robench evaluate` as a user meets it: a file of weights that somebody else trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from robench._torchvision import import_torchvision
from robench.store import Store

MODEL = "{name: mlp, widths: [12]}"


@pytest.fixture
def evaluate(robench, tiny, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """``evaluate(file, "--model", …)`` with the tiny suite, into ``r``."""
    suite = tiny(evaluate="{degrade: {kinds: [contrast], samples: 20}}")

    def run(file: object, *words: object) -> tuple[int, str, str]:
        rest = [*words]
        if "--suite" not in words:
            rest += ["--suite", suite]
        return robench("evaluate", file, *rest, "--results", tmp_path / "r", "--jobs", "0")

    return run


@pytest.fixture
def weights(network, tmp_path: Path) -> Path:
    """A small network with some dead neurons, saved as plain torch has it."""
    model = network("mlp", widths=[12])
    with torch.no_grad():
        model.body.fc1.weight[3:7] = 0
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_figures_are_shown_kept_and_drawn(evaluate, robench, weights: Path, tmp_path: Path) -> None:
    status, out, err = evaluate(weights, "--model", MODEL, "--name", "ours")
    assert status == 0, err
    assert "given[weights=ours]" in out
    assert "2 cells to do" in err
    records = Store(tmp_path / "r").records()
    assert {record.cell.stage: record.status for record in records} == {
        "train": "ok",
        "degrade": "ok",
    }
    (train,) = (record for record in records if record.cell.stage == "train")
    status, out, _ = robench("show", train.id, "--results", tmp_path / "r")
    assert status == 0
    assert "'weights': 'ours'" in out
    assert "accuracy" in out
    assert robench("board", tmp_path / "r", "--out", tmp_path / "board")[0] == 0
    readme = (tmp_path / "board" / "README.md").read_text()
    assert "given\\[weights=ours\\]" in readme
    assert "100.0% of the applicable cells" in readme
    assert "†" not in readme.partition("| --- |")[2]


def test_a_second_time_nothing_is_left_to_do(evaluate, weights: Path) -> None:
    evaluate(weights, "--model", MODEL)
    status, _, err = evaluate(weights, "--model", MODEL)
    assert status == 0
    assert "0 cells to do, 2 already there" in err


def test_a_network_of_torchvision_that_was_trained_in_parallel(evaluate, tmp_path: Path) -> None:
    """Saved from ``DataParallel``, whose names begin with ``module.``"""
    model = import_torchvision().models.squeezenet1_1(weights=None, num_classes=10)
    model.features[0] = nn.Conv2d(1, 64, 3, 2)
    state = nn.DataParallel(model).state_dict()
    assert all(name.startswith("module.") for name in state)
    save_file(state, tmp_path / "theirs.safetensors")
    words = ("--model", "torchvision:squeezenet1_1", "--mean", "0.5", "--std", "0.25")
    status, out, err = evaluate(tmp_path / "theirs.safetensors", *words)
    assert status == 0, err
    assert "torchvision:squeezenet1_1" in out


def test_a_checkpoint_of_robench(evaluate, robench, tiny, tmp_path: Path) -> None:
    robench("run", tiny(), "--results", tmp_path / "own", "--jobs", "0")
    records = Store(tmp_path / "own").records()
    sparse = next(record for record in records if record.cell.method.name == "magnitude")
    file = Store(tmp_path / "own").checkpoint_path(sparse.id)
    status, _, err = evaluate(file, "--model", "{name: mlp, widths: [16]}", "--name", "copy")
    assert status == 0, err
    (again,) = (r for r in Store(tmp_path / "r").records() if r.cell.stage == "train")
    for name in ("accuracy", "level_achieved"):
        assert again.metric(name).value == sparse.metric(name).value


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (
            ["--model", "{name: mlp, widths: [13]}"],
            "'body.fc1.bias' is (12,) in the file",
            "classes",
        ),
        (["--model", "convnet"], "nothing in the file is of ConvNet: it has 'body.fc1", "--model"),
        (["--model", "mpl"], "there is no model 'mpl'", "did you mean 'mlp'"),
        (["--model", "{name: mlp, width: [12]}"], "no parameter 'width'", "'widths'"),
        (["--model", "{nme: mlp}"], "names no model", "{name: mlp, widths: [64]}"),
        (["--model", "{name: mlp"], "cannot be read", "{name: mlp, widths: [64]}"),
        (["--model", MODEL, "--mean", "0.5,x"], "--mean '0.5,x' is no list", "0.485,0.456"),
        (["--model", MODEL, "--mean", "0.5,0.5"], "2 values of the mean do not go with", "1 value"),
        (["--model", MODEL, "--std", "0"], "the std 0.0 cannot be used", "above 0"),
        (["--model", MODEL, "--dataset", "mnist"], "'tiny' has no data set 'mnist'", "digits"),
        (
            ["--model", MODEL, "--suite", "alexnet-speed"],
            "'alexnet-speed' has no data sets",
            "robench list suites",
        ),
    ],
)
def test_mistakes_are_one_message_before_any_work(
    evaluate, weights: Path, tmp_path: Path, words, message, remedy
) -> None:
    status, _, err = evaluate(weights, *words)
    assert status == 2
    assert message in err
    assert remedy in err
    assert Store(tmp_path / "r").records() == []


def test_a_wrong_number_of_classes(evaluate, network, tmp_path: Path) -> None:
    model = network("mlp", widths=[12])
    state = {**model.state_dict(), "body.fc2.weight": torch.zeros(7, 12)}
    save_file(state, tmp_path / "seven.safetensors")
    status, _, err = evaluate(tmp_path / "seven.safetensors", "--model", MODEL)
    assert status == 2
    assert "(7, 12) in the file and (10, 12) in MLP" in err


def test_files_that_hold_no_weights(evaluate, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no weights at all")
    torch.save({"a": torch.zeros(1)}, tmp_path / "theirs.pt")
    for name, message in (
        ("nowhere.safetensors", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("text.safetensors", "no readable safetensors file"),
        ("theirs.pt", "is a pickle"),
    ):
        status, _, err = evaluate(tmp_path / name, "--model", MODEL)
        assert status == 2
        assert message in err
        assert "next:" in err or name == "text.safetensors"
