"""Training a network with one method to one level, or taking one that was trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from robench.spec import Cell, Distortion, StageOptions, as_json
from robench.stages.base import Context, Outcome, Stage
from robench.stages.declarations.kinds import kinds_in, resolve_kinds

__all__ = ["Train", "resolve_drawn"]


class Train(Stage[StageOptions]):
    """Train a network with one method to one level; how good and how sparse it is."""

    name = "train"
    is_evaluation = False
    imports = ("robench.stages.train", "robench.methods")

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The kinds that its images are drawn from."""
        return kinds_in(cell)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.train.train`."""
        from robench.stages.train import train

        return train(cell, context)


def resolve_drawn(distortion: Distortion) -> dict[str, JsonValue]:
    """Options of a training: version and levels of the kinds that its images are drawn from."""
    if distortion.is_adversarial:
        from robench.training.adversarial_noise import ADVERSARIAL_NOISE_VERSION

        return {"version": ADVERSARIAL_NOISE_VERSION}
    found = resolve_kinds(dict.fromkeys(distortion.degradations, distortion.levels))
    return {"kinds": as_json({name: kind.model_dump() for name, kind in found.items()})}
