"""What a process does before its first cell, so that no cell pays for it.

The first training in a process imports hundreds of modules of torch's. On the clock of a cell that
is seconds of ``train_s`` and of what the cell may take; the cells after it would look faster.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from functools import lru_cache

from robench.stages import STAGES

__all__ = ["warm_up"]


def warm_up(stages: Collection[str]) -> None:
    """Import what these stages need, and train a tiny network.

    Args:
        stages: that the suite has.
    """
    # The stages of plug-in files are not loaded yet: their files import what they need.
    for name in sorted(known for known in stages if known in STAGES):
        for module in STAGES.get(name).imports:
            importlib.import_module(module)
    _train_once()


@lru_cache(maxsize=1)
def _train_once() -> None:
    """Two steps with each optimiser, on random images, and the answers of the network."""
    import numpy as np

    from robench.data.assembly import assemble
    from robench.data.splits import Splits
    from robench.methods.base import make
    from robench.models import build
    from robench.spec import Recipe
    from robench.training import loop
    from robench.training.evaluate import predict

    draw = np.random.default_rng(0)
    every = np.arange(24)
    data = assemble(
        "warm-up",
        classes=("no", "yes"),
        inputs=draw.integers(0, 256, (24, 1, 8, 8), dtype=np.uint8),
        labels=every % 2,
        splits=Splits(train=every[:16], validation=every[16:20], test=every[20:]),
    )
    network = build("convnet", input_shape=(1, 8, 8), classes=2, mean=data.mean, std=data.std)
    loop.train(
        network,
        make("magnitude"),
        data,
        loop.RunSettings(
            Recipe(batch_size=8, dense_steps=0, sparse_steps=2),
            level=0.5,
            steps=2,
            learning_rate=0.01,
            seeds={"order": 0, "method": 0},
        ),
    )
    predict(network, data.test.images)
