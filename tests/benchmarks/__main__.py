"""Runs the benchmarks: all of them, or those that are named.

python -m tests.benchmarks [attacks compaction degradations engine methods roofline …]
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

# Before torch is imported: a figure for one thread must not be one for two.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def names() -> list[str]:
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def main() -> None:
    for name in sys.argv[1:] or names():
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.benchmarks.{name}").main()


if __name__ == "__main__":
    main()
