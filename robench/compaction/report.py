"""Report of a compaction: what was removed, and the differences that the proof found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from robench.compaction.graph_edits import Edit
from robench.deploy.columns import ColumnChoice
from robench.errors import InputError
from robench.graph.differences import Differences

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CompactionReport", "LayerReport", "report_of"]


@dataclass(frozen=True)
class LayerReport:
    """One layer, before and after.

    Attributes:
        name: qualified name of the layer.
        kind: class of the layer, such as ``"Conv2d"`` or ``"Linear"``.
        units_before: output channels or features of the original.
        units_after: of the compacted network; 0 if the layer was removed with its branch.
        constants_folded: removed units of this layer whose nonzero constant was folded into the
            biases of its readers.
        note: reason that dead units were kept, or that the layer was removed, or ``None``.
    """

    name: str
    kind: str
    units_before: int
    units_after: int
    constants_folded: int
    note: str | None


@dataclass(frozen=True)
class CompactionReport:
    """What :func:`robench.compaction.compact` did.

    Attributes:
        layers: one entry per layer, in forward order.
        differences: between the original and the compacted network.
        parameters_before: number of parameters of the original, biases and BatchNorm included.
        parameters_after: of the compacted network.
        columns: how convolutions with zero columns are computed.
        edits: edits of the graph, in addition to resized layers.
        changed_by_zero_bn: largest change of a logit by ``constants="zero-bn"``; 0 otherwise.
        input_sizes: sizes of images (height, width) at which the two networks were compared: the
            example's, and some others that the original takes.
        only_shape: shape of one input if the compacted network refuses others, else ``None``.
    """

    layers: tuple[LayerReport, ...]
    differences: Differences
    parameters_before: int
    parameters_after: int
    columns: tuple[ColumnChoice, ...] = ()
    edits: tuple[Edit, ...] = ()
    changed_by_zero_bn: float = 0.0
    input_sizes: tuple[tuple[int, ...], ...] = ()
    only_shape: tuple[int, ...] | None = None

    @property
    def units_removed(self) -> int:
        """Neurons and filters removed, over all layers."""
        return sum(layer.units_before - layer.units_after for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CompactionReport:
        """The inverse of :meth:`to_json`.

        Raises:
            TypeError, KeyError: `data` has not the form that :meth:`to_json` gives.
        """
        return cls(
            layers=tuple(LayerReport(**layer) for layer in data["layers"]),
            differences=Differences(**data["differences"]),
            parameters_before=data["parameters_before"],
            parameters_after=data["parameters_after"],
            columns=tuple(_column_choice(choice) for choice in data["columns"]),
            edits=tuple(map(_edit, data["edits"])),
            changed_by_zero_bn=data["changed_by_zero_bn"],
            input_sizes=tuple(map(tuple, data.get("input_sizes", ()))),
            only_shape=None if data.get("only_shape") is None else tuple(data["only_shape"]),
        )


def _edit(data: dict[str, Any]) -> Edit:
    return Edit(**{**data, **{key: tuple(data.get(key, ())) for key in ("padding", "sizes")}})


def _column_choice(data: dict[str, Any]) -> ColumnChoice:
    shapes = {key: tuple(data[key]) for key in ("input_shape", "window")}
    return ColumnChoice(**{**data, **shapes})


def report_of(compacted: nn.Module) -> CompactionReport:
    """The report that a compacted network carries as ``.report``, with its type.

    Raises:
        InputError: the network did not come out of a compaction.
    """
    report = getattr(compacted, "report", None)
    if not isinstance(report, CompactionReport):
        raise InputError(
            f"{type(compacted).__name__} carries no compaction report",
            allowed="what robench.compact or robench.compaction.load returned",
        )
    return report
