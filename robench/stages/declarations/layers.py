"""Single convolutions, timed at the sparsities that a paper published."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from robench.spec import (
    NO_DATA,
    Cell,
    PluginRef,
    Recipe,
    StageOptions,
    Suite,
    as_json,
)
from robench.spec.base import Frozen
from robench.stages.base import Context, Outcome, Stage

__all__ = ["LayerOptions", "Layers", "LayersDetails"]


class LayerOptions(Frozen):
    """One layer of a published table, as a cell asks for it."""

    table: str
    layer: str
    row: int
    batch_size: int
    repeats: int
    machine: str
    """Key of the hardware: another machine measures for itself."""


class LayersDetails(Frozen):
    """What the record says beside the metrics."""

    form: str
    """By what the sparse layer was computed."""
    noise: float
    """Of the timings; see `robench.measure.latency`."""


class Layers(Stage[StageOptions]):
    """Single convolutions of a published table, dense and sparse; a suite's key ``layers`` asks."""

    name = "layers"
    is_evaluation = False
    is_timed = True
    needs_network = False
    Details = LayersDetails
    imports = ("robench.stages.layers",)

    def cells(self, suite: Suite, device: str) -> Iterator[Cell]:
        """Each convolution of the table in each of its rows; nothing is trained."""
        from robench.measure.machine import hardware_key
        from robench.reference.wen2016 import CONVOLUTIONS, ENTRIES

        options = suite.layers
        if options is None:
            return
        places = enumerate(CONVOLUTIONS)
        for entry, (place, layer), batch_size in itertools.product(
            ENTRIES, places, options.batch_sizes
        ):
            asked = LayerOptions(
                table=options.table,
                layer=layer.name,
                row=entry.row,
                batch_size=batch_size,
                repeats=options.repeats,
                machine=hardware_key(device),
            )
            yield Cell(
                stage=self.name,
                suite=suite.name,
                suite_version=suite.version,
                data=PluginRef(name=NO_DATA, version=1),
                data_sha256="",
                model=PluginRef(name=f"{options.table}-{layer.name}", version=1),
                method=PluginRef(
                    name=entry.method, version=1, params={"row": entry.row}, changed=("row",)
                ),
                level=entry.zeros(place),
                seed=0,
                recipe=Recipe(),
                device=device,
                options=as_json(asked.model_dump()),
            )

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.layers.layers`."""
        from robench.stages.layers import layers

        return layers(cell, context)
