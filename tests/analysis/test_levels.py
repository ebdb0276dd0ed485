"""Which levels count in a mean: those whose picture is the kind's own, seen in the pixels."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from robench.analysis.levels import shows_own_picture, shows_reference_alone
from robench.degradations import DEGRADATIONS, degrade


def test_the_noise_free_level_of_noise_is_a_picture_that_two_kinds_share() -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    levels = pd.DataFrame(
        [
            (kind, level)
            for kind in ("uniform-noise", "salt-and-pepper")
            for level in DEGRADATIONS[kind]
        ],
        columns=["kind", "test_level"],
    )
    own = shows_own_picture(levels)
    assert own.index.equals(levels.index)
    shared = levels[~own]
    pictures = [
        degrade(image, kind, level, seed=0)
        for kind, level in shared.itertuples(index=False, name=None)
    ]
    assert set(shared["kind"]) == {"uniform-noise", "salt-and-pepper"}
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)


def test_greyscale_shows_nothing_of_its_own() -> None:
    assert shows_reference_alone("greyscale")
    assert not shows_reference_alone("contrast")


@pytest.mark.parametrize("kind", ["of-somebody-else"])
def test_of_a_kind_that_is_not_known_all_levels_count(kind: str) -> None:
    assert shows_own_picture(pd.DataFrame({"kind": [kind], "test_level": [0.0]})).all()
    assert not shows_reference_alone(kind)
