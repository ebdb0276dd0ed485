"""Every multiplication is counted, whoever asks for it: by hand, and by torch's own counter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

from robench._torchvision import import_torchvision
from robench.measure.counter import Operations, count_operations


def count(model: nn.Module, *shape: int) -> Operations:
    return count_operations(model.eval(), torch.rand(shape))


class Function(nn.Module):
    """A function of the inputs and of a parameter."""

    def __init__(self, compute: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.compute, self.kernel = compute, nn.Parameter(torch.rand(shape) + 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.compute(inputs, self.kernel)


def by_torch(model: nn.Module, *shape: int) -> int:
    """Multiply-accumulates by torch's counter alone, of plain operators."""
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops:
            model.eval()(torch.rand(shape))
    finally:
        torch.backends.mha.set_fastpath_enabled(value=True)
    return flops.get_total_flops() // 2


def test_transposed_convolutions_by_hand() -> None:
    """Each pixel of the maps that are read is spread over the whole kernel of each filter."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1), nn.ConvTranspose2d(4, 6, 3, groups=2),
    )  # fmt: skip
    counted = count(model, 2, 3, 16, 12)
    by_hand = [8 * 6 * 8 * 27, 8 * 6 * 8 * 4 * 16, 16 * 12 * 4 * 3 * 9]
    assert [layer.macs for layer in counted.layers] == by_hand
    assert [layer.name for layer in counted.layers] == ["0", "2", "3"]
    with torch.no_grad():
        model[2].weight[:2] = 0
    assert count(model, 2, 3, 16, 12).layers[1].macs_nonzero == by_hand[1] * 6 // 8
    for layer in (nn.ConvTranspose1d(3, 4, 5, stride=3), nn.ConvTranspose3d(3, 4, 2, stride=2)):
        shape = (1, 3, *[4] * (layer.weight.ndim - 2))
        assert count(layer, *shape).macs == 4 ** (len(shape) - 2) * layer.weight.numel()


@pytest.mark.parametrize(
    ("compute", "kernel", "inputs", "macs"),
    [
        (F.conv2d, (4, 3, 3, 3), (1, 3, 6, 5), 4 * 3 * 108),
        (F.conv_transpose2d, (3, 4, 2, 2), (1, 3, 5, 5), 1200),
        (F.linear, (7, 5), (1, 3, 5), 105),
        (lambda rows, kernel: rows @ kernel, (5, 7), (1, 5), 35),
        (lambda rows, kernel: rows @ kernel, (5,), (1, 3, 5), 15),
        (lambda rows, kernel: rows[0] @ kernel, (5,), (1, 5), 5),
        (lambda rows, kernel: torch.addmv(kernel[:3], rows[0], kernel), (5,), (1, 3, 5), None),
        (lambda rows, kernel: torch.einsum("bij,jk->bik", rows, kernel), (5, 7), (1, 3, 5), 105),
        (lambda rows, kernel: torch.einsum("bhi,hij->bhj", rows, kernel), (2, 5, 4), (1, 2, 5), 40),
        (lambda rows, kernel: torch.tensordot(rows, kernel, dims=1), (5, 7), (1, 5), 35),
        (lambda rows, kernel: torch.baddbmm(kernel[:, :1], rows, kernel), (1, 5, 7), (1, 3, 5),
         105),
    ],
)  # fmt: skip
def test_functions_with_parameters_of_their_own(compute, kernel, inputs, macs) -> None:
    model = Function(compute, *kernel)
    if macs is None:
        macs, model.kernel = 15, nn.Parameter(torch.rand(5))
    counted = count(model, *inputs)
    assert (counted.macs, counted.macs_nonzero) == (macs, macs)
    assert [layer.name for layer in counted.layers] == [""]
    assert not counted.uncounted
    with torch.no_grad():
        model.kernel.zero_()
    assert count(model, *inputs).macs_nonzero == 0


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_gates_by_hand(cell: type[nn.RNNBase], gates: int) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell(5, 7, num_layers=2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(14, 3)

        def forward(self, rows: Tensor) -> Tensor:
            return self.head(self.cell(rows)[0][:, -1])

    model, steps = Recurrent(), 6
    by_hand = steps * 2 * gates * 7 * ((5 + 7) + (14 + 7))
    counted = count(model, 2, steps, 5)
    assert {layer.name: layer.macs for layer in counted.layers} == {"cell": by_hand, "head": 42}
    assert counted.macs_nonzero == counted.macs
    with torch.no_grad():
        model.cell.weight_hh_l0.zero_()
    lost = steps * gates * 7 * 7
    assert count(model, 2, steps, 5).macs_nonzero == counted.macs - lost
    assert not counted.uncounted


def test_attention_by_hand() -> None:
    """Four projections, q·k and what it weighs; zeros of activations are none of weights."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True)

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, rows: Tensor) -> Tensor:
            return self.attention(rows, rows, rows, need_weights=False)[0]

    counted = count(Attending(), 1, 5, 8)
    assert counted.macs == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    with torch.no_grad():
        attention.in_proj_weight[:8] = 0  # no queries: q·k is computed all the same
    assert count(Attending(), 1, 5, 8).macs_nonzero == counted.macs - 5 * 8 * 8


def convnext() -> nn.Module:
    models = import_torchvision().models
    setting = [
        models.convnext.CNBlockConfig(8, 16, 1),
        models.convnext.CNBlockConfig(16, None, 1),
    ]
    return models.ConvNeXt(setting, num_classes=5)


def vision_transformer() -> nn.Module:
    models = import_torchvision().models
    return models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5)


def upsampling() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ConvTranspose2d(8, 8, 2, 2, groups=4),
        nn.GroupNorm(2, 8), nn.GELU(), nn.Upsample(scale_factor=2), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


@pytest.mark.parametrize("make", [convnext, vision_transformer, upsampling])
def test_twice_the_count_is_what_torch_counts(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, shape = make().eval(), (1, 3, 32, 32)
    model(torch.rand(shape))
    counted = count(model, *shape)
    assert counted.macs == by_torch(model, *shape)
    assert counted.macs == counted.macs_nonzero + _of_zeros(model)
    assert not counted.uncounted


def _of_zeros(model: nn.Module) -> int:
    """A new vision transformer's head is of zeros; nothing else is."""
    head = getattr(getattr(model, "heads", None), "head", None)
    return 0 if head is None else 16 * 5


def test_a_vision_transformer_by_hand() -> None:
    tokens, width, hidden = 17, 16, 32
    block = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * hidden
    by_hand = 16 * 3 * 64 * width + 2 * block + 5 * width
    assert count(vision_transformer(), 1, 3, 32, 32).macs == by_hand


def test_weights_that_are_computed_keep_their_zeros() -> None:
    pruned = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 4))
    prune.random_unstructured(pruned[0], "weight", 0.5)
    parametrizations.weight_norm(pruned[1])
    counted = count(pruned, 1, 6)
    assert (counted.macs, counted.macs_nonzero) == (24 + 16, 12 + 16)
    merged = Function(lambda rows, kernel: rows @ (kernel @ kernel.mT), 5, 2)
    assert count(merged, 1, 5).macs == 25 + 5 * 2 * 5


def test_what_is_not_counted_is_said() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = nn.Bilinear(4, 4, 3)

        def forward(self, rows: Tensor) -> Tensor:
            turned = torch.fft.rfft(torch.fft.rfft(rows).real).abs()
            return self.pair(rows, rows) + turned.sum()

    counted = count(Mixed(), 1, 4)
    assert dict(counted.uncounted) == {"_fft_r2c": 2, "_trilinear": 1}
    assert counted.to_json()["uncounted"] == {"_fft_r2c": 2, "_trilinear": 1}


def test_switches_of_torch_are_as_before() -> None:
    before = torch.backends.cudnn.enabled, torch.backends.mha.get_fastpath_enabled()
    count(nn.Linear(3, 2), 1, 3)
    assert (torch.backends.cudnn.enabled, torch.backends.mha.get_fastpath_enabled()) == before
