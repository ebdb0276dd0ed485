"""Attack reports in files: round trips, and files that are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from robench.attacks.suite.report import AttackReport
from robench.errors import StoreError


def test_a_report_comes_back_from_its_file(report: AttackReport, tmp_path: Path) -> None:
    flags = dict(report.flags)
    flags["df-gap"] = replace(flags["df-gap"], value=float("inf"))
    flags["noise"] = replace(flags["noise"], value=float("nan"))
    for number, one in enumerate(
        (
            report,
            replace(report, flags=flags, checks=None, allowed=None, notes=("é\n",)),
            replace(report, distance=torch.full_like(report.distance, torch.inf)),
        )
    ):
        path = one.save(tmp_path / "new" / f"{number}.safetensors")
        again = AttackReport.load(path)
        assert again == one
        assert again.attacks["ddn"].seconds == report.attacks["ddn"].seconds
        assert str(again) == str(one)
    # Anyone can read it without robench: strict JSON in the header.
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["report"], parse_constant=lambda name: 1 / 0)
        assert facts["suite"] == "mine/1"
        assert torch.equal(file.get_tensor("adversarial"), report.adversarial)


def changed(path: Path, target: Path, **changes: object) -> Path:
    """The file with other tensors or another header."""
    with safe_open(path, "pt") as file:
        header = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors |= {k: v for k, v in changes.items() if isinstance(v, torch.Tensor)}
    header |= {k: v for k, v in changes.items() if isinstance(v, str)}
    save_file(
        {k: v for k, v in tensors.items() if k not in changes.get("less", ())}, target, header
    )
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "another"}, "is no attack report of robench"),
        ({"version": "2"}, "of version 2"),
        ({"report": "{"}, "damaged attack report: JSONDecodeError"),
        ({"report": "{}"}, "damaged attack report: KeyError"),
        ({"report": "[]"}, "damaged attack report: TypeError"),
        ({"less": ["margin"]}, "damaged attack report: KeyError: 'margin'"),
        ({"less": ["attacks/ddn/forwards"]}, "damaged attack report: KeyError"),
        ({"correct": torch.ones(39, dtype=torch.bool)}, "correct is torch.bool"),
        ({"distance": torch.zeros(40)}, "distance is torch.float32"),
        ({"winner": torch.full((40,), 99)}, "damaged attack report: IndexError"),
        ({"winner": torch.full((40,), -1)}, "a winner is negative"),
        ({"more": torch.zeros(40)}, "damaged attack report: KeyError: 'more'"),
    ],
)
def test_files_that_are_none_or_damaged_are_refused(
    report: AttackReport, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = report.save(tmp_path / "r.safetensors")
    with pytest.raises(StoreError, match=message):
        AttackReport.load(changed(path, tmp_path / "changed.safetensors", **changes))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no file 'none'"):
        AttackReport.load(tmp_path / "none")
    torch.save({"distance": torch.zeros(3)}, tmp_path / "pickle.pt")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_text("")
    for name in ("pickle.pt", "text", "empty"):
        with pytest.raises(StoreError, match=f"'{name}' is no readable safetensors file"):
            AttackReport.load(tmp_path / name)
    save_file({"weight": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(StoreError, match="is no attack report"):
        AttackReport.load(tmp_path / "weights.safetensors")
    with pytest.raises(StoreError):
        AttackReport.load(tmp_path)


def test_a_file_that_cannot_be_written_says_so(report: AttackReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        report.save(tmp_path / "file" / "r.safetensors")
