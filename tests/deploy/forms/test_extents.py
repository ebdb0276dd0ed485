"""Sizes of a convolution."""

from __future__ import annotations

import pytest
from torch import nn

from robench.deploy.forms.extents import Geometry, padding_of


def test_geometry_of_a_convolution() -> None:
    conv = nn.Conv2d(4, 6, (3, 5), stride=2, padding=(0, 2), dilation=(1, 3), groups=2, bias=False)
    assert Geometry.of(conv) == Geometry(
        channels=4, filters=6, groups=2, kernel=(3, 5), stride=(2, 2), padding=(0, 2),
        dilation=(1, 3), has_bias=False,
    )  # fmt: skip
    assert padding_of(conv) == (0, 2)


def test_padding_by_a_word_is_refused() -> None:
    with pytest.raises(TypeError, match="same"):
        Geometry.of(nn.Conv2d(1, 1, 3, padding="same"))
