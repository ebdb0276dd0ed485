"""The code of a convolution, run: what torch's own gives, for vectors of any width."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from robench.deploy.kernels.layout import Layout, Machine, Shape, channels_of
from robench.deploy.kernels.native import Kernel, this_machine

pytestmark = pytest.mark.skipif(this_machine() is None, reason="no kernels are compiled here")
MACHINES = (Machine(16, 32), Machine(8, 16), Machine(4, 32))


def run(
    shape: Shape, machine: Machine, maps: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor
) -> Tensor:
    """All columns of `weight`, [filters, channels, …], that are not zero everywhere."""
    columns = [tuple(one) for one in (weight != 0).any(0).nonzero().tolist()]
    taken = torch.stack([weight[(slice(None), *column)] for column in columns], 1).contiguous()
    kernel = Kernel(Layout(shape, machine))
    offsets = torch.tensor(kernel.layout.offsets(columns), dtype=torch.int32)
    channels = torch.tensor(channels_of(columns), dtype=torch.int32)
    # What lies before and behind must stay as it is.
    size = shape.all_filters * shape.written[0] * shape.written[1]
    room = torch.full((len(maps) * size + 64,), torch.pi)
    outputs = room[32:-32]
    kernel(
        maps.data_ptr(), added.data_ptr(), outputs.data_ptr(), taken.data_ptr(),
        channels.data_ptr(), offsets.data_ptr(), 0 if bias is None else bias.data_ptr(), len(maps),
    )  # fmt: skip
    assert (room[:32] == torch.pi).all()
    assert (room[-32:] == torch.pi).all()
    return outputs.view(len(maps), shape.all_filters, *shape.written)


def expected(shape: Shape, maps: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor):
    outputs = F.conv2d(maps, weight, bias, shape.stride, shape.padding, shape.dilation)
    if shape.added:
        outputs = outputs + added
    if shape.rectified:
        outputs = F.relu(outputs)
    return F.max_pool2d(outputs, 2) if shape.pooled else outputs


@settings(max_examples=20, deadline=None)
@given(
    machine=st.sampled_from(MACHINES),
    maps=st.tuples(st.integers(6, 36), st.integers(6, 36)),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 5)]),
    stride=st.sampled_from([(1, 1), (2, 2), (4, 3)]),
    padding=st.sampled_from([(0, 0), (1, 1), (2, 3)]),
    dilation=st.sampled_from([(1, 1), (2, 1)]),
    filters=st.integers(1, 23),
    share=st.sampled_from([0.0, 0.7]),
    follows=st.sampled_from(
        ["", "has_bias", "added", "added rectified", "pooled", "has_bias rectified pooled"]
    ),
)
def test_it_computes_the_convolution(
    machine, maps, kernel, stride, padding, dilation, filters, share, follows
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(filters, 3, *kernel, generator=generator)
    weight[:, torch.rand(weight.shape[1:], generator=generator) < share] = 0
    weight[:, 1, 0, 0] = 1.0  # never empty
    used = (weight != 0).any(0)
    shape = Shape(
        channels=int(used.flatten(1).any(1).sum()), filters=filters, columns=int(used.sum()),
        maps=maps, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
        all_channels=3, all_filters=filters,
        **{name: name in follows.split() for name in ("has_bias", "added", "rectified", "pooled")},
    )  # fmt: skip
    if 0 in shape.written:
        return
    images = torch.randn(2, 3, *maps, generator=generator)
    bias = torch.randn(filters, generator=generator) if shape.has_bias else None
    added = torch.randn(2, filters, *shape.positions, generator=generator)
    wanted = expected(shape, images, weight, bias, added)
    found = run(shape, machine, images, weight, bias, added)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("rectified", "pooled"), list(itertools.product([False, True], repeat=2)))
def test_what_is_no_number_stays_so(rectified: bool, pooled: bool) -> None:
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 1, 1], maps[0, 0, 4, 4], maps[0, 0, 6, 6] = torch.nan, torch.inf, -torch.inf
    shape = Shape(1, 1, 1, (8, 8), (1, 1), all_channels=1, all_filters=1, has_bias=False,
                  rectified=rectified, pooled=pooled)  # fmt: skip
    weight = torch.ones(1, 1, 1, 1)
    found = run(shape, MACHINES[0], maps, weight, None, maps)
    torch.testing.assert_close(
        found, expected(shape, maps, weight, None, maps), equal_nan=True, atol=0, rtol=0
    )
