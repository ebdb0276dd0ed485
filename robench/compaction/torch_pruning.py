"""Compaction of networks that torch.fx cannot trace, by Torch-Pruning (Fang et al. 2023).

Torch-Pruning (arXiv:2301.12900) follows the history that autograd keeps of one forward pass, and
finds the dependency groups: layers that must lose a channel together. It removes any channels it is
given; here these are the channels that are zero in all layers of their group, and the result is
proven equal as in every compaction. It sees only the path that an example takes through forward().
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from robench.compaction.report import LayerReport
from robench.errors import CompactionError, InputError
from robench.graph.observe import run

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["remove_dead_groups"]

_Layers = nn.Conv2d | nn.Linear
_Norms = nn.BatchNorm1d | nn.BatchNorm2d
_CHANNELS = (1, 2**64 - 3)
"""The channel dimension of [N, C, H, W], as 1 and as −3 in autograd's unsigned form."""
_CUTS = ("_SplitOp", "_UnbindOp")
"""Torch-Pruning's steps that cut channels into pieces, which it does not shrink correctly."""
_MIXING = (
    "Amax", "Amin", "Cum", "Flip", "Gather", "Glu", "Index", "LinalgVectorNorm", "LogSoftmax",
    "Logsumexp", "Max", "Median", "Min", "Mode", "Norm", "Prod", "Roll", "Softmax", "Sort", "Stack",
    "Std", "Topk", "Var",
)  # fmt: skip
"""Prefixes of autograd's names of functions that combine several channels."""


@dataclass(frozen=True)
class _Group:
    """A dependency group: layers that lose a channel together, and the steps between them."""

    items: Any
    graph: Any
    names: Mapping[nn.Module, str]
    reads_zero: Mapping[nn.Module, Tensor]

    def writes(self, item: Any) -> bool:
        """Whether the layer would lose units, not only inputs."""
        is_layer = isinstance(item.dep.target.module, _Layers)
        return is_layer and self.graph.is_out_channel_pruning_fn(item.dep.handler)

    def gives_logits(self, item: Any) -> bool:
        """Whether the step computes the logits."""
        is_reader = isinstance(item.dep.target.module, _Layers) and not self.writes(item)
        return not item.dep.target.outputs and not is_reader

    def obstacle(self, item: Any) -> str | None:
        """Reason that the channels of this step cannot be removed, or ``None``."""
        part = item.dep.target.module
        name = self.names.get(part, item.dep.target.name)
        if isinstance(part, nn.Conv2d) and part.groups > 1:
            is_depthwise = part.groups == part.in_channels == part.out_channels
            return None if is_depthwise else f"{name!r} is a grouped convolution"
        if _mixes_channels(part):
            return f"{item.dep.target.name!r} may mix, count or cut channels"
        if isinstance(part, nn.Parameter):
            return "a parameter outside layers has these channels"
        may_count = isinstance(part, nn.Module) and not isinstance(part, _Layers | _Norms)
        if may_count and any(True for _ in part.parameters()):
            return f"{name!r}, a {type(part).__name__}, may mix or count channels"
        return None

    def zeros(self, item: Any) -> Tensor:
        """Bool for each index of this step: whether the channel is zero here."""
        part, places = item.dep.target.module, torch.tensor(item.idxs)
        if not isinstance(part, _Layers) or getattr(part, "groups", 1) > 1:
            return torch.ones(len(places), dtype=torch.bool)
        if self.writes(item):
            return (part.weight.detach()[places] == 0).flatten(1).all(1).cpu()
        return self.reads_zero[part][places].cpu()


@dataclass(frozen=True)
class _Dead:
    """Channels of one dependency group to remove."""

    root: nn.Module
    handler: Any
    channels: list[int]


def remove_dead_groups(
    original: nn.Module, inputs: Tensor, sizes: Sequence[tuple[int, ...]] = ()
) -> tuple[nn.Module, dict[str, Tensor], tuple[LayerReport, ...]]:
    """Remove the channels whose weights are zero in all layers of their dependency group.

    Layers that read them must read zero. Groups with a step that counts or mixes channels
    (LayerNorm, GroupNorm, grouped convolutions, parameters outside layers), the group of the
    logits, and one channel of each group are kept.

    Args:
        original: float64, in evaluation mode; it is not changed.
        inputs: real inputs, float64 [N, …].
        sizes: other sizes of images that the network takes, [H, W] each: what is read as zero must
            be zero there too.

    Returns:
        The smaller network, which remains to be proven equal; layer → bool [units], which of its
        units are left; and one entry a layer for the report.

    Raises:
        InputError: Torch-Pruning is not installed.
        CompactionError: a layer is called twice or not at all, a weight is computed on each call,
            Torch-Pruning cannot follow the network, or the smaller network does not run.
    """
    library = _library()
    network = copy.deepcopy(original)
    names = {part: name for name, part in network.named_modules()}
    trainable = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    network.requires_grad_()  # without gradients there is no history to trace
    layers = _layers_of(network)
    kept = {name: torch.ones(len(part.weight), dtype=torch.bool) for name, part in layers.items()}
    notes: dict[str, str] = {}
    with torch.enable_grad():
        reads_zero = _observed(network, layers, inputs)
        generator = torch.Generator().manual_seed(0)
        for size in sizes:
            drawn = torch.rand(2, inputs.shape[1], *size, generator=generator).to(inputs)
            other = _observed(network, layers, drawn)
            reads_zero = {layer: zero & other[layer] for layer, zero in reads_zero.items()}
        graph = library.DependencyGraph()
        with _following(network):
            graph.build_dependency(
                network, inputs[:1], forward_fn=lambda model, batch: model(batch), verbose=False
            )
            dead = [
                _dead_of(_Group(group, graph, names, reads_zero), kept, notes)
                for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear])
            ]
            # A second pass: pruning renumbers the channels of all groups that share a layer.
            for found in dead:
                if found.channels:
                    graph.get_pruning_group(found.root, found.handler, found.channels).prune()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trainable[name])
    _check_it_runs(network, inputs)
    return network, kept, tuple(_reports(network, original, kept, notes))


def _mixes_channels(part: object) -> bool:
    """Whether a step combines channels although Torch-Pruning treats it as channel-wise."""
    if type(part).__name__ in _CUTS:
        return True
    if type(part).__name__ == "_SliceOp":
        return cast("Any", part).grad_fn._saved_dim in _CHANNELS  # autograd has no other name
    name = str(getattr(part, "_grad_fn", ""))  # autograd's name of a function
    return name.startswith(_MIXING) and "Pool" not in name


def _library() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise InputError(
            "backend='torch-pruning' needs the package Torch-Pruning, which is not installed",
            hint="pip install 'robench[pruning]', or pip install 'torch-pruning>=1.5'",
        ) from error
    return torch_pruning


def _layers_of(network: nn.Module) -> dict[str, _Layers]:
    """Layers that are called as modules; attention reads the weights of its layers directly."""
    attention = [
        f"{name}."
        for name, part in network.named_modules()
        if isinstance(part, nn.MultiheadAttention)
    ]
    return {
        name: part
        for name, part in network.named_modules()
        if isinstance(part, _Layers) and not name.startswith(tuple(attention))
    }


def _observed(
    network: nn.Module, layers: Mapping[str, _Layers], inputs: Tensor
) -> dict[nn.Module, Tensor]:
    """Layer → bool [inputs], true where it reads nothing but zero; each is called once."""
    seen: dict[nn.Module, Tensor] = {}

    def watch(name: str, layer: _Layers) -> None:
        def note(_: nn.Module, read: tuple[Tensor, ...], __: Tensor) -> None:
            if layer in seen:
                raise CompactionError(
                    f"the layer {name!r} is called twice",
                    where=name,
                    hint="give each place a layer of its own",
                )
            # Linear has its features last, whatever lies before them.
            channels = read[0].detach().movedim(-1 if isinstance(layer, nn.Linear) else 1, 0)
            seen[layer] = (channels.flatten(1) == 0).all(1)

        hooks.callback(layer.register_forward_hook(note).remove)

    # Mirrored inputs cover pixels that are black in every example.
    mirrored = inputs.amin() + inputs.amax() - inputs
    with ExitStack() as hooks:
        for name, layer in layers.items():
            watch(name, layer)
        run(network, torch.cat([inputs, mirrored]))
    for name, layer in layers.items():
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            raise CompactionError(
                f"the weight of {name!r} is no parameter but computed on each call",
                where=name,
                hint="make it permanent first: torch.nn.utils.prune.remove, "
                "torch.nn.utils.parametrize.remove_parametrizations",
            )
        if layer not in seen:
            raise CompactionError(
                f"the layer {name!r} is not called for these inputs, so that nothing can be said "
                "about where it is",
                where=name,
                hint="take it out, or give examples for which forward() calls it",
            )
    return seen


def _dead_of(group: _Group, kept: Mapping[str, Tensor], notes: dict[str, str]) -> _Dead:
    """The dead channels of a group, as indices of its root; clears them in `kept`."""
    root, handler = group.items[0].dep.target.module, group.items[0].dep.handler
    writers = [item for item in group.items if group.writes(item)]
    reason = next((why for item in group.items if (why := group.obstacle(item))), None)
    if reason is not None:
        notes.update({group.names[item.dep.target.module]: reason for item in writers})
    if reason is not None or any(group.gives_logits(item) for item in group.items):
        return _Dead(root, handler, [])
    alive = torch.zeros(len(root.weight), dtype=torch.bool)
    for item in group.items:
        alive[torch.tensor(item.root_idxs)[~group.zeros(item)]] = True
    for item in writers:  # several writers may share a group, with adjacent channels
        places = torch.tensor(item.root_idxs)
        if not alive[places].any():
            alive[places[0]] = True
    for item in writers:
        gone = ~alive[torch.tensor(item.root_idxs)]
        kept[group.names[item.dep.target.module]][torch.tensor(item.idxs)[gone]] = False
    return _Dead(root, handler, (~alive).nonzero().flatten().tolist())


@contextmanager
def _following(network: nn.Module) -> Iterator[None]:
    """Turn any error of Torch-Pruning into a :class:`CompactionError`."""
    try:
        yield
    except Exception as error:  # the package raises errors of many types
        raise CompactionError(
            f"Torch-Pruning cannot follow {type(network).__name__}: "
            f"{type(error).__name__}: {error}",
            hint="the original is unchanged; write forward() so that torch.fx can trace it",
        ) from error


def _check_it_runs(network: nn.Module, inputs: Tensor) -> None:
    """Run the network once: a width hard-coded in forward() fails here."""
    try:
        with torch.no_grad():
            run(network, inputs[:1])
    except InputError as error:
        raise CompactionError(
            f"{type(network).__name__} without its dead channels does not run: {error.__cause__}",
            hint="forward() probably has a width written into it; ask the tensors, as in "
            "x.flatten(1) or x.shape[1]",
        ) from error


def _reports(
    network: nn.Module, original: nn.Module, kept: dict[str, Tensor], notes: dict[str, str]
) -> Iterator[LayerReport]:
    for name, units in kept.items():
        before, after = original.get_submodule(name), network.get_submodule(name)
        if len(after.get_parameter("weight")) != int(units.sum()):
            raise CompactionError(
                f"Torch-Pruning left {len(after.get_parameter('weight'))} units of {name!r} where "
                f"{int(units.sum())} were to stay",
                where=name,
            )
        yield LayerReport(
            name=name,
            kind=type(before).__name__,
            units_before=len(units),
            units_after=int(units.sum()),
            constants_folded=0,
            note=notes.get(name),
        )
