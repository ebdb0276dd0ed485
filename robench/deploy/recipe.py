"""How an inference form is computed: what was chosen, as data that can be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["SCRIPTED", "Execution", "Recipe"]

Execution: TypeAlias = Literal[
    "plain", "channels last", "planar", "frozen", "frozen channels last", "optimised"
]
"""How a whole network is executed; :mod:`robench.deploy.executables` says what each is."""


SCRIPTED: tuple[Execution, ...] = ("frozen", "frozen channels last", "optimised")
"""Those that TorchScript computes."""


@dataclass(frozen=True)
class Recipe:
    """What was measured to be the quickest for a network, on the machine that chose.

    Attributes:
        input_shape: shape of the inputs, without the batch, for which it was chosen.
        precision: of the network and its inputs, for which it was chosen, as torch calls it.
        one: how a single input is computed.
        many: how a batch is computed.
        narrow: layer → its form, where maps have their channels last.
        planar: layer → its form, where maps are planes, in the order in which they are given.
        latency_ms: execution → batch size → milliseconds, the best of several calls.
        notes: execution that was not timed or is not equal, or ``layers`` → why.
    """

    input_shape: tuple[int, ...]
    precision: str = "float32"
    one: Execution = "plain"
    many: Execution = "plain"
    narrow: Mapping[str, str] = field(default_factory=dict)
    planar: Mapping[str, str] = field(default_factory=dict)
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recipe:
        """The inverse of :meth:`to_json`.

        Raises:
            TypeError, KeyError, ValueError: `data` has not the form that :meth:`to_json` gives.
        """
        for one in (data["one"], data["many"]):
            if one not in get_args(Execution):
                raise ValueError(f"there is no execution {one!r}")
        return cls(**{**data, "input_shape": tuple(int(size) for size in data["input_shape"])})
