"""`robench list`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


@pytest.mark.parametrize(
    ("what", "some"),
    [
        ("methods", ["halo", "ssl", "magnitude"]),
        ("models", ["lenet-5", "convnet"]),
        ("datasets", ["digits", "image-folder"]),
        ("attacks", ["deepfool", "ddn"]),
        ("degradations", ["low-pass"]),
        ("stages", ["calibration", "speed"]),
        ("metrics", ["ece", "brier"]),
        ("views", ["speed", "transfer"]),
        ("suites", ["quick", "smoke", "mnist"]),
    ],
)
def test_list_shows_names_with_a_line_each(robench, what, some) -> None:
    status, out, _ = robench("list", what)
    assert status == 0
    for name in some:
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 3, f"{name} has no summary"


def test_list_of_something_else(robench) -> None:
    status, _, err = robench("list", "method")
    assert status == 2
    assert "did you mean 'methods'" in err
