from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image

from robench.board.pictures.contact_sheet import (
    Strip,
    corruption_strips,
    degradation_strips,
    photograph,
    photograph_sheet,
    png,
    sheet,
)
from robench.degradations import DEGRADATIONS, degrade

SVG = "{http://www.w3.org/2000/svg}"


def small(channels: int = 3) -> torch.Tensor:
    return photograph(32)[:, :channels]


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def texts(root: ET.Element) -> list[str]:
    return [str(element.text) for element in root.iter(f"{SVG}text")]


def tile(element: ET.Element) -> np.ndarray:
    content = base64.b64decode(element.attrib["href"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


def test_every_kind_and_level_is_on_it_with_its_pixels() -> None:
    kinds = ("contrast", "uniform-noise", "high-pass", "rotation")
    root = drawn(sheet(list(degradation_strips(small(), kinds, seed=3)), title="a", note="b"))
    tiles = list(root.iter(f"{SVG}image"))
    assert len(tiles) == sum(len(DEGRADATIONS[kind]) for kind in kinds)
    assert {"a", "b", *kinds, "∞", "0.03", "270"} <= set(texts(root))
    want = degrade(small(), "contrast", 0.5, seed=3)[0, 0].mul(255).round()
    assert np.array_equal(tile(tiles[1]), want.numpy())  # grey: one channel


def test_nothing_overlaps_and_nothing_leaves_the_sheet() -> None:
    strips = list(degradation_strips(small(), tuple(DEGRADATIONS)))
    root = drawn(sheet(strips, title="a", note="b"))
    _, _, across, down = map(float, root.attrib["viewBox"].split())
    boxes = [
        tuple(float(element.attrib[name]) for name in ("x", "y", "width", "height"))
        for element in root.iter(f"{SVG}image")
    ]
    for number, (x, y, width, height) in enumerate(boxes):
        assert x + width <= across
        assert y + height + 14 <= down
        for other_x, other_y, other_width, other_height in boxes[:number]:
            beside = x >= other_x + other_width or other_x >= x + width
            below = y >= other_y + other_height + 14 or other_y >= y + height + 14
            assert beside or below
    for element in root.iter(f"{SVG}text"):
        x, y, letters = (float(element.attrib["x"]), float(element.attrib["y"]), element.text)
        assert 0 < y < down
        # Text of a label is wrapped so that it ends before the tiles.
        if x < 100 and y > 60:
            assert len(str(letters)) <= 32


def test_kinds_that_an_image_cannot_bear_say_so() -> None:
    strips = [Strip("opponent-colour", "", without="not for grey images <b>")]
    strips += list(degradation_strips(small(1), ("contrast",)))
    root = drawn(sheet(strips, title="a", note="b"))
    assert "not for grey images <b>" in texts(root)


def test_corruptions() -> None:
    strips = list(corruption_strips(small(), "cifar-10-c"))
    assert len(strips) == 19
    assert sum(len(strip.tiles) for strip in strips) == 18 * 5
    assert [text for text, _ in strips[0].tiles] == ["1", "2", "3", "4", "5"]
    (spatter,) = (strip for strip in strips if strip.name == "spatter")
    assert spatter.without is not None


def test_small_images_are_enlarged_and_the_png_has_that_size() -> None:
    svg = sheet(list(degradation_strips(small(), ("greyscale",))), title="a", note="b")
    root = drawn(svg)
    scale = float(root.attrib["width"]) / float(root.attrib["viewBox"].split()[2])
    shown = float(next(root.iter(f"{SVG}image")).attrib["width"]) * scale
    assert shown == 96
    image = Image.open(io.BytesIO(png(svg)))
    assert image.width == pytest.approx(float(root.attrib["width"]), abs=1)
    pixels = np.asarray(image.convert("RGB"))
    assert (pixels[0, 0] == 255).all()
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def test_a_page_gets_the_same_small_sheet_each_time() -> None:
    once = photograph_sheet(("contrast", "low-pass"), 64)
    assert once == photograph_sheet(("contrast", "low-pass"), 64)
    assert len(once) < 100_000
    assert "CC BY 2.0" in once
    assert not re.search(r"href=\"(?!data:image/)", once)
