"""Networks by data set, network and recipe."""

from __future__ import annotations

from robench.claims.base import Evidence
from robench.claims.protocols import ahead, mean, of_seeds, protocols
from tests.claims.noise import logits, published


def test_one_for_each_recipe_with_the_accuracy_of_guessing() -> None:
    [protocol] = protocols(Evidence(published(), logits))
    assert protocol.name == "sixteen · mlp · nan + 800 steps"
    assert protocol.chance == 1 / 16
    clean = of_seeds(protocol.at_published_levels, training="none", test="clean")
    assert sorted(clean) == [0, 1, 2]


def test_without_degraded_images_there_is_none() -> None:
    records = [record for record in published() if record.cell.stage == "train"]
    assert list(protocols(Evidence(records, logits))) == []


def test_differences_and_means() -> None:
    assert ahead({0: 3.0, 1: 1.0}, {1: 0.5, 2: 9.0}) == [0.5]
    assert mean({0: 1.0, 1: 2.0}) == "1.500"
    assert mean({}) == "missing"
