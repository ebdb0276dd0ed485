"""A network as a graph of steps, with the value of each step for one input."""

from __future__ import annotations

import operator
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx, nn
from torch.utils._pytree import tree_map_only

from robench.errors import CompactionError
from robench.graph.axes import is_view
from robench.graph.calls import operands
from robench.graph.norms import Norm, functional_norms
from robench.graph.observe import run
from robench.graph.operations import BatchNorm, Seen, Weighted, axis_of, kind_of
from robench.models.chain import is_in_place, trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from robench.graph.operations import Kind

__all__ = ["Traced", "traced_copy"]

_REFUSED = nn.Conv2d | nn.Linear
"""Layers that must not be shared; other shared layers are left unchanged."""


class Traced:
    """A network as a graph, with the properties that compaction needs.

    It is a snapshot: make a new one after the graph or a weight has changed.

    Args:
        module: the network as a graph module, in evaluation mode.
        example: one input, [1, …], in the precision of the network.

    Attributes:
        module: the network.
        nodes: its steps, in the order of execution.
        parts: its modules by qualified name.
        values: output of each step.
        kinds: what each step does to channels.
        axes: channel axis of each step's output.
        overwritten: steps with an output of which another step overwrites a view, while others
            read it.

    Raises:
        InputError: the network does not take the example.
    """

    def __init__(self, module: fx.GraphModule, example: Tensor) -> None:
        self.module = module
        self.nodes = list(module.graph.nodes)
        self.parts: dict[str, nn.Module] = dict(module.named_modules())
        self.values = _values(module, example)
        self._norms = functional_norms(module)
        seen = Seen(self.parts, self.values, self._norms, _not_plain(self.nodes, self.parts))
        self.kinds: dict[fx.Node, Kind] = seen.kinds
        self.axes: dict[fx.Node, int] = seen.axes
        for node in self.nodes:
            seen.kinds[node] = kind_of(node, seen)
            seen.axes[node] = axis_of(node, seen)
        self.overwritten = {
            source
            for node in self.nodes
            if self.kinds[node] != "form" and is_in_place(node, module)
            for source in self._viewed(node)
        }

    @property
    def weighted(self) -> list[tuple[fx.Node, Weighted]]:
        """The steps that call a convolution, a Linear or a subclass, with their modules."""
        calls = [(node, self.parts.get(str(node.target))) for node in self.nodes]
        return [(node, part) for node, part in calls if isinstance(part, Weighted)]

    @property
    def layers(self) -> list[fx.Node]:
        """The steps that are a convolution or Linear."""
        return [node for node in self.nodes if self.kinds[node] == "layer"]

    def layer(self, node: fx.Node) -> Weighted:
        """The module of a layer's step."""
        module = self.parts[str(node.target)]
        if not isinstance(module, Weighted):
            raise TypeError(f"{node.name} is no layer")
        return module

    def norm(self, node: fx.Node) -> Norm:
        """The BatchNorm of a step, whether it calls a module or a function."""
        name = str(node.target)
        return self._norms.get(node) or Norm.of_module(name, self.parts[name])

    def norm_called(self, node: fx.Node) -> Norm | None:
        """The BatchNorm that a step computes, even if its channels cannot be followed."""
        is_module = node.op == "call_module" and isinstance(self.parts[str(node.target)], BatchNorm)
        is_function = node.op == "call_function" and node in self._norms
        return self.norm(node) if is_module or is_function else None

    def norm_tensor(self, node: fx.Node, name: str) -> Tensor | None:
        """A tensor [channels] of the BatchNorm of a step, such as ``weight``, or ``None``."""
        norm = self.norm(node)
        if name not in norm.tensors:
            return None
        tensor: Tensor = getattr(self.parts[norm.name], name)
        return tensor

    def reads(self, node: fx.Node) -> list[fx.Node]:
        """The steps whose tensors a step reads, without sizes.

        Operands of a concatenation are in order, and repeated where they occur several times.
        """
        if self.kinds[node] == "concatenate":
            return operands(node)
        return [read for read in node.all_input_nodes if self.kinds[read] != "form"]

    def channels(self, node: fx.Node) -> int:
        """Number of channels of a step's output; 0 if it has none."""
        value, axis = self.values[node], self.axes[node]
        is_tensor = isinstance(value, torch.Tensor) and value.ndim > axis
        return int(value.shape[axis]) if is_tensor else 0

    def fits(self, node: fx.Node) -> bool:
        """Whether a layer reads along the channel axis of its source."""
        return self.axes[node] == self.axes[self.reads(node)[0]]

    def piece_sizes(self, node: fx.Node) -> list[int]:
        """Number of channels of each piece of a split."""
        return [piece.shape[self.axes[node]] for piece in self.values[node]]

    def pieces(self, node: fx.Node, channels: Tensor) -> Tensor:
        """The part of per-channel values [channels] that a split or a piece selects."""
        if node.target is not operator.getitem:
            return channels
        (source,) = self.reads(node)
        chosen = torch.split(channels, self.piece_sizes(source))[cast("int | slice", node.args[1])]
        if isinstance(chosen, torch.Tensor):
            return chosen
        return torch.cat(chosen) if chosen else channels[:0]

    def _viewed(self, node: fx.Node) -> Iterator[fx.Node]:
        """The steps of which a step reads a view and that others read as well."""
        view = next(iter(self.reads(node)), None)
        while view is not None and is_view(view, self.parts):
            view = next(iter(self.reads(view)), None)
            users = [] if view is None or self.kinds[view] == "split" else view.users
            if view is not None and sum(self.kinds[user] != "form" for user in users) > 1:
                yield view

    def read(self, node: fx.Node) -> Tensor:
        """The input tensor of a step with one input."""
        value: Tensor = self.values[self.reads(node)[0]]
        return value


def traced_copy(model: nn.Module) -> fx.GraphModule:
    """A graph module with copies of the network's modules.

    Raises:
        NotApplicableError: the network cannot be traced.
        CompactionError: a layer is called twice, or its weight is computed on each call.
    """
    graph = trace(model, closely=True)
    _refuse_reuse(graph, model)
    module = fx.GraphModule(model, graph, class_name=type(model).__name__)
    module.graph.eliminate_dead_code()
    return module


def _not_plain(nodes: list[fx.Node], parts: dict[str, nn.Module]) -> set[str]:
    """Layers that are called in several places, or whose weight is computed on each call."""
    called = [str(node.target) for node in nodes if node.op == "call_module"]
    layers = {name: count for name, count in Counter(called).items() if name in parts}
    return {
        name
        for name, count in layers.items()
        if isinstance(parts[name], Weighted) and (count > 1 or not _owns_weight(parts[name]))
    }


def _owns_weight(layer: nn.Module) -> bool:
    return "weight" in dict(layer.named_parameters(recurse=False))


def _values(module: fx.GraphModule, example: Tensor) -> dict[fx.Node, Any]:
    recorder = _Recorder(module)
    with torch.no_grad():
        run(recorder, example)
    return recorder.seen


class _Recorder(nn.Module):
    """Runs a graph and records the output of each step."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__()
        self.seen: dict[fx.Node, Any] = {}
        self._interpreter = _Interpreter(module, self.seen)

    def forward(self, inputs: Tensor) -> Any:
        return self._interpreter.run(inputs)


class _Interpreter(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, seen: dict[fx.Node, Any]) -> None:
        super().__init__(module, garbage_collect_values=False)
        self._seen = seen

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        # Copies, since the next step may work in place.
        self._seen[n] = tree_map_only(torch.Tensor, torch.clone, value)
        return value


def _refuse_reuse(graph: fx.Graph, model: nn.Module) -> None:
    """Refuse a layer that is called twice: each call might need to lose other units."""
    parts = dict(model.named_modules())
    seen: set[str] = set()
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(parts[str(node.target)], _REFUSED):
            continue
        name = str(node.target)
        if name in seen:
            raise CompactionError(
                f"the layer {name!r} is called twice",
                where=name,
                hint="give each place a layer of its own",
            )
        seen.add(name)
        if not _owns_weight(parts[name]):
            raise CompactionError(
                f"the weight of {name!r} is no parameter but computed on each call",
                where=name,
                hint="make it permanent first: torch.nn.utils.prune.remove, "
                "torch.nn.utils.parametrize.remove_parametrizations",
            )
