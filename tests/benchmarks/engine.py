"""What the engine costs: overhead of a cell with warm workers, and the start of the commands."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import robench
from robench.engine.progress import Silent
from robench.spec import Record

SUITE = """\
name: overhead
version: 1
data: digits
models: [{name: mlp, widths: [8]}]
methods: [dense]
levels: [0.5]
seeds: 60
recipe: {dense_steps: 1, sparse_steps: 1}
"""
JOBS = 2


class Stopwatch(Silent):
    """Notes when each record came in."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[float, Record]] = []

    def finished(self, record: Record) -> None:
        super().finished(record)
        self.ends.append((time.perf_counter(), record))


def overhead_ms() -> tuple[float, int]:
    """Milliseconds of a worker's time that a cell costs beyond its own, and over how many cells.

    The first cells are left out: their workers were just starting.
    """
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "overhead.yaml"
        suite.write_text(SUITE)
        watch = Stopwatch()
        robench.run(suite, results=Path(folder) / "r", jobs=JOBS, progress=watch)
    warm = watch.ends[20:]
    elapsed_s = warm[-1][0] - watch.ends[19][0]
    own_s = sum(float(str(record.provenance["wall_s"])) for _, record in warm)
    return 1000 * (elapsed_s * JOBS - own_s) / len(warm), len(warm)


def start_s(*words: str, repeats: int = 7) -> float:
    """Median seconds of a command, in a process of its own."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "robench", *words], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Print the figures."""
    cost, cells = overhead_ms()
    print(f"engine overhead: {cost:.1f} ms a cell ({cells} cells, {JOBS} warm workers)")
    for words in (("--help",), ("list",)):
        print(f"robench {' '.join(words)}: {start_s(*words):.3f} s")


if __name__ == "__main__":
    main()
