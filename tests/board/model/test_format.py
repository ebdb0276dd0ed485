from __future__ import annotations

import pytest

from robench.board.model.estimates import Estimate
from robench.board.model.format import distance, interval, level, percent, points, ratio, slug
from robench.board.model.versions import Method
from robench.board.render.theme import DARK, LIGHT, chart_config, styles


def kinds(*names: str) -> list[Method]:
    return [Method(label=name, name=name) for name in names]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (percent(0.9764), "97.6"),
        (level(0.9), "90"),
        (level(0.9995), "99.95"),
        (level(0.57), "57"),
        (points(-0.0044), "−0.4"),
        (points(0.0123), "+1.2"),
        (points(-0.0001), "0.0"),
        (distance(1.234), "1.23"),
        (distance(0.0453), "0.045"),
        (distance(0.0), "0.00"),
        (ratio(2.313), "2.31"),
        (ratio(54.04), "54.0"),
        (ratio(540.4), "540"),
        (slug("MLP [hidden=(1, 2)]"), "mlp-hidden-1-2"),
        (slug("../../etc"), "etc"),
        (slug("«»"), "unnamed"),
    ],
)
def test_numbers_as_people_read_them(written: str, expected: str) -> None:
    assert written == expected


def test_an_interval_needs_both_bounds() -> None:
    assert interval(Estimate(0.5, 0.4, 0.6, 3), percent) == "[40.0, 60.0]"
    assert interval(Estimate(0.5, None, None, 1), percent) == ""


def test_methods_differ_in_colour_and_shape() -> None:
    found = styles(kinds("dense", "random", *(f"m{number}" for number in range(40))))
    assert (found[0].role, found[1].role) == ("ink", "grey")
    assert len({(style.role, style.shape) for style in found}) == 42
    for palette in (LIGHT, DARK):
        config = chart_config(palette, found)
        assert config["range"]["category"][0] == palette.ink
        assert len(config["range"]["symbol"]) == 42


def test_a_style_keeps_its_place_when_methods_are_added() -> None:
    few, more = styles(kinds("dense", "halo")), styles(kinds("dense", "halo", "ssl"))
    assert more[:2] == few
