"""What is refused before anything is counted or timed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robench.errors import InputError
from robench.measure import checks
from tests.networks import Net, linear_layers


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checks.check_network(3), "model is a int"),
        (lambda: checks.check_network(linear_layers(2, 2).train()), "training mode"),
        (lambda: checks.check_example(np.zeros(3)), "a ndarray"),
        (lambda: checks.check_example(torch.zeros(0, 3)), r"shape \(0, 3\)"),
        (lambda: checks.check_example(torch.zeros(2, 3).to_sparse()), "sparse"),
        (lambda: checks.check_device("tpu:7"), "no device"),
        (lambda: checks.check_device("meta"), "nothing is timed on 'meta'"),
        (lambda: checks.check_device("cuda:99"), "there is no 'cuda:99' here"),
        (lambda: checks.check_sizes([]), "no batch size"),
        (lambda: checks.check_sizes(["largest"]), "'largest' is no batch size"),
        (lambda: checks.check_sizes([0]), "a batch of 0 inputs"),
        (lambda: checks.check_memory(10**9, 10**9, torch.device("cpu")), "GiB of activations"),
        (lambda: checks.check_ways(("lazy",)), "no execution mode 'lazy'"),
        (lambda: checks.check_pairs({"a": (linear_layers(2, 2),)}, ()), "the pair 'a'"),
        (lambda: checks.answer(linear_layers(2, 2), torch.ones(1, 3)), "does not take"),
        (lambda: checks.answer(Net(lambda m, x: [x]), torch.ones(1, 3)), "returns a list"),
    ],
)
def test_what_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_whole_numbers() -> None:
    assert checks.whole_number(np.int64(3), "{}", 1) == 3
    for wrong in (True, 1.0, "3", 0, 11):
        with pytest.raises(InputError, match="not"):
            checks.whole_number(wrong, "not {}", 1, 10)


def test_what_is_right_passes() -> None:
    checks.check_network(linear_layers(2, 2))
    checks.check_example(torch.ones(1, 2))
    assert checks.check_device("cpu:0") == torch.device("cpu")
    assert checks.check_sizes([1, "saturating"]) == [1, "saturating"]
    checks.check_memory(1, 1024, torch.device("cpu"))
    rows = torch.ones(1, 2)
    assert checks.answer(Net(lambda m, x: x.add_(1)), rows).tolist() == [[2.0, 2.0]]
    assert rows.tolist() == [[1.0, 1.0]]
