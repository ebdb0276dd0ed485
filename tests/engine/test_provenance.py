"""Where, when and by which version a cell was done."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime

import robench
from robench.engine.provenance import provenance


def test_it_is_plain_data_of_this_process() -> None:
    started = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    found = provenance(started, 1.23456)
    assert json.loads(json.dumps(found)) == found
    assert found["robench"] == robench.__version__
    assert found["started"] == "2026-01-02T03:04:05+00:00"
    assert found["wall_s"] == 1.2346
    assert found["process"] == os.getpid()
    assert int(str(found["peak_memory_bytes"])) > 10_000_000
    commit = found["commit"]
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", str(commit))
