"""Networks that are chains: layers in forward order, and what lies between them.

Methods that remove neurons and filters, and compaction after them, need to know which layer reads
what another one writes. A chain is the plain case: every operation reads the result of the one
before it, and nothing else. :func:`chain` finds the order by tracing the network with `torch.fx`;
it looks, and changes nothing.
"""

from __future__ import annotations

import inspect
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from torch import fx, nn

from robench.errors import NotApplicableError
from robench.models.plain import Weighted, torch_type

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Layer", "Operation", "chain", "is_in_place", "trace"]

_LAYERS = (nn.Conv2d, nn.Linear)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# Methods and attributes of a tensor that tell its form, not its values.
_FORM_METHODS = {"size", "dim", "numel"}
_FORM_ATTRIBUTES = {"shape", "ndim", "dtype", "device"}
_FAILURES = (
    fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError, NameError,
    LookupError, AssertionError,
)  # fmt: skip
"""What tracing raises, beside its own error, where forward() does what no graph can hold."""
_IN_PLACE = {"iadd", "isub", "imul", "itruediv", "ifloordiv", "ipow", "imod"}
_ARITHMETIC = {operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv}


@dataclass(frozen=True, eq=False)
class Operation:
    """One step between two layers: BatchNorm, an activation, pooling, flatten, dropout.

    Attributes:
        name: qualified name of the module; for a function or method, its name in the trace.
        module: the module that is called, or ``None`` for a function or a method.
        target: what is called: the qualified name of a module, the function, or the name of the
            tensor's method.
        args: positional arguments; where the step reads another step, an `fx.Node` stands.
        kwargs: keyword arguments, likewise.
    """

    name: str
    module: nn.Module | None
    target: str | Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Layer:
    """One Conv2d or Linear of a chain, and what its outputs pass on their way to the next one.

    Attributes:
        name: qualified name, as in ``model.get_submodule(name)``.
        module: the layer itself, not a copy.
        batch_norm: the first BatchNorm between this layer and the next, or ``None``.
        is_output: whether this is the last layer, whose units are the logits.
        between: every step from this layer to the next (or to the end), in forward order, the
            BatchNorm included.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    batch_norm: nn.BatchNorm1d | nn.BatchNorm2d | None
    is_output: bool
    between: tuple[Operation, ...] = ()

    @property
    def units(self) -> int:
        """Number of output channels (Conv2d) or output features (Linear)."""
        module = self.module
        return module.out_channels if isinstance(module, nn.Conv2d) else module.out_features


def chain(model: nn.Module) -> list[Layer]:
    """The Conv2d and Linear layers of a network that is a chain, in forward order.

    A module of the user's own that holds no layer (a normalisation, an activation) counts as one
    step; one that holds layers is traced into.

    Args:
        model: a network with one input and one output, in any mode.

    Returns:
        At least one layer; the last has ``is_output`` set.

    Raises:
        NotApplicableError: the network cannot be traced, branches or joins, uses one layer twice,
            or has no Conv2d or Linear. The message names the step.
    """
    steps = _steps(trace(model), model)
    starts = [index for index, step in enumerate(steps) if _is_layer(step.module)]
    if not starts:
        raise NotApplicableError(
            f"{type(model).__name__} calls no Conv2d or Linear module",
            hint="layers must be nn.Conv2d or nn.Linear, called as modules",
        )
    _refuse_reuse(steps)
    ends = [*starts[1:], len(steps)]
    return [
        _layer(steps[start], steps[start + 1 : end], is_output=end == len(steps))
        for start, end in zip(starts, ends, strict=True)
    ]


class _Tracer(fx.Tracer):
    """Stops at torch's modules, at layers, and at what holds neither a layer nor a BatchNorm.

    A subclass of one of torch's modules that computes what its base computes is one of them.

    A module whose class says `is_one_step` is one, whatever it holds. Parameters of forward() that
    have a default are given it: networks are called with their input alone.
    """

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,
    ) -> tuple[Any, list[Any]]:
        function, arguments = super().create_args_for_root(root_fn, is_module, concrete_args)
        code = inspect.unwrap(root_fn).__code__
        parameters = inspect.signature(inspect.unwrap(root_fn)).parameters
        for place, name in enumerate(code.co_varnames[: len(arguments)]):
            given = parameters.get(name)
            if place < 2 or given is None:  # the module and its input
                continue
            if given.kind is given.VAR_POSITIONAL:
                arguments[place] = ()
            elif given.kind is given.VAR_KEYWORD:
                arguments[place] = {}
            elif given.default is not given.empty:
                arguments[place] = given.default
        return function, arguments

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if getattr(m, "is_one_step", False):
            return True
        if isinstance(m, _LAYERS) or _is_of_torch(self, m, module_qualified_name):
            return True
        return not any(isinstance(part, _LAYERS + _BATCH_NORMS) for part in m.modules())


class _CloseTracer(_Tracer):
    """Goes into modules that hold layers, no tensor, or a BatchNorm's, where they can be traced."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if not super().is_leaf_module(m, module_qualified_name):
            return False
        if getattr(m, "is_one_step", False) or isinstance(m, Weighted):
            return True
        if _is_of_torch(self, m, module_qualified_name):
            return True
        if any(isinstance(part, Weighted) for part in m.modules()):
            return not _can_be_traced(m)
        is_norm = {"running_mean", "running_var"} <= dict(m.named_buffers(recurse=False)).keys()
        holds_tensors = any(True for _ in (*m.parameters(), *m.buffers()))
        return (holds_tensors and not is_norm) or not _can_be_traced(m)


def _is_of_torch(tracer: fx.Tracer, module: nn.Module, name: str) -> bool:
    """Whether a module is one of torch's, or computes what one of torch's layers computes."""
    if fx.Tracer.is_leaf_module(tracer, module, name):
        return True
    return torch_type(module) is not None and not isinstance(module, nn.Sequential)


def _can_be_traced(module: nn.Module) -> bool:
    try:
        fx.Tracer().trace(module)
    except _FAILURES:
        return False
    return True


def trace(model: nn.Module, *, closely: bool = False) -> fx.Graph:
    """The operations of a network with one output, layers and BatchNorm as one node each.

    Args:
        model: it stays as it is.
        closely: whether a module of the user's own without parameters and buffers, or with a
            BatchNorm's, becomes the operations that it does, where it can be traced, instead of one
            node.

    Raises:
        NotApplicableError: the network cannot be traced.
    """
    try:
        graph = (_CloseTracer if closely else _Tracer)().trace(model)
    except _FAILURES as error:
        raise NotApplicableError(
            f"{type(model).__name__} cannot be traced: {error}",
            hint="forward() may not branch on the values or the shape of its input",
        ) from error
    _leave_out_unused_inputs(graph)
    _follow_in_place(graph, model)
    traced = fx.GraphModule(model, graph)
    traced.graph.eliminate_dead_code()
    return traced.graph


def _leave_out_unused_inputs(graph: fx.Graph) -> None:
    for node in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        if not node.users and node.args:  # it has a default
            graph.erase_node(node)


def _follow_in_place(graph: fx.Graph, model: nn.Module) -> None:
    """What a step wrote over, later steps read from that step: else a graph would leave it out."""
    forms: set[fx.Node] = set()
    seen: set[fx.Node] = set()
    for node in graph.nodes:
        seen.add(node)
        if _is_form(node, forms):
            forms.add(node)
        elif is_in_place(node, model) and node.all_input_nodes[0] not in forms:
            node.all_input_nodes[0].replace_all_uses_with(
                node, delete_user_cb=lambda user: user not in seen
            )


def is_in_place(node: fx.Node, model: nn.Module) -> bool:
    """Whether a step of a network's graph writes over the tensor that it reads first."""
    if node.op == "call_module":
        return getattr(model.get_submodule(str(node.target)), "inplace", False) is True
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    if node.op != "call_function" or not node.all_input_nodes:
        return False
    name = getattr(node.target, "__name__", "")
    is_operator = getattr(operator, name, None) is node.target and name in _IN_PLACE
    is_named = name.endswith("_") and not name.endswith("__")
    return is_operator or is_named or node.kwargs.get("inplace") is True


def _steps(graph: fx.Graph, model: nn.Module) -> list[Operation]:
    """The operations from input to output, each reading only the one before it."""
    steps: list[Operation] = []
    current: fx.Node | None = None
    forms: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr" or _is_form(node, forms):
            forms.add(node)
        elif node.op == "placeholder" and current is None:
            current = node
        elif [read for read in node.all_input_nodes if read not in forms] != [current]:
            fault = "is an input" if node.op == "placeholder" else f"reads {_listed(node)}"
            raise NotApplicableError(
                f"{type(model).__name__} is not a chain: {node.name!r} {fault}",
                where=_place(node),
                allowed="networks of one input, whose every step reads the step before it alone",
            )
        elif node.op != "output":
            steps.append(_operation(node, model))
            current = node
    return steps


def _is_form(node: fx.Node, forms: set[fx.Node]) -> bool:
    """Whether the node gives a size or a type, such as ``x.size(0)``, rather than activations."""
    if node.op == "call_method" and node.target in _FORM_METHODS:
        return True
    if node.target is getattr and node.args[1] in _FORM_ATTRIBUTES:
        return True
    reads = node.all_input_nodes
    is_arithmetic = node.op == "call_function" and node.target in _ARITHMETIC
    return is_arithmetic and bool(reads) and all(read in forms for read in reads)


def _operation(node: fx.Node, model: nn.Module) -> Operation:
    if node.op != "call_module":
        return Operation(node.name, None, node.target, node.args, dict(node.kwargs))
    name = str(node.target)
    return Operation(name, model.get_submodule(name), name, node.args, dict(node.kwargs))


def _layer(step: Operation, between: list[Operation], *, is_output: bool) -> Layer:
    module = step.module
    if not _is_layer(module):  # the caller starts at layers only
        raise TypeError(f"{step.name} is no layer")
    norms = (later.module for later in between if isinstance(later.module, _BATCH_NORMS))
    return Layer(step.name, module, next(norms, None), is_output, tuple(between))


def _is_layer(module: nn.Module | None) -> TypeGuard[nn.Conv2d | nn.Linear]:
    return isinstance(module, _LAYERS)


def _refuse_reuse(steps: list[Operation]) -> None:
    """A layer or a BatchNorm that is called twice serves two places: no chain."""
    seen: set[str] = set()
    for step in steps:
        if isinstance(step.module, _LAYERS + _BATCH_NORMS):
            if step.name in seen:
                raise NotApplicableError(
                    f"the layer {step.name!r} is called twice",
                    where=step.name,
                    hint="give each place a layer of its own",
                )
            seen.add(step.name)


def _listed(node: fx.Node) -> str:
    names = [repr(read.name) for read in node.all_input_nodes]
    return " and ".join(names) if names else "nothing"


def _place(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else f"{node.op} {node.name}"
