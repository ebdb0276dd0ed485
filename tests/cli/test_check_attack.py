"""`robench check-attack` as a sceptic meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robench.attacks import ATTACKS
from robench.store import Store

GUEST = '''\
from robench import Attack


class Still(Attack):
    """Stays where it is."""

    name = "still"

    def run(self, oracle):
        return oracle.images
'''


@pytest.fixture
def results(robench, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of one dense network, with a guest among its attacks."""
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))
    (tmp_path / "guest.py").write_text(GUEST)
    suite = tiny(evaluate="{attack: {suite: l2-smoke, samples: 8}}", levels="[0.5]")
    words = ("--results", tmp_path / "r", "--jobs", "0", "--only", "dense")
    status, _, err = robench("run", suite, *words, "--plugin", tmp_path / "guest.py")
    assert status == 0, err
    return tmp_path / "r"


def test_true_claims_hold_and_forged_ones_do_not(robench, results: Path, tmp_path: Path) -> None:
    store = Store(results)
    [record] = [record for record in store.records() if record.cell.stage == "attack"]
    assert record.details["attacks"]["still"]["guest"] is True
    assert robench("check-attack", record.id, "--results", results) == (
        0,
        "8 of 8 points hold\n",
        "",
    )
    arrays = store.arrays(record.id)
    store.write(record, {**arrays, "adversarial": np.zeros_like(arrays["adversarial"])})
    status, out, _ = robench("check-attack", record.id, "--results", results)
    assert status == 1
    assert "are not as far as claimed" in out

    (tmp_path / "site").mkdir()
    assert robench("board", results, "--out", tmp_path / "site")[0] == 0
    readme = (tmp_path / "site" / "README.md").read_text()
    assert "guest, not counted" in readme
    assert "the whole suite" in readme


def test_what_is_no_attack_is_refused(robench, results: Path) -> None:
    train = next(r for r in Store(results).records() if r.cell.stage == "train")
    status, _, err = robench("check-attack", train.id, "--results", results)
    assert status == 2
    assert "is no attack that succeeded" in err
    assert "attack digits/mlp" in err  # what could be checked
