"""Weights from a file to a network: prefixes, normalisation, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from robench.errors import InputError, StoreError
from robench.models import build
from robench.training.weights import file_sha256, fit_weights, normalise_by, read_weights


def network(width: int = 4, seed: int = 0):
    return build(
        "mlp",
        input_shape=(3,),
        classes=2,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        params={"widths": [width]},
        seed=seed,
    )


def weights_of(model) -> dict[str, torch.Tensor]:
    return {n: t for n, t in model.state_dict().items() if not n.startswith("normalise.")}


@pytest.mark.parametrize("prefix", ["", "module.", "-body."])
def test_names_fit_but_for_a_prefix(prefix: str) -> None:
    source, target = network(seed=1), network(seed=2)
    weights = weights_of(source)
    if prefix == "-body.":
        weights = {name.removeprefix("body."): tensor for name, tensor in weights.items()}
    else:
        weights = {prefix + name: tensor for name, tensor in weights.items()}
    fit_weights(target, weights)
    rows = torch.rand(5, 3)
    assert torch.equal(source.eval()(rows), target.eval()(rows))


def test_what_does_not_fit_is_named() -> None:
    weights = weights_of(network())
    first = min(weights)
    with pytest.raises(InputError, match=first.replace(".", r"\.")):
        fit_weights(network(), {n: t for n, t in weights.items() if n != first})
    with pytest.raises(InputError, match="in the file and"):
        fit_weights(network(width=5), weights)
    with pytest.raises(InputError, match="no place for the tensor 'more'"):
        fit_weights(network(), {**weights, "more": torch.zeros(1)})
    with pytest.raises(InputError, match="nothing in the file is of MLP"):
        fit_weights(network(), {"other": torch.zeros(1)})


def test_only_safetensors_are_read(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(2)}, file)
    assert torch.equal(read_weights(file)["a"], torch.ones(2))
    save_file({"weight/a": torch.ones(2), "mask/a": torch.zeros(2)}, file)
    assert list(read_weights(file)) == ["a"]
    assert len(file_sha256(file)) == 64
    for path, words in (
        (tmp_path / "w.pt", "pickle"),
        (tmp_path / "nowhere.safetensors", "no file"),
    ):
        with pytest.raises(StoreError, match=words):
            read_weights(path)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(StoreError, match="no readable"):
        read_weights(tmp_path / "bad.safetensors")
    with pytest.raises(StoreError, match="cannot be read"):
        file_sha256(tmp_path / "nowhere")


def test_who_says_how_inputs_are_normalised() -> None:
    model = network()
    assert normalise_by(model, {}).source == "data set"
    asked = normalise_by(model, {}, mean=(0.0,), std=(1.0,))
    assert (asked.source, asked.mean, asked.std) == ("asked", (0.0,) * 3, (1.0,) * 3)
    rows = torch.rand(2, 3)
    torch.testing.assert_close(model.normalise(rows), rows)
    inside = normalise_by(network(), {"features.mean": torch.zeros(3)})
    assert inside.also == ("features.mean",)
    assert "--mean 0 --std 1" in inside.told
    for bad in ({"std": (0.0,)}, {"mean": (1.0, 2.0)}, {"std": (float("nan"),)}):
        with pytest.raises(InputError):
            normalise_by(network(), {}, **bad)
