"""Which subclasses of torch's modules compute what their base computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from robench.compaction import compact
from robench.models.chain import chain
from robench.models.plain import torch_type


class Conv(nn.Conv2d):
    """With other initial weights, and a size that it knows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)
        self.known = outputs

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)


class Deeper(Conv):
    """A subclass of a subclass."""


class OtherConv(nn.Conv2d):
    """Overrides what forward() calls."""

    def _conv_forward(self, *arguments: Tensor | None) -> Tensor:
        maps: Tensor = super()._conv_forward(*arguments)
        return maps.flip(1)


class OtherLinear(nn.Linear):
    """Overrides forward() itself."""

    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows).flip(1)


class Mixed:
    """Another base, before torch's."""

    def __call__(self, maps: Tensor) -> Tensor:
        return super().__call__(maps).flip(1)


class MixedReLU(Mixed, nn.ReLU):
    """A call does more than forward()."""


class Norm(nn.BatchNorm2d):
    """The same as its base."""


class Rectifier(nn.ReLU):
    """The same as its base."""


class Chain(nn.Sequential):
    """The same as its base."""


@pytest.mark.parametrize(
    ("module", "base"),
    [
        (nn.Conv2d(1, 1, 1), nn.Conv2d),
        (Conv(1, 1), nn.Conv2d),
        (Deeper(1, 1), nn.Conv2d),
        (Norm(2), nn.BatchNorm2d),
        (Rectifier(), nn.ReLU),
        (Chain(), nn.Sequential),
        (OtherConv(1, 1, 1), None),
        (OtherLinear(1, 1), None),
        (MixedReLU(), None),
        (None, None),
    ],
)
def test_torch_type(module: nn.Module | None, base: type[nn.Module] | None) -> None:
    assert torch_type(module) is base


def test_what_a_module_overrides_itself() -> None:
    layer = nn.Linear(2, 2)
    object.__setattr__(layer, "forward", lambda rows: rows)
    assert torch_type(layer) is None
    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    assert torch_type(layer) not in (nn.Linear, nn.Module)


def network(first: nn.Module) -> nn.Module:
    model = Chain(first, Norm(6), Rectifier(), nn.Conv2d(6, 2, 1), nn.Flatten(), nn.Linear(32, 3))
    with torch.no_grad():
        model.get_parameter("0.weight")[1] = 0
        model.get_parameter("1.bias")[1] = -1
    return model.double().eval()


@pytest.mark.parametrize(("first", "left"), [(Deeper(3, 6), 5), (OtherConv(3, 6, 1), 6)])
def test_compaction_takes_subclasses_for_their_base(first: nn.Module, left: int) -> None:
    model = network(first)
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    compacted = compact(model, images, columns=False)
    layer, norm = compacted.get_submodule("0"), compacted.get_submodule("1")
    assert type(layer) is type(first)
    assert type(norm) is Norm
    assert layer.out_channels == norm.num_features == left
    torch.testing.assert_close(compacted(images), model(images), atol=1e-12, rtol=1e-12)


def test_a_chain_of_subclasses() -> None:
    layers = chain(network(Deeper(3, 6)))
    assert [layer.name for layer in layers] == ["0", "3", "5"]
    assert type(layers[0].batch_norm) is Norm
