"""Networks by what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.claims.networks import MissingError, Networks, differences, value
from robench.spec import Record

Made = Callable[..., list[Record]]


def test_they_are_in_the_order_of_their_seeds(made: Made) -> None:
    found = Networks(made("ssl")[::-1]).of("mlp", "dense", 0.0)
    assert [record.cell.seed for record in found] == [0, 1, 2]


def test_a_model_is_named_wholly_or_as_far_as_an_open_bracket(made: Made) -> None:
    networks = Networks(made("noiseout"))
    assert networks.methods("mlp[activation=tanh", "noiseout", 2) == [
        "noiseout",
        "noiseout[noise=none]",
    ]
    with pytest.raises(MissingError, match="0 variants"):
        networks.methods("mlp", "noiseout", 2)


def test_what_is_missing_is_said(made: Made) -> None:
    with pytest.raises(MissingError, match=r"no train record of halo at 0\.5"):
        Networks(made("halo")).of("lenet-300-100", "halo", 0.5)
    with pytest.raises(MissingError, match="has no 'mse'"):
        value(made("ssl")[0], "mse")


def test_differences_are_seed_by_seed() -> None:
    assert differences([3.0, 2.0], [1.0, 5.0]) == [2.0, -3.0]
