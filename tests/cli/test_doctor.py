"""What `robench doctor` looks for is what pyproject.toml offers."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest

import robench.cli.doctor as doctor

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NOT_FOR_USERS = {"dev"}


def test_it_knows_every_extra() -> None:
    offered = {name for name, packages in EXTRAS.items() if packages} - {"all"} - NOT_FOR_USERS
    assert set(doctor.EXTRAS) == offered


def test_the_extra_of_everything_is_everything() -> None:
    assert EXTRAS["all"] == [f"robench[{','.join(doctor.EXTRAS)}]"]


def test_former_extras_can_still_be_asked_for() -> None:
    assert EXTRAS["foolbox"] == EXTRAS["corruptions"] == []


def test_what_a_plain_installation_brings_is_a_dependency() -> None:
    names = {requirement.partition(">=")[0] for requirement in PROJECT["dependencies"]}
    assert set(doctor.LIBRARIES) <= names


@pytest.mark.parametrize(
    ("module", "verdict", "remedy"),
    [
        ("foolbox", "missing", "pip install foolbox"),
        ("imagecorruptions", "missing", "pip install imagecorruptions-imaug"),
        ("timm", "none", "pip install 'robench[timm]'"),
    ],
)
def test_it_says_how_to_get_what_is_not_there(
    robench, monkeypatch, module: str, verdict: str, remedy: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == module else find_spec(name, *rest),
    )
    status, out, _ = robench("doctor")
    assert status == 0
    lines = " ".join(out.split())
    assert f"{verdict} {module} is not installed ({remedy})" in lines


def test_it_says_why_kernels_are_off(robench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_KERNELS", "off")
    _, out, _ = robench("doctor")
    reason = "turned off by ROBENCH_KERNELS=off"
    assert f"none compiled convolution kernels are off: {reason}" in " ".join(out.split())
