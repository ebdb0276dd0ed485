"""Which data a stage has something to say about."""

from __future__ import annotations

import pytest

from robench.stages.declarations.data_kinds import classes, classified_images, tables


@pytest.mark.parametrize(
    ("data", "of_classes", "of_images", "of_tables"),
    [
        ("digits", True, True, False),
        ("breast-cancer", True, False, True),
        ("friedman1", False, False, True),
    ],
)
def test_three_kinds_of_data(premises, data, of_classes, of_images, of_tables) -> None:
    own = premises(data).data
    found = [check(own) for check in (classes, classified_images, tables)]
    assert [answer is True for answer in found] == [of_classes, of_images, of_tables]
    assert all(answer is True or answer.startswith("it is about") for answer in found)
