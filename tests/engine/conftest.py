from __future__ import annotations

from pathlib import Path

import pytest

PLUGINS = Path(__file__).parent.parent / "plugins"

TINY = """\
name: tiny
version: 1
description: for tests
data: digits
models: [{name: mlp, widths: [16]}]
methods: [dense]
levels: [0.5]
seeds: 1
recipe: {dense_steps: 5, sparse_steps: 5}
"""


@pytest.fixture
def tiny(tmp_path: Path):
    """Writes a variation of a tiny suite and gives its path."""

    def writer(**changes: str) -> Path:
        lines = dict(line.split(": ", 1) for line in TINY.splitlines())
        lines |= changes
        path = tmp_path / "tiny.yaml"
        path.write_text("\n".join(f"{key}: {value}" for key, value in lines.items()) + "\n")
        return path

    return writer
