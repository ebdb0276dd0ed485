"""The picture of the published matrix."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from robench.board.pictures.published_matrix import published_picture
from robench.reference.published_transfer import published_matrix

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_every_figure_once_and_outlines_own_noise() -> None:
    root = ET.fromstring(published_picture())
    shown = [text.text for text in root.iter(f"{SVG}text")]
    table = published_matrix()
    cells = [f"{value:.0f}" for row in table.iloc[:, 2:].to_numpy() for value in row]
    assert sorted(text for text in shown if text in set(cells)) == sorted(cells)
    outlined = [rect for rect in root.iter(f"{SVG}rect") if rect.get("fill") == "none"]
    assert len(outlined) == 9 + 8 * 2 + 1 + 2 * 7


def test_the_picture_is_as_large_as_what_is_in_it() -> None:
    root = ET.fromstring(published_picture())
    width, height = float(root.get("width")), float(root.get("height"))
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.get("x")) + float(rect.get("width")) <= width
        assert float(rect.get("y")) + float(rect.get("height")) <= height
