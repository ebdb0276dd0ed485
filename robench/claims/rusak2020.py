"""Training on noise helps against other noise (Rusak et al. 2020, arXiv 2001.06057)."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from robench.analysis.levels import shows_own_picture
from robench.claims.base import Claim, Evidence, Judged, Statement
from robench.claims.protocols import Protocol, ahead, mean, of_seeds, protocols

__all__ = ["CLAIM"]

_UNSEEN = {
    "degrade": ("uniform-noise", "salt-and-pepper"),
    "corrupt": ("shot-noise", "impulse-noise"),
}
"""Noise that no network of the suite was trained on."""


def judge(evidence: Evidence) -> Iterator[Judged]:
    """For each data set, network and recipe by itself."""
    for protocol in protocols(evidence):
        if figures := list(_figures(protocol)):
            yield protocol.name, figures


def _figures(protocol: Protocol) -> Iterator[Statement]:
    """The ordering vanilla < Gaussian <= adversarial on noise that nobody was trained on."""
    frame, distortions = protocol.frame, protocol.distortions
    frame = frame[frame["is_dense"] & (frame["role"] == "result")]
    trainings = {name: distortions[name] for name in frame["training"].unique()}
    gaussian = [n for n, d in trainings.items() if d is not None and d.kinds == ("gaussian-noise",)]
    adversarial = [n for n, d in trainings.items() if d is not None and d.is_adversarial]
    if not gaussian:
        return
    unseen = _unseen(frame)
    radius = frame[frame["metric"] == "worst_noise_l2"]
    for better, worse in [(name, "none") for name in gaussian] + [
        (name, other) for name in adversarial for other in gaussian
    ]:
        yield from _ahead("(order) unseen noise", unseen, better, worse)
    for name in adversarial:
        yield from _ahead("(order) radius of the worst noise", radius, name, "none")


def _unseen(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy over levels, and then over kinds, of each training and seed."""
    accuracy = frame[frame["metric"] == "accuracy"]
    parts = [
        accuracy[(accuracy["stage"] == stage) & accuracy["kind"].isin(kinds)]
        for stage, kinds in _UNSEEN.items()
        if "kind" in accuracy
    ]
    # Level 0 of both kinds is one picture, without noise.
    parts = [
        of[shows_own_picture(of)] if len(of) and (of["stage"] == "degrade").all() else of
        for of in parts
    ]
    of_kinds = pd.concat(parts).groupby(["training", "seed", "stage", "kind"])["value"].mean()
    return of_kinds.groupby(["training", "seed"]).mean().reset_index()


def _ahead(what: str, frame: pd.DataFrame, better: str, worse: str) -> Iterator[Statement]:
    a, b = of_seeds(frame, training=better), of_seeds(frame, training=worse)
    found = ahead(a, b)
    if found:
        other = "clean" if worse == "none" else worse
        remark = f"{mean(a)} and {mean(b)}"
        yield Statement(f"{what}: {better} less {other}", found, least=0.0, remark=remark)


CLAIM = Claim(
    name="noise-ordering",
    paper="Rusak et al. 2020, arXiv 2001.06057",
    sentence="On unseen noise, training on Gaussian noise helps, and adversarial noise no less.",
    suites=("noise-training",),
    cells=("/* dense",),
    judge=judge,
)
