"""The README's table of stages is that of the declarations."""

from __future__ import annotations

import re
from pathlib import Path

from robench.stages import STAGES, place_of

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_it_lists_every_stage_that_a_suite_may_ask_for() -> None:
    table = README.partition("| stage | what it measures |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    asked = [name for name in STAGES.names() if STAGES.get(name).is_evaluation]
    assert listed == sorted(asked, key=lambda name: listed.index(name) if name in listed else 99)
    assert set(listed) == set(asked)
    assert place_of("train") < place_of(listed[0])
