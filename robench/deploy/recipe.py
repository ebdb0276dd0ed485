"""The autotuner's choices for an inference form, as plain data."""

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
"""Executions by TorchScript."""


@dataclass(frozen=True)
class Recipe:
    """The fastest execution of a network, as measured on the machine that chose.

    Attributes:
        input_shape: shape of one input for which it was chosen.
        precision: of network and inputs for which it was chosen, such as ``float32``.
        one: execution of a single input.
        many: execution of a batch.
        narrow: layer → its form in channels last (NHWC).
        planar: layer → its form in channels first (NCHW), in the order of replacement.
        latency_ms: execution → batch size → milliseconds, minimum of several calls.
        notes: execution that was not timed or is not equal, or ``layers`` → reason.
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
