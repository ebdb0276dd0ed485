"""What every form of a layer is held to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(scope="session")
def check_same() -> Callable[[nn.Module, nn.Module, Tensor], None]:
    """``check_same(form, part, maps)``: the same outputs and the same input gradients."""

    def check(form: nn.Module, part: nn.Module, maps: Tensor) -> None:
        found, expected = maps.clone().requires_grad_(), maps.clone().requires_grad_()
        written, wanted = form(found), part(expected)
        torch.testing.assert_close(written, wanted, rtol=0, atol=1e-12)
        (written.square().sum() + wanted.square().sum()).backward()
        assert found.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=1e-11)

    return check
