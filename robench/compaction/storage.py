"""Compacted networks on disk: weights as safetensors, widths and report as JSON; never pickle."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import nn

from robench.compaction.columns import apply_columns
from robench.compaction.edits import apply_edits
from robench.compaction.norms import NUM_FEATURES, TENSORS
from robench.compaction.report import CompactionReport, report_of
from robench.compaction.trace import traced_copy
from robench.errors import StoreError
from robench.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

__all__ = ["load", "opened", "resize", "save", "sizes_of", "write_file"]

_FORMAT = "robench-compacted-1"
_Sized = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d


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


def write_file(path: str | Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Write the tensors of a network, and what else there is to say of it.

    Raises:
        StoreError: the file cannot be written.
    """
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    try:
        write_atomically(Path(path), serialise(tensors, metadata))
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written: {error}", hint="check the folder and its permissions"
        ) from error


@contextmanager
def opened(
    path: str | Path, form: str, *, what: str, hint: str
) -> Iterator[tuple[dict[str, str], dict[str, Tensor]]]:
    """Metadata and tensors of a file, and one error for whatever does not fit them in the block.

    Args:
        path: the file.
        form: its format, as it says itself.
        what: a network of which it may hold none, for the message.
        hint: what to do then.

    Raises:
        StoreError: the file is missing, damaged, of another kind or of another architecture.
    """
    metadata, tensors = _read_file(path)
    try:
        if metadata["format"] != form:
            raise ValueError(f"its format is {metadata['format']!r}, not {form!r}")
        yield metadata, tensors
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"{str(path)!r} holds no {what}: {error}", where=str(path), hint=hint
        ) from error


def _read_file(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file.

    Raises:
        StoreError: it is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names: list[str] = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{str(path)!r} is no readable safetensors file: {error}", where=str(path)
        ) from error


def sizes_of(model: nn.Module) -> dict[str, dict[str, int]]:
    """The sizes that a compaction may change, by qualified name of the module."""
    return {name: _sizes(part) for name, part in _sized(model).items()}


def _sized(model: nn.Module) -> dict[str, _Sized]:
    """The modules whose size a compaction may change, by qualified name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, _Sized)}


def _sizes(module: _Sized) -> dict[str, int]:
    if isinstance(module, nn.Conv2d):
        return {
            "in_channels": module.in_channels,
            "out_channels": module.out_channels,
            "groups": module.groups,
        }
    if isinstance(module, nn.Linear):
        return {"in_features": module.in_features, "out_features": module.out_features}
    return {"num_features": module.num_features}


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
        _make_room(f"{layer}.{first}", conv, tensors)
    apply_columns(network, choices, used)


def resize(
    network: nn.Module, sizes: Mapping[str, Mapping[str, int]], tensors: Mapping[str, Tensor]
) -> None:
    """Give every layer and BatchNorm its size on file, and room for the tensors on file."""
    parts = _sized(network)
    if set(parts) != set(sizes):
        raise ValueError(f"its layers are {sorted(sizes)}, not {sorted(parts)}")
    for name, part in parts.items():
        if set(sizes[name]) != set(_sizes(part)):
            raise ValueError(f"{name!r} is no {type(part).__name__}")
        for attribute, size in sizes[name].items():
            setattr(part, attribute, int(size))
        _make_room(name, part, tensors)
    for name, module in network.named_modules():
        if name not in parts and isinstance(getattr(module, "running_mean", None), torch.Tensor):
            _make_room_for_norm(name, module, tensors)


def _make_room_for_norm(name: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Tensors of a BatchNorm of the sizes on file, whether a module or a function computes it.

    They need not be of one size: where forward() normalises without the weight, it stays whole.
    """
    for tensor in TENSORS:
        own = getattr(module, tensor, None)
        stored = tensors.get(f"{name}.{tensor}" if name else tensor)
        if stored is not None and own is not None and stored.ndim == own.ndim == 1:
            own.data = own.detach().new_empty(stored.shape)
    statistics = getattr(module, "running_mean", None)
    if statistics is not None and isinstance(getattr(module, NUM_FEATURES, None), int):
        setattr(module, NUM_FEATURES, len(statistics))


def _make_room(name: str, module: _Sized, tensors: Mapping[str, Tensor]) -> None:
    """Parameters of the module's sizes, where there are tensors under that name."""
    trainable = module.weight is None or module.weight.requires_grad
    if isinstance(module, nn.Conv2d):
        inputs = module.in_channels // module.groups
        shape: tuple[int, ...] = (module.out_channels, inputs, *module.kernel_size)
    elif isinstance(module, nn.Linear):
        shape = (module.out_features, module.in_features)
    else:
        _make_room_for_norm(name, module, tensors)
        return
    # A layer without a bias may have been given one, to take constants over.
    for parameter, extent in (("weight", shape), ("bias", shape[:1])):
        if f"{name}.{parameter}" in tensors:
            room = nn.Parameter(torch.empty(extent), requires_grad=trainable)
            setattr(module, parameter, room)
