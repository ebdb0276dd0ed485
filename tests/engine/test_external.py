"""Networks that robench did not train."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import robench
from robench.data import load
from robench.engine.progress import Silent
from robench.errors import InputError, StoreError, UsageError
from robench.training.evaluate import predict
from robench.training.weights import fit_weights, normalise_by, read_weights


@pytest.fixture
def trained(network):
    """A network with some zeros, as if somebody else had trained it."""
    model = network("mlp", widths=[12])
    with torch.no_grad():
        model.body.fc1.weight[3:7] = 0
    return model.eval()


@pytest.fixture
def evaluate(tiny, tmp_path):
    """``evaluate(path, **options)``: with the tiny suite."""
    suite = tiny(evaluate="{speed: {batch_sizes: [4]}, degrade: {kinds: [contrast], samples: 20}}")

    def run(path, **options):
        choice = {"name": "mlp", "widths": [12]}
        return robench.evaluate(
            path, model=choice, suite=suite, results=tmp_path / "r", jobs=0, progress=Silent(),
            **options,
        )  # fmt: skip

    return run


def of_stage(results, stage):
    (record,) = (record for record in results.records if record.cell.stage == stage)
    return record


def test_its_figures_are_those_of_the_network(trained, evaluate, tmp_path) -> None:
    save_file(trained.state_dict(), tmp_path / "mine.safetensors")
    results = evaluate(tmp_path / "mine.safetensors")
    assert {record.cell.stage for record in results.records} == {"train", "speed", "degrade"}
    record = of_stage(results, "train")
    test = load("digits").test
    right = int((predict(trained, test.images).argmax(1) == test.labels).sum())
    assert record.metric("accuracy").value == right / len(test)
    zeros = sum(int((w == 0).sum()) for w in (trained.body.fc1.weight, trained.body.fc2.weight))
    total = trained.body.fc1.weight.numel() + trained.body.fc2.weight.numel()
    assert record.metric("level_achieved").value == zeros / total
    assert record.cell.method.label == "given[weights=mine]"
    assert of_stage(results, "degrade").status == "ok"
    compacted = of_stage(results, "speed").details["compaction"]
    assert compacted["layers"][0]["units_after"] == 8
    assert str(tmp_path) not in record.model_dump_json()  # where it lay is nobody's business


def test_another_file_is_another_network_and_the_same_file_is_not(
    trained, evaluate, tmp_path
) -> None:
    save_file(trained.state_dict(), tmp_path / "mine.safetensors")
    first = {record.id for record in evaluate(tmp_path / "mine.safetensors").records}
    (tmp_path / "elsewhere").mkdir()
    save_file(trained.state_dict(), tmp_path / "elsewhere" / "mine.safetensors")
    again = evaluate(tmp_path / "elsewhere" / "mine.safetensors")
    assert {record.id for record in again.records} == first
    assert again.run.done == 0
    with torch.no_grad():
        trained.body.fc2.bias[0] += 1
    save_file(trained.state_dict(), tmp_path / "mine.safetensors")
    assert not first & {record.id for record in evaluate(tmp_path / "mine.safetensors").records}


@pytest.mark.parametrize("prefix", ["", "module.", "body."])
def test_names_may_have_another_prefix(trained, network, prefix) -> None:
    own = {name.removeprefix("body."): value for name, value in trained.state_dict().items()}
    theirs = {prefix + name: value for name, value in own.items() if "normalise" not in name}
    other = network("mlp", widths=[12])
    fit_weights(other, theirs)
    assert torch.equal(other.body.fc1.weight, trained.body.fc1.weight)
    assert torch.equal(other.normalise.mean, trained.normalise.mean)


def test_what_the_network_normalises_by_may_be_said(trained, evaluate, tmp_path) -> None:
    weights = {n: v for n, v in trained.state_dict().items() if "normalise" not in n}
    save_file(weights, tmp_path / "mine.safetensors")
    results = evaluate(tmp_path / "mine.safetensors", mean=[0.5], std=[0.25], name="own")
    with torch.no_grad():
        trained.normalise.mean.fill_(0.5)
        trained.normalise.std.fill_(0.25)
    test = load("digits").test
    right = int((predict(trained, test.images).argmax(1) == test.labels).sum())
    record = of_stage(results, "train")
    assert record.metric("accuracy").value == right / len(test)
    assert record.cell.method.label == "given[weights=own]"


class Noted(Silent):
    """Keeps what a person would read."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("in_file", "asked", "source", "mean", "words"),
    [
        (False, {}, "data set", None, "--mean and --std say otherwise"),
        (True, {}, "file", 0.125, "as the file of the weights says"),
        (False, {"mean": [0], "std": [1]}, "asked", 0.0, "mean 0 and standard deviation 1, as"),
        (True, {"mean": [0], "std": [1]}, "asked", 0.0, "as asked for"),
    ],
)
def test_it_is_said_what_inputs_are_normalised_by(
    trained, tiny, tmp_path, in_file, asked, source, mean, words
) -> None:
    of_data = load("digits").mean[0]
    trained.normalise.mean.fill_(0.125)
    weights = {n: v for n, v in trained.state_dict().items() if in_file or "normalise" not in n}
    save_file(weights, tmp_path / "mine.safetensors")
    noted = Noted()
    results = robench.evaluate(
        tmp_path / "mine.safetensors", model={"name": "mlp", "widths": [12]}, suite=tiny(),
        results=tmp_path / "r", jobs=0, progress=noted, **asked,
    )  # fmt: skip
    told = of_stage(results, "train").details["normalisation"]
    expected = of_data if mean is None else mean
    assert (told["source"], told["mean"]) == (source, [pytest.approx(expected)])
    (note,) = (note for note in noted.notes if "normalised" in note)
    assert note.startswith("digits: inputs are normalised by mean ")
    assert words in note
    trained.normalise.mean.fill_(expected)
    trained.normalise.std.fill_(told["std"][0])
    test = load("digits").test
    right = int((predict(trained, test.images).argmax(1) == test.labels).sum())
    assert of_stage(results, "train").metric("accuracy").value == right / len(test)


def test_a_network_that_seems_to_normalise_by_itself_is_told(trained) -> None:
    weights = {**trained.state_dict(), "body.0.mean": torch.zeros(1)}
    del weights["normalise.mean"], weights["normalise.std"]
    assert "'body.0.mean'" in normalise_by(trained, weights).told
    assert "--mean 0 --std 1" in normalise_by(trained, weights).told


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mean": [0.1, 0.2]}, "2 values of the mean do not go with 1 channels"),
        ({"std": [0]}, "the std 0 cannot be used"),
        ({"mean": [float("nan")]}, "the mean nan cannot be used"),
    ],
)
def test_statistics_that_cannot_be_used_are_refused(
    trained, evaluate, tmp_path, asked, words
) -> None:
    save_file(trained.state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match=words):
        evaluate(tmp_path / "mine.safetensors", **asked)


def test_a_checkpoint_of_robench_is_read_too(trained, tmp_path) -> None:
    from robench.training.checkpoint import Checkpoint

    masks = {"body.fc1.weight": trained.body.fc1.weight != 0}
    Checkpoint.of(trained, masks).save(tmp_path / "own.safetensors")
    weights = read_weights(tmp_path / "own.safetensors")
    assert weights.keys() == trained.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("body.fc2.bias"), "no tensor for 'body.fc2.bias' of MLP"),
        (lambda w: w.update(extra=torch.zeros(1)), "no place for the tensor 'extra'"),
        (
            lambda w: w.update({"body.fc1.bias": torch.zeros(5)}),
            r"is \(5,\) in the file and \(12,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_any_work(
    trained, evaluate, tmp_path, change, words
) -> None:
    weights = dict(trained.state_dict())
    change(weights)
    save_file(weights, tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match=words):
        evaluate(tmp_path / "mine.safetensors")
    assert not list((tmp_path / "r").rglob("*.json"))


def test_files_that_hold_no_weights(trained, evaluate, tmp_path) -> None:
    torch.save(trained.state_dict(), tmp_path / "mine.pt")
    with pytest.raises(StoreError, match="is a pickle") as caught:
        read_weights(tmp_path / "mine.pt")
    assert "save_file(torch.load('mine.pt', weights_only=True)" in str(caught.value)
    with pytest.raises(StoreError, match="cannot be read"):
        evaluate(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights at all")
    with pytest.raises(StoreError, match="no readable safetensors file"):
        evaluate(tmp_path / "text.safetensors")


def test_a_data_set_that_the_suite_does_not_have(trained, evaluate, tmp_path) -> None:
    save_file(trained.state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(UsageError, match="no data set 'mnist'"):
        evaluate(tmp_path / "mine.safetensors", dataset="mnist")
