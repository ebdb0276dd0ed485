"""Compacted networks on disk: weights as safetensors, widths and report as JSON; never pickle."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.compaction.graph_edits import apply_edits
from robench.compaction.report import CompactionReport, report_of
from robench.deploy.columns import apply_columns
from robench.graph.trace import traced_copy
from robench.graph.weights import make_room, opened, resize, sizes_of, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["load", "save"]

_FORMAT = "robench-compacted-1"


def save(compacted: nn.Module, path: str | Path) -> None:
    """Write a compacted network to one file, which is there whole or not at all.

    Args:
        compacted: what :func:`robench.compaction.compact` or :func:`load` returned.
        path: the file, by custom ``*.safetensors``; one that is there is replaced.

    Raises:
        InputError: the network carries no compaction report.
        StoreError: the file cannot be written.
    """
    metadata = {
        "format": _FORMAT,
        "sizes": json.dumps(sizes_of(compacted)),
        "report": json.dumps(report_of(compacted).to_json()),
    }
    write_file(path, compacted, metadata)


def load(path: str | Path, template: nn.Module) -> nn.Module:
    """Read a compacted network.

    Args:
        path: a file that :func:`save` wrote.
        template: a network of the architecture that was compacted, such as
            :func:`robench.models.build` gives; its weights do not matter, and it stays as it is.

    Returns:
        The compacted network in evaluation mode, on the template's device, with its ``.report``.

    Raises:
        StoreError: the file is missing, damaged, of another kind or of another architecture.
    """
    hint = "build the template with the parameters of the network that was compacted"
    what = f"compacted {type(template).__name__} of this architecture"
    with opened(path, _FORMAT, what=what, hint=hint) as (metadata, tensors):
        report = CompactionReport.from_json(json.loads(metadata["report"]))
        network = _edited(copy.deepcopy(template).eval(), report, tensors)
        sizes = json.loads(metadata["sizes"])
        _reform(network, report, sizes, tensors)
        resize(network, sizes, tensors)
        network.load_state_dict(tensors, assign=True)
    object.__setattr__(network, "report", report)  # see compactor.py
    device = next(template.parameters()).device
    return network.to(device)


def _edited(network: nn.Module, report: CompactionReport, tensors: dict[str, Tensor]) -> nn.Module:
    """The network as its class has it, or as a graph where its graph was changed."""
    if not report.edits:
        return network
    return apply_edits(traced_copy(network), list(report.edits), tensors)


def _reform(
    network: nn.Module,
    report: CompactionReport,
    sizes: Mapping[str, Mapping[str, int]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Give convolutions over some of their columns the form that they have on file."""
    used = {}
    choices = [choice for choice in report.columns if choice.form != "dense"]
    for choice in choices:
        conv = network.get_submodule(choice.name)
        if not isinstance(conv, nn.Conv2d):
            raise ValueError(f"{choice.name!r} is no Conv2d")
        inner = [own for name, own in sizes.items() if name.startswith(f"{choice.name}.")]
        layer = f"{choice.name}.layer" if choice.form == "direct" else choice.name
        used[choice.name] = tensors.get(f"{layer}.columns", torch.empty(0))
        conv.in_channels = choice.input_shape[0]
        if choice.form == "cropped":
            conv.out_channels, conv.groups = inner[0]["out_channels"], inner[0]["groups"]
        else:
            conv.out_channels = sum(own["out_features"] for own in inner)
            conv.groups = len(used[choice.name])
        first = "conv" if choice.form == "cropped" else "products.0"
        make_room(f"{layer}.{first}", conv, tensors)
    apply_columns(network, choices, used)
