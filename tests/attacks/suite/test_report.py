"""A report on one screen, as a table, in a file, and compared."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import robench.attacks
from robench.attacks.core.equality import EqualByValue
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.report import AttackReport
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import InputError, StoreError

SUITE = AttackSuite(
    "mine",
    1,
    (Member("deepfool", {"steps": 10}, budget=110), Member("ddn", {"steps": 10}, budget=20)),
    checks=("noise",),
)


@pytest.fixture(scope="module")
def report(digits) -> AttackReport:
    return minimal_l2(digits.model, digits.images[:40], digits.labels[:40], SUITE)


# -- printed --------------------------------------------------------------------------------------


def crowded(report: AttackReport) -> AttackReport:
    """Every flag raised, many attacks, long notes."""
    flags = {name: replace(flag, value=1e-7, raised=True) for name, flag in report.flags.items()}
    attacks = {f"{key}@smoothed#{n}": m for n in range(20) for key, m in report.attacks.items()}
    return replace(report, flags=flags, attacks=attacks, notes=("a long\nnote " * 30,) * 9)


def test_a_report_fits_a_screen(report: AttackReport) -> None:
    for shown in (report, crowded(report)):
        lines = str(shown).splitlines()
        assert len(lines) <= 23
        assert max(map(len, lines)) <= 80
    assert len(repr(report)) < 80
    assert "more remarks" in str(crowded(report))


def test_what_is_printed_is_what_was_measured(report: AttackReport) -> None:
    text = str(report)
    correct = report.correct
    median = np.median(report.distance[correct].numpy())
    assert f"40, of which {int(correct.sum())} correct" in text
    assert f"{median:.4g} [" in text
    assert f"{np.minimum(report.distance.numpy(), 1).mean():.4g} [" in text
    for radius in (0.25, 0.5, 1.0):
        assert f"{report.robust_accuracy(radius):.1%} [" in text
        assert f"at l2 {radius:g}" in text
    attacked = report.passes[correct].double().mean().item()
    assert f"{attacked:,.0f} an image" in text
    assert f"{report.checks.passes / report.checks.images:,.0f} an image, on 32 images" in text


def test_a_report_of_nothing_to_attack_prints(digits) -> None:
    images, labels = digits.correct(3)
    text = str(minimal_l2(digits.model, images, (labels + 1) % 10, SUITE))
    assert "3, of which 0 correct" in text


def test_robust_accuracy_at_a_radius_is_a_share_of_all_images(report: AttackReport) -> None:
    assert report.robust_accuracy(0) == report.correct.double().mean().item()
    radius = report.distance[5].item()
    assert report.robust_accuracy(radius) == (report.distance > radius).double().mean().item()
    assert report.robust_accuracy(float("inf")) == 0
    for wrong in (-0.1, float("nan")):
        with pytest.raises(InputError, match="radius is"):
            report.robust_accuracy(wrong)


def test_the_former_name_of_robust_accuracy_works_with_a_warning(report: AttackReport) -> None:
    with pytest.warns(DeprecationWarning, match=r"is called robust_accuracy\(\) now"):
        assert report.accuracy_at(0.5) == report.robust_accuracy(0.5)


def test_a_table_has_a_row_an_image_and_tells_both_costs(report: AttackReport) -> None:
    frame = report.to_frame()
    assert frame.index.name == "image"
    np.testing.assert_array_equal(frame["distance"], report.distance)
    np.testing.assert_array_equal(frame["distance[ddn]"], report.attacks["ddn"].distance_on_ray)
    assert frame["winner"].tolist() == list(report.winner)
    assert frame["passes"].sum() == report.passes.sum()
    assert frame["check_passes"].sum() == report.checks.passes
    # 200 random directions, ten halvings of some of them, and a bisection of 12.
    checked = frame["check_passes"] > 0
    assert checked.sum() == report.checks.images
    assert (frame["check_passes"][checked] > 200).all()
    assert (frame["check_passes"][~report.correct.numpy()] == 0).all()


# -- stored ---------------------------------------------------------------------------------------


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


# -- compared -------------------------------------------------------------------------------------


def test_reports_are_equal_by_value(report: AttackReport, digits) -> None:
    again = minimal_l2(digits.model, digits.images[:40], digits.labels[:40], SUITE)
    assert again == report  # whatever the time that it took
    assert report != "a report"
    assert (report == None) is False  # noqa: E711
    assert replace(report, distance=report.distance + 1) != report
    assert replace(report, seed=1) != report
    assert replace(report, margin=report.margin.float()) != report
    member = report.attacks["ddn"]
    assert replace(member, seconds=9.0) == member
    assert replace(member, forwards=member.forwards + 1) != member
    nan = replace(report, norm=report.norm * torch.nan)
    assert nan == replace(report, norm=report.norm * torch.nan)


def test_everything_that_holds_tensors_can_be_compared() -> None:
    """`==` of two tensors is a tensor, and the one that dataclasses write raises for it."""
    found = []
    for module in pkgutil.walk_packages(robench.attacks.__path__, "robench.attacks."):
        for kind in vars(importlib.import_module(module.name)).values():
            if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
                continue
            types = {str(field.type) for field in dataclasses.fields(kind)}
            if any("Tensor" in text or "NDArray" in text for text in types):
                found.append(kind)
                assert kind.__eq__ in (object.__eq__, EqualByValue.__eq__), kind
    assert {"AttackReport", "AttackInputs", "Claim"} < {kind.__name__ for kind in found}
