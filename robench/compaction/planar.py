"""Which other form computes a convolution, and what follows it, more quickly where maps are planes.

One channel lies after the other there, as torch has it by default. A convolution by a kernel of its
own takes the rectifier and the pooling behind it along.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from robench.compaction.columns import forms_of, used_columns
from robench.compaction.forms.direct import DirectConv2d
from robench.compaction.observe import observe
from robench.compaction.quickest import quickest, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, fx

__all__ = ["take_quickest"]

_SLACK_S = 5e-6
"""What a form may lose with one input, for gains with a batch."""
_LEAST_GAIN = 1.03
_RECTIFIERS = (torch.relu, F.relu, "relu")


@dataclass(frozen=True)
class _Chain:
    """A convolution and the steps behind it that a kernel may take along."""

    name: str
    behind: tuple[fx.Node, ...]
    rectified: bool
    pooled: bool

    def of(self, form: nn.Module) -> nn.Module:
        """A form of the convolution, followed by these steps."""
        steps = [nn.ReLU(inplace=True)] * self.rectified + [nn.MaxPool2d(2)] * self.pooled
        return nn.Sequential(form, *steps).eval()


def take_quickest(module: fx.GraphModule, example: Tensor) -> set[str]:
    """Give each convolution, with what follows it, the form that is the quickest here; in place.

    Args:
        module: in evaluation mode, in any precision.
        example: a batch in the precision in which it will run; one input and all are timed.

    Returns:
        Names of the convolutions that took a step behind them along.
    """
    single = copy.deepcopy(module).to(example.dtype)
    chains = {chain.name: chain for chain in _chains(module)}
    taken: set[str] = set()
    for name, (read, _) in observe(single, chains, example).items():
        chain, maps = chains[name], read.contiguous()
        conv = single.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        forms = {form: chain.of(own) for form, own in forms_of(conv, maps).items()}
        if "direct" in forms:
            forms["direct"] = _direct(chain, conv, maps)
        best = quickest(timed(forms, maps), _SLACK_S, _LEAST_GAIN)
        if best == "dense":
            continue
        own = module.get_submodule(name)
        assert isinstance(own, nn.Conv2d)
        if best == "direct":
            module.set_submodule(name, _direct(chain, own, maps))
            _leave_out(module, chain)
            taken |= {name} if chain.behind else set()
        else:
            module.set_submodule(name, forms_of(own, maps)[best])
    return taken


def _direct(chain: _Chain, conv: nn.Conv2d, maps: Tensor) -> DirectConv2d:
    used, shape = used_columns(conv), (maps.shape[1], maps.shape[2], maps.shape[3])
    return DirectConv2d(
        conv, shape, None if bool(used.all()) else used,
        rectified=chain.rectified, pooled=chain.pooled,
    ).eval()  # fmt: skip


def _leave_out(module: fx.GraphModule, chain: _Chain) -> None:
    for node in chain.behind:
        node.replace_all_uses_with(node.all_input_nodes[0])
        module.graph.erase_node(node)
    module.delete_all_unused_submodules()
    module.recompile()


def _chains(module: fx.GraphModule) -> Iterator[_Chain]:
    parts = dict(module.named_modules())
    for node in module.graph.nodes:
        if node.op != "call_module" or type(parts[str(node.target)]) is not nn.Conv2d:
            continue
        behind: list[fx.Node] = []
        rectified = pooled = False
        last = node
        while len(last.users) == 1:
            (last,) = last.users
            if not rectified and _is_rectifier(last, parts):
                rectified = True
            elif not pooled and _is_pooling(last, parts):
                pooled = True
            else:
                break
            behind.append(last)
        yield _Chain(str(node.target), tuple(behind), rectified, pooled)


def _is_rectifier(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(parts[str(node.target)]) is nn.ReLU
    return node.target in _RECTIFIERS


def _is_pooling(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    pool = parts.get(str(node.target)) if node.op == "call_module" else None
    if type(pool) is not nn.MaxPool2d or (pool.return_indices, pool.ceil_mode) != (False, False):
        return False
    pairs = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    return tuple(_pair(one) for one in pairs) == ((2, 2), (2, 2), (0, 0), (1, 1))


def _pair(extent: int | tuple[int, ...]) -> tuple[int, ...]:
    return extent if isinstance(extent, tuple) else (extent, extent)
