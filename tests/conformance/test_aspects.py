"""Reading what is shared by a process, and putting it back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from robench.conformance.aspects import Process, change

CHANGES = {
    "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the default device": lambda: torch.set_default_device("meta"),
    "the number of torch threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "the grad mode": lambda: torch.set_grad_enabled(False),
    "the determinism flag": lambda: torch.use_deterministic_algorithms(True),
    "torch's global generator": lambda: torch.rand(1),
    "numpy's global generator": np.random.random,
    "random's global generator": random.random,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_alone_and_undone(name):
    process, before = Process(), Process.read()
    try:
        CHANGES[name]()
        after = Process.read()
    finally:
        process.restore()
    assert [key for key in before if before[key] != after[key]] == [name]
    assert Process.read() == before


def test_nothing_else_is_read():
    assert set(Process.read()) == set(CHANGES)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"x": 1}, {"x": 2}, "x is 2, was 1"),
        ({}, {"x": 2}, "there is something new: x"),
        ({"x": 1}, {}, "something is gone: x"),
        ({"x": b"a"}, {"x": b"b"}, "x changed"),
        ({"x": frozenset("ab")}, {"x": frozenset("bc")}, "x have changed: 'c' is new, 'a' is gone"),
    ],
)
def test_a_change_in_words(before, after, words):
    assert change("x", before, after) == words
