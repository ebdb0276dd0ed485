"""Multiply-accumulates by hand, by the papers' arithmetic, and by torch's own counter."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from robench.errors import InputError
from robench.measure.counter import count_operations, file_bytes, model_bytes
from robench.models import MODELS, build


def mlp(*widths: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*parts[:-1]).eval()


def lenet_5() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    ).eval()  # fmt: skip


def test_lenet_300_100_by_hand() -> None:
    counted = count_operations(mlp(784, 300, 100, 10), torch.rand(3, 784))
    assert counted.macs == 784 * 300 + 300 * 100 + 100 * 10
    assert counted.parameters == 266_610


def test_lenet_5_by_hand() -> None:
    counted = count_operations(lenet_5(), torch.rand(1, 1, 28, 28))
    by_hand = [24 * 24 * 20 * 25, 8 * 8 * 50 * 20 * 25, 800 * 500, 500 * 10]
    assert [layer.macs for layer in counted.layers] == by_hand
    assert counted.macs == counted.macs_nonzero == sum(by_hand)
    assert counted.parameters == 431_080


@pytest.mark.parametrize(
    ("alive", "percent"),
    [((469, 294, 166, 10), (35.18, 32.54, 55.33)), ((434, 174, 78, 10), (19.26, 9.05, 26.00))],
)
def test_mlp_rows_of_wen_et_al_2016(alive: tuple[int, ...], percent: tuple[float, ...]) -> None:
    """784-500-300-10 with so many neurons alive keeps this share of the operations, by layer."""
    model = mlp(784, 500, 300, 10)
    layers = [part for part in model if isinstance(part, nn.Linear)]
    with torch.no_grad():
        for layer, (inputs, outputs) in zip(layers, pairwise(alive), strict=True):
            layer.weight[outputs:] = 0
            layer.weight[:, inputs:] = 0
    counted = count_operations(model, torch.rand(1, 784))
    shares = [100 * layer.macs_nonzero / layer.macs for layer in counted.layers]
    assert shares == pytest.approx(percent, abs=0.006)


@pytest.mark.parametrize(
    ("filters", "channels", "percent"),
    [((5, 19), (1, 4), (25, 7.6)), ((3, 12), (1, 3), (15, 3.6))],
)
def test_lenet_rows_of_wen_et_al_2016(
    filters: tuple[int, int], channels: tuple[int, int], percent: tuple[float, float]
) -> None:
    model = lenet_5()
    with torch.no_grad():
        for layer, rows, inputs in zip((model[0], model[2]), filters, channels, strict=True):
            layer.weight[rows:] = 0
            layer.weight[:, inputs:] = 0
    counted = count_operations(model, torch.rand(1, 1, 28, 28))
    shares = [100 * layer.macs_nonzero / layer.macs for layer in counted.layers[:2]]
    assert shares == pytest.approx(percent)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
)
def test_twice_the_count_is_what_torch_counts(
    seed: int, kernel: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(72, 5),
    ).eval()
    example = torch.rand(1, 4, 9, 11, generator=torch.Generator().manual_seed(seed))
    with FlopCounterMode(display=False) as counter:
        model(example)
    assert counter.get_total_flops() == 2 * count_operations(model, example).macs


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("alexnet", (3, 64, 64)),
        ("convnet", (1, 32, 32)),
        ("geometric-mlp", (40,)),
        ("lenet-300-100", (1, 28, 28)),
        ("lenet-5", (1, 28, 28)),
        ("mlp", (1, 32, 32)),
        ("resnet", (3, 32, 32)),
        ("resnet20", (3, 32, 32)),
        ("resnet32", (3, 32, 32)),
        ("vgg-small", (3, 32, 32)),
        ("torchvision:mobilenet_v2", (3, 64, 64)),
        ("torchvision:googlenet", (3, 96, 96)),
    ],
)
def test_each_network_costs_half_of_what_torch_counts(name: str, shape: tuple[int, ...]) -> None:
    mean, std = [0.5] * shape[0], [0.2] * shape[0]
    network = build(name, input_shape=shape, classes=7, mean=mean, std=std)
    example = torch.rand(1, *shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(example)
    assert counter.get_total_flops() == 2 * count_operations(network, example).macs


def test_every_network_of_ours_is_compared_with_torchs_counter() -> None:
    (marks,) = test_each_network_costs_half_of_what_torch_counts.pytestmark
    assert set(MODELS.names()) <= {name for name, _ in marks.args[1]}


def test_a_zero_weight_is_skipped_at_every_output_position() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1)).eval()
    with torch.no_grad():
        model[0].weight[0, 1] = 0  # nine weights
        model[0].bias.zero_()
    counted = count_operations(model, torch.rand(4, 2, 5, 7))
    assert counted.macs == 5 * 7 * 54
    assert counted.macs_nonzero == 5 * 7 * 45
    assert (counted.parameters, counted.parameters_nonzero) == (57, 45)


def test_a_layer_called_twice_counts_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, rows: Tensor) -> Tensor:
            return self.fc(self.fc(rows))

    counted = count_operations(Twice().eval(), torch.rand(2, 4))
    assert (counted.macs, counted.parameters) == (32, 20)


def test_a_lone_layer_and_rows_of_rows() -> None:
    assert count_operations(nn.Linear(4, 3).eval(), torch.rand(2, 5, 4)).macs == 5 * 12


def test_bytes_count_buffers_and_what_is_shared_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    assert model_bytes(model) == 4 * (16 + 4 + 4 * 4 + 4) + 8  # num_batches_tracked is int64


def test_the_file_is_as_long_as_the_one_that_is_written(tmp_path: Path) -> None:
    model = lenet_5()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    assert file_bytes(model) == (tmp_path / "weights.safetensors").stat().st_size
    assert file_bytes(model) - 4 * 431_080 < 1000  # names and shapes


def test_the_file_holds_what_is_shared_once() -> None:
    model = nn.Sequential(nn.Linear(50, 50), nn.Linear(50, 50), nn.BatchNorm1d(50))
    apart = file_bytes(model)
    model[1].weight = model[0].weight
    assert apart - 4 * 2500 - 100 < file_bytes(model) < apart - 4 * 2500


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_compressed_rows_take_the_bytes_of_their_three_parts() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.eye(100).to_sparse_csr())

    held = 4 * 100 + 8 * 100 + 8 * 101
    assert model_bytes(Held()) == held
    assert held < file_bytes(Held()) < held + 400


def test_counting_leaves_no_trace() -> None:
    model = lenet_5()
    example = torch.rand(2, 1, 28, 28)
    before = example.clone()
    count_operations(model, example)
    assert all(not part._forward_hooks for part in model.modules())
    assert torch.equal(example, before)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(InputError, match=r"model\.eval\(\)"):
        count_operations(nn.Linear(2, 2), torch.rand(1, 2))
    with pytest.raises(InputError, match=r"\(1, 3\)"):
        count_operations(nn.Linear(2, 2).eval(), torch.rand(1, 3))
