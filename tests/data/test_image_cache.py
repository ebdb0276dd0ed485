from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from robench.data.image_cache import Pictures, cached


class Decoder:
    """Counts how often it was asked."""

    def __init__(self, train: int | None = 4) -> None:
        self.calls = 0
        self.pictures = Pictures(
            images=np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8),
            labels=np.array([0, 1, 0, 1, 0, 1], dtype=np.int64),
            classes=("cat", "dög"),
            train=train,
            validation=0,
        )

    def __call__(self) -> Pictures:
        self.calls += 1
        return self.pictures


def same(one: Pictures, other: Pictures) -> bool:
    arrays = np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)
    rest = (one.classes, one.train, one.validation) == (
        other.classes,
        other.train,
        other.validation,
    )
    return arrays and rest


@pytest.mark.parametrize("train", [4, None])
def test_what_was_decoded_is_kept(image_cache: Path, train: int | None) -> None:
    decoder = Decoder(train)
    assert same(cached("key", decoder), decoder.pictures)
    assert same(cached("key", decoder), decoder.pictures)
    assert decoder.calls == 1
    cached("other key", decoder)
    assert decoder.calls == 2
    assert sorted(file.name for file in image_cache.iterdir()) == ["key.npz", "other key.npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another"])
def test_a_damaged_cache_is_made_anew(
    image_cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    decoder = Decoder()
    cached("key", decoder)
    file = image_cache / "key.npz"
    content = bytearray(file.read_bytes())
    if damage == "another":
        np.savez(file, something=np.zeros(3))
    elif damage == "flipped":
        content[400] ^= 0xFF  # a pixel
        file.write_bytes(bytes(content))
    else:
        file.write_bytes(bytes(content[: len(content) // 2 if damage == "cut" else 0]))
    with caplog.at_level(logging.WARNING):
        assert same(cached("key", decoder), decoder.pictures)
    assert "is damaged" in caplog.text
    assert decoder.calls == 2
    cached("key", decoder)
    assert decoder.calls == 2


def test_a_cache_that_cannot_be_written_is_no_failure(
    image_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image_cache.parent.mkdir()
    image_cache.write_text("a file where the folder should be")
    decoder = Decoder()
    assert same(cached("key", decoder), decoder.pictures)
    assert "not kept" in caplog.text


def test_an_interrupted_write_leaves_nothing_behind(
    image_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, **arrays: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    cached("key", Decoder())
    assert list(image_cache.iterdir()) == []
