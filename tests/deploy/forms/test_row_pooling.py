"""Max pooling by rows and columns: the same function and the same gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.deploy.forms.row_pooling import RowMaxPool2d

few = settings(max_examples=25, deadline=None)


@few
@given(
    size=st.sampled_from([1, 2, 3, (2, 1), (1, 4)]),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
)
def test_maxima_of_rows_are_max_pooling(check_same, size, height, width) -> None:
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0)).double()
    pool = nn.MaxPool2d(size)
    check_same(RowMaxPool2d(pool), pool, maps)


def test_equal_neighbours_share_the_gradient() -> None:
    maps = torch.ones(1, 1, 2, 2, requires_grad=True)
    RowMaxPool2d(nn.MaxPool2d(2))(maps).backward()
    assert maps.grad is not None
    assert maps.grad.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
