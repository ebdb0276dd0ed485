"""A report on one screen, and as a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.report import AttackReport


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


def test_a_report_of_nothing_to_attack_prints(digits, two_attacks) -> None:
    images, labels = digits.correct(3)
    text = str(minimal_l2(digits.model, images, (labels + 1) % 10, two_attacks))
    assert "3, of which 0 correct" in text


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
