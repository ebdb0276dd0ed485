"""Before its first cell a process imports what the stages use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from robench.engine.warm_up import warm_up


def test_a_stage_s_imports_are_there_and_a_stranger_s_name_does_no_harm() -> None:
    code = (
        "import sys; from robench.engine.warm_up import warm_up\n"
        "warm_up(['degrade', 'of-somebody-else'])\n"
        "print('robench.stages.degrade' in sys.modules, 'robench.stages.trees' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("stages", [[], ["train"]])
def test_it_may_be_called_again(stages: list[str]) -> None:
    warm_up(stages)
    warm_up(stages)
