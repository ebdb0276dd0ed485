"""The stages: what is done with a network, one declaration each.

A stage is one class, see `robench.stages.base.Stage`. Those whose work fills a file of its own are
declared in `robench.stages.declarations`. Nothing here imports torch until a stage runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robench._lazy import lazily
from robench.registry import Registry

if TYPE_CHECKING:
    from robench.stages.base import MetricInfo, Stage

__all__ = ["STAGES", "MetricInfo", "Stage", "is_own", "place_of", "stage"]

_OWN = {
    "train": "robench.stages.declarations.train:Train",
    "speed": "robench.stages.declarations.speed:Speed",
    "attack": "robench.stages.declarations.attack:Attack",
    "degrade": "robench.stages.declarations.degrade:Degrade",
    "corrupt": "robench.stages.declarations.corrupt:Corrupt",
    "worst_noise": "robench.stages.declarations.worst_noise:WorstNoise",
    "trees": "robench.stages.declarations.trees:Trees",
    "calibration": "robench.stages.calibration:Calibration",
    "layers": "robench.stages.declarations.layers:Layers",
}
"""In the order in which they are planned and reported."""

STAGES: Registry[type[Stage[Any]]] = Registry(
    "stage",
    group="robench.stages",
    builtins=_OWN,
    accept="robench.stages.base:check_plugin",
)
"""Every stage by name."""


def stage(name: str) -> Stage[Any]:
    """The stage of that name.

    Raises:
        UnknownNameError: there is none.
        PluginError: it cannot be imported.
    """
    return STAGES.get(name)()


def place_of(name: str) -> tuple[int, str]:
    """What to order stages by: robench's own first, the others by name."""
    own = list(_OWN)
    return (own.index(name) if name in own else len(own), name)


def is_own(name: str) -> bool:
    """Whether a stage is robench's own."""
    return name in _OWN


__getattr__ = lazily(__name__, dict.fromkeys(("MetricInfo", "Stage"), "robench.stages.base"))
