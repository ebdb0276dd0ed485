from __future__ import annotations

import io
import logging

from robench.engine.progress import PlainProgress, Progress
from robench.spec import Cell, Record


def record(of: Cell, status: str = "ok", wall_s: float = 2.0, reason: str | None = None) -> Record:
    provenance = {"wall_s": wall_s}
    return Record(id=of.id, cell=of, status=status, reason=reason, provenance=provenance)


def test_it_counts_and_guesses_from_cells_of_the_same_stage(make_cell) -> None:
    cells = [make_cell(stage=stage, seed=n) for stage in ("train", "attack") for n in range(4)]
    progress = Progress()
    with progress.of(cells, already=0, jobs=2):
        assert progress.remaining_s() is None
        progress.finished(record(cells[0], wall_s=2.0))
        progress.finished(record(cells[4], wall_s=10.0))
        # Three of each stage are left, on two workers.
        assert progress.remaining_s() == (3 * 2.0 + 3 * 10.0) / 2
        progress.finished(record(cells[1], "failed", wall_s=2.0))
        assert progress.line() == "2 done, 1 failed, 5 left, about 17 s to go"


def test_plain_progress_tells_each_cause_of_failure_once(make_cell) -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    cells = [make_cell(seed=seed) for seed in range(5)]
    with progress.of(cells, already=3, jobs=1):
        for one in cells[:3]:
            progress.finished(record(one, "failed", reason="it raised at step 3\nwhere: x"))
        progress.finished(record(cells[3], "failed", reason="something else"))
    text = stream.getvalue()
    assert "5 cells to do, 3 already there" in text
    assert text.count("it raised") == 1
    assert text.count("something else") == 1
    assert cells[0].id in text
    assert text.rstrip().endswith("0 done, 4 failed, 1 left, about 2 s to go")


def test_an_attack_that_crashed_beside_others_is_named_once(make_cell) -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    cells = [make_cell(stage="attack", seed=seed) for seed in range(3)]
    crash = {"error": "could not run: ValueError: no\nat line 3"}
    with progress.of(cells, already=0, jobs=1):
        for cell in cells:
            attacks = {"fgsm": {"error": None}, "mine": crash}
            progress.finished(record(cell).model_copy(update={"details": {"attacks": attacks}}))
    text = stream.getvalue()
    assert text.count("the attack 'mine' crashed") == 1
    assert f"[{cells[0].id}]: could not run: ValueError: no" in text
    assert "at line 3" not in text
    assert "'fgsm'" not in text


def test_log_lines_of_a_data_set_are_shown_while_it_loads() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("robench.data")
    with PlainProgress(stream).of_loggers():
        logger.info("decoding 3 of 9")
    logger.info("nobody listens")
    assert stream.getvalue() == "decoding 3 of 9\n"
