"""Operator fusion in the channels-first layout (NCHW), which is torch's default.

A compiled kernel computes a convolution together with the ops after it: a residual sum, a ReLU, a
max pooling. Forms of the convolution alone (cropped, gathered) are candidates as well.
"""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import fx, nn
from torch.nn import functional as F

from robench.deploy.autotune import fastest, sizes, timed
from robench.deploy.columns import forms_of, used_columns
from robench.deploy.forms.direct import DirectConv2d
from robench.graph.budget import CHOICE_S, Budget
from robench.graph.checks import precision_of
from robench.graph.observe import observe
from robench.graph.trace import Traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["fuse", "fuse_fastest"]

_SLACK_S = 5e-6
"""Seconds by which a form may be slower with one input, for gains with a batch."""
_LEAST_GAIN = 1.03
"""Least speed-up of a form with a batch."""
_SUMS = (operator.add, torch.add)
_RELUS = (torch.relu, F.relu, "relu")


@dataclass(frozen=True)
class _Chain:
    """A convolution and the steps after it that a kernel can fuse.

    Attributes:
        node: step of the convolution.
        behind: the fused steps, in forward order.
        added: the other operand of a residual sum, or ``None``.
        rectified: whether a ReLU is fused.
        pooled: whether a max pooling is fused.
    """

    node: fx.Node
    behind: tuple[fx.Node, ...] = ()
    added: fx.Node | None = None
    rectified: bool = False
    pooled: bool = False

    @property
    def name(self) -> str:
        """Qualified name of the convolution."""
        return str(self.node.target)

    @property
    def kind(self) -> tuple[bool, bool, bool]:
        """Which ops are fused: sum, ReLU, pooling."""
        return self.added is not None, self.rectified, self.pooled

    def direct(self, conv: nn.Conv2d, maps: Tensor) -> DirectConv2d:
        """The convolution with all fused ops as one module."""
        used, shape = used_columns(conv), (maps.shape[1], maps.shape[2], maps.shape[3])
        # Weights that were loaded later may be all zero; then the kernel skips no column.
        is_whole = bool(used.all()) or not bool(used.flatten(1).any(1).all())
        return DirectConv2d(
            conv, shape, None if is_whole else used,
            added=self.added is not None, rectified=self.rectified, pooled=self.pooled,
        ).eval()  # fmt: skip

    def one_by_one(self, form: nn.Module, beside: dict[int, Tensor]) -> Callable[[Tensor], Tensor]:
        """The unfused alternative: a form of the convolution, then torch's ops."""

        def call(maps: Tensor) -> Tensor:
            outputs: Tensor = form(maps)
            if self.added is not None:
                outputs = outputs + beside[len(maps)]
            if self.rectified:
                outputs = F.relu_(outputs)
            return F.max_pool2d(outputs, 2) if self.pooled else outputs

        return call


def fuse_fastest(
    module: fx.GraphModule, example: Tensor, budget: Budget | None = None
) -> dict[str, str]:
    """Give each convolution, with the ops after it, its fastest form on this machine; in place.

    Convolutions with most multiply-accumulates come first. Equal ones are timed once.

    Args:
        module: in evaluation mode, in any precision.
        example: a batch in the precision in which it will run; one input and all are timed.
        budget: time limit; a minute by default.

    Returns:
        Qualified name → form of the convolutions that were replaced, in the order of replacement:
        an op that one of them fused is no longer there for another.
    """
    single = copy.deepcopy(module).to(example.dtype)
    parts = dict(module.named_modules())
    calls = [str(node.target) for node in module.graph.nodes if node.op == "call_module"]
    seen = observe(single, [name for name in calls if type(parts[name]) is nn.Conv2d], example[:1])
    shapes = _shapes(module, example)
    timed_before: dict[object, str] = {}
    taken: dict[str, str] = {}
    names = sorted(seen, key=lambda name: _macs(parts[name], seen[name][1]), reverse=True)
    for name in (budget or Budget(CHOICE_S)).spend(names, "timing convolutions"):
        read, written = seen[name]
        chain = _chain(module, name, shapes)
        conv = cast("nn.Conv2d", single.get_submodule(name))
        kind = (str(conv), read.shape, chain.kind, used_columns(conv).cpu().numpy().tobytes())
        if kind not in timed_before:
            timed_before[kind] = _best(chain, conv, read, written, len(example))
        if timed_before[kind] != "dense":
            _replace(module, chain, timed_before[kind], read, shapes)
            taken[name] = timed_before[kind]
    return taken


def fuse(module: fx.GraphModule, forms: Mapping[str, str], example: Tensor) -> None:
    """Apply the forms that :func:`fuse_fastest` chose, in place and in that order.

    Args:
        module: with the same steps as the one that the forms were chosen for, in evaluation mode.
        forms: qualified name → form.
        example: one input, [1, …].

    Raises:
        AttributeError, ValueError: the forms do not fit the module.
    """
    shapes = _shapes(module, example)
    for name, form in forms.items():
        chain = _chain(module, name, shapes)
        (read,) = chain.node.all_input_nodes
        maps = example.new_empty(shapes[read])
        _replace(module, chain, form, maps, shapes)


def _replace(
    module: fx.GraphModule,
    chain: _Chain,
    form: str,
    maps: Tensor,
    shapes: dict[fx.Node, torch.Size],
) -> None:
    """Replace one convolution by a form, if its columns allow that form."""
    conv = module.get_submodule(chain.name)
    if not isinstance(conv, nn.Conv2d):
        raise ValueError(f"{chain.name!r} is no Conv2d")
    if form == "direct":
        module.set_submodule(chain.name, chain.direct(conv, maps))
        _insert(module, chain, shapes)
    else:
        module.set_submodule(chain.name, forms_of(conv, maps).get(form, conv))


def _macs(conv: nn.Module, written: Tensor) -> int:
    return conv.get_parameter("weight").numel() * written[0, 0].numel()


def _shapes(module: fx.GraphModule, example: Tensor) -> dict[fx.Node, torch.Size]:
    """Shape of each step's output for one input."""
    values = Traced(module, example[:1].to(precision_of(module))).values
    return {node: value.shape for node, value in values.items() if isinstance(value, torch.Tensor)}


def _best(chain: _Chain, conv: nn.Conv2d, read: Tensor, written: Tensor, count: int) -> str:
    """Name of the fastest form, for one input and for `count` of them."""
    maps, outputs = (_drawn(count, one) for one in (read, written))
    beside = {size: outputs[:size].clone() for size in sizes(maps)}
    forms = forms_of(conv, maps)
    calls = {name: chain.one_by_one(form, beside) for name, form in forms.items()}
    if "direct" in forms:
        direct = chain.direct(conv, maps)
        calls["direct"] = lambda read: direct(
            read, None if chain.added is None else beside[len(read)]
        )
    return fastest(timed(calls, maps), _SLACK_S, _LEAST_GAIN) if len(calls) > 1 else "dense"


def _drawn(count: int, like: Tensor) -> Tensor:
    shape = (count, *like.shape[1:])
    return torch.rand(shape, dtype=like.dtype, device=like.device)


def _insert(module: fx.GraphModule, chain: _Chain, shapes: dict[fx.Node, torch.Size]) -> None:
    """Call the fused convolution with both operands, and erase the fused steps."""
    if not chain.behind:
        return
    (maps,) = chain.node.all_input_nodes
    # The other operand may be computed after the convolution, so call it where the sum was.
    place = chain.node if chain.added is None else chain.behind[0]
    with module.graph.inserting_before(place):
        read = (maps,) if chain.added is None else (maps, chain.added)
        call = module.graph.call_module(chain.name, read)
    shapes[call] = shapes[chain.behind[-1]]
    chain.behind[-1].replace_all_uses_with(call)
    for node in (*reversed(chain.behind), chain.node):
        module.graph.erase_node(node)
    module.delete_all_unused_submodules()
    module.recompile()


def _chain(module: fx.GraphModule, name: str, shapes: dict[fx.Node, torch.Size]) -> _Chain:
    parts = dict(module.named_modules())
    calls = [node for node in module.graph.nodes if node.target == name]
    if len(calls) != 1:
        raise ValueError(f"{name!r} is no step of the network")
    (node,) = calls
    behind: list[fx.Node] = []
    added: fx.Node | None = None
    rectified = pooled = False
    last = node
    while len(last.users) == 1:
        (following,) = last.users
        if not behind and _is_sum(following, node, shapes):
            (added,) = (one for one in following.all_input_nodes if one is not node)
        elif not rectified and _is_relu(following, parts):
            rectified = True
        elif not pooled and added is None and _is_pooling(following, parts):
            pooled = True
        else:
            break
        behind.append(following)
        last = following
    return _Chain(node, tuple(behind), added, rectified, pooled)


def _is_sum(node: fx.Node, conv: fx.Node, shapes: dict[fx.Node, torch.Size]) -> bool:
    """Whether a step adds a tensor of the same shape to the output of a convolution.

    The fused convolution runs at the position of the sum; no other op may read its input, because
    an in-place op could overwrite it first.
    """
    operands, (maps,) = node.all_input_nodes, conv.all_input_nodes
    return (
        node.target in _SUMS
        and tuple(operands) == node.args
        and not node.kwargs
        and all(shapes.get(one) == shapes[conv] for one in operands)
        and len(set(operands)) == len(operands) > 1
        and set(maps.users) == {conv}
    )


def _is_relu(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(parts[str(node.target)]) is nn.ReLU
    return node.target in _RELUS


def _is_pooling(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    pool = parts.get(str(node.target)) if node.op == "call_module" else None
    if type(pool) is not nn.MaxPool2d or (pool.return_indices, pool.ceil_mode) != (False, False):
        return False
    pairs = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    return tuple(_pair(one) for one in pairs) == ((2, 2), (2, 2), (0, 0), (1, 1))


def _pair(extent: int | tuple[int, ...]) -> tuple[int, ...]:
    return extent if isinstance(extent, tuple) else (extent, extent)
