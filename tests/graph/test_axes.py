"""Signals, volumes, decoders and tokens: networks whose channels are not those of images."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.compaction import CompactionReport, compact, load, report_of, save
from robench.compaction.storage import sizes_of, write_file
from robench.graph.axes import by_channel, flattened
from robench.graph.operations import Transposed, Weighted
from tests.networks import Net

Forward = Callable[[Any, Tensor], Tensor]


def net(forward: Forward, **parts: nn.Module) -> Net:
    return Net(forward, **parts).double().eval()


def kill(layer: nn.Module, dead: int, constant: int = 0) -> None:
    """Make the first units of a layer zero, and some after them constant."""
    assert isinstance(layer, Weighted)
    weight = layer.weight.transpose(0, 1) if isinstance(layer, Transposed) else layer.weight
    with torch.no_grad():
        weight[: dead + constant] = 0
        if layer.bias is not None:
            layer.bias[:dead] = 0


def same(model: nn.Module, shapes: list[tuple[int, ...]]) -> nn.Module:
    """Compact with an input of the first shape, and compare at all of them."""
    model = model.double().eval()
    compacted = compact(model, torch.rand(3, *shapes[0]).double(), columns=False)
    for shape in shapes:
        before, after = (evaluate(one, shape) for one in (model, compacted))
        torch.testing.assert_close(after, before, atol=1e-9, rtol=1e-9)
    report = report_of(compacted)
    assert report.parameters_after == sum(value.numel() for value in compacted.parameters())
    assert report.only_shape is None
    return compacted


def evaluate(model: nn.Module, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    leaf = torch.randn(2, *shape, generator=generator, dtype=torch.float64).requires_grad_()
    logits = model(leaf)
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    return logits.detach(), gradient


def sizes(compacted: nn.Module) -> dict[str, int]:
    """Units left of each layer."""
    return {layer.name: layer.units_after for layer in report_of(compacted).layers}


# -- convolutions along one dimension and three ---------------------------------------------------


def signal_network() -> nn.Module:
    """Conv1d 2 → 8 → 6, BatchNorm, pooling, and a head."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(2, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 6, 3), nn.GELU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip


def test_signals(tmp_path: Path) -> None:
    model = signal_network()
    kill(model[0], 3, 2)  # whose border the second convolution, which is not padded, never sees
    kill(model[4], 2, 1)
    compacted = same(model, [(2, 16), (2, 9), (2, 31)])
    assert sizes(compacted) == {"0": 3, "4": 3, "8": 4}
    # 3·2·3 + 3, BatchNorm's 2·3, 3·3·3 + 3, 4·3 + 4
    assert report_of(compacted).parameters_after == 21 + 6 + 30 + 16
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", signal_network())
    signals = torch.rand(2, 2, 20).double()
    torch.testing.assert_close(again(signals), compacted(signals))


def test_one_sample_long_signals() -> None:
    model = nn.Sequential(
        nn.Conv1d(5, 8, 1), nn.ReLU(), nn.Conv1d(8, 3, 1), nn.AdaptiveMaxPool1d(1)
    )
    model = net(lambda m, x: m.head(m.body(x).squeeze(-1)), body=model, head=nn.Linear(3, 2))
    kill(model.get_submodule("body.0"), 4, 2)
    kill(model.get_submodule("body.2"), 1)
    compacted = same(model, [(5, 1), (5, 3), (5, 8)])
    assert sizes(compacted) == {"body.0": 2, "body.2": 2, "head": 2}


def test_a_constant_whose_border_a_padded_convolution_sees_stays() -> None:
    model = nn.Sequential(
        nn.Conv1d(2, 6, 1), nn.Conv1d(6, 4, 3, padding=1), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    )
    kill(model[0], 2, 3)
    compacted = same(model, [(2, 8), (2, 5)])
    assert sizes(compacted) == {"0": 4, "1": 4}
    assert "pads a constant" in str(report_of(compacted).layers[0].note)


def test_volumes() -> None:
    model = nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(8, 8, 3, padding=1, groups=8), nn.Conv3d(8, 6, 1), nn.AvgPool3d(2),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 2),
    )  # fmt: skip
    kill(model[0], 3)
    kill(model[4], 3)
    kill(model[5], 2, 1)
    with torch.no_grad():
        model[1].get_parameter("bias")[3] = 1.5
        model[1].get_parameter("weight")[3] = (
            0  # a constant, which the padding of the next layer would see
        )
    compacted = same(model, [(1, 8, 8, 8), (1, 9, 8, 12)])
    assert sizes(compacted) == {"0": 5, "4": 5, "5": 3, "9": 2}
    # 5·27 + 5, 2·5, 5·27 + 5, 3·5 + 3, 2·3 + 2
    assert report_of(compacted).parameters_after == 140 + 10 + 140 + 18 + 8


# -- transposed convolutions ----------------------------------------------------------------------


def test_a_decoder(tmp_path: Path) -> None:
    def network() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(8, 6, 3, 2, padding=1, output_padding=1), nn.Tanh(),
            nn.ConvTranspose2d(6, 4, 3, groups=2), nn.ReLU(), nn.Conv2d(4, 1, 1),
        )  # fmt: skip

    model = network()
    kill(model[0], 3)
    kill(model[2], 0, 2)
    with torch.no_grad():
        model[2].bias[3] = 0
        model[2].weight[:, 3] = 0
        model[4].weight[:2] = 0
        model[4].weight[:, 1] = 0
    compacted = same(model, [(1, 8, 8), (1, 7, 12)])
    # Of the second layer, 0 and 1 are read by nobody and 3 is zero; its groups keep two each.
    assert sizes(compacted) == {"0": 5, "2": 4, "4": 2, "6": 1}
    # 5·9 + 5, 5·4·9 + 4, 2·(2·1)·9 + 2, 2 + 1
    assert report_of(compacted).parameters_after == 50 + 184 + 38 + 3
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", network())
    images = torch.rand(2, 1, 10, 8).double()
    torch.testing.assert_close(again(images), compacted(images))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_what_is_constant_before_a_transposed_convolution_stays(
    dimensions: int, groups: int
) -> None:
    """Its windows overlap unevenly, so that no bias can take the constant over."""
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dimensions - 1]
    model = nn.Sequential(
        conv(1, 6, 1), nn.ReLU(), transposed(6, 6, 3, stride=2, groups=groups, output_padding=1),
        nn.Flatten(2), nn.ReLU(), nn.Conv1d(6, 2, 1),
    )  # fmt: skip
    kill(model[0], 1, 2)
    with torch.no_grad():
        model[0].get_parameter("bias")[1:3] = 1.0
        model[0].get_parameter("weight")[3:] = 1.0
    compacted = same(model, [(1, *[4] * dimensions), (1, *[3] * dimensions)])
    kept = {1: 5, 2: 6, 6: 5}[groups]  # groups stay of one size
    assert sizes(compacted)["0"] == kept


def test_a_decoder_beside_a_skip_connection() -> None:
    model = net(
        lambda m, x: m.last(torch.cat([m.up(m.down(m.first(x)).relu()), x], 1)),
        first=nn.Conv2d(2, 6, 3, padding=1), down=nn.Conv2d(6, 8, 2, 2),
        up=nn.ConvTranspose2d(8, 4, 2, 2), last=nn.Conv2d(6, 2, 3, padding=1),
    )  # fmt: skip
    kill(model.get_submodule("down"), 5)
    kill(model.get_submodule("up"), 3)
    compacted = same(model, [(2, 8, 8), (2, 4, 10)])
    assert sizes(compacted) == {"first": 6, "down": 3, "up": 1, "last": 2}


def test_an_output_size_that_is_given_is_left_alone() -> None:
    model = net(
        lambda m, x: m.last(m.up(m.first(x), output_size=(8, 8))),
        first=nn.Conv2d(1, 4, 1), up=nn.ConvTranspose2d(4, 4, 2, 2), last=nn.Conv2d(4, 1, 1),
    )  # fmt: skip
    kill(model.get_submodule("first"), 2)
    compacted = same(model, [(1, 4, 4)])
    assert sizes(compacted) == {"first": 4, "up": 4, "last": 1}


# -- Linear of tokens and of maps whose channels lie last -----------------------------------------


def mlp(features: int, hidden: int, *parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(features), nn.Linear(features, hidden), nn.GELU(), nn.Dropout(0.1),
        *parts, nn.Linear(hidden, features),
    )  # fmt: skip


def test_an_mlp_of_tokens(tmp_path: Path) -> None:
    """12 hidden units, of which 4 are dead and 3 have a constant of their own."""

    def network() -> nn.Module:
        torch.manual_seed(2)
        body, head = mlp(5, 12), nn.Linear(5, 3)
        return net(lambda m, x: m.head((x + m.body(x)).mean(1)), body=body, head=head)

    model = network()
    kill(model.get_submodule("body.1"), 4, 3)
    compacted = same(model, [(7, 5), (1, 5), (11, 5)])
    assert sizes(compacted) == {"body.1": 5, "body.4": 5, "head": 3}
    # LayerNorm's 2·5, 5·5 + 5, 5·5 + 5, 3·5 + 3
    assert report_of(compacted).parameters_after == 10 + 30 + 30 + 18
    assert [layer.constants_folded for layer in report_of(compacted).layers] == [3, 0, 0]
    assert type(compacted) is Net
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", network())
    tokens = torch.rand(2, 4, 5).double()
    torch.testing.assert_close(again(tokens), compacted(tokens))


@pytest.mark.parametrize(
    ("cut", "is_even"),
    [
        (lambda y: y.chunk(2, dim=-1), True),
        (lambda y: torch.split(y, [6, 6], 2), True),
        (lambda y: y.split((4, 8), -1), False),
    ],
)
def test_gates_of_tokens(cut: Callable[[Tensor], Any], is_even: bool) -> None:
    """SwiGLU: both pieces of a hidden unit go together."""

    def gate(m: Any, x: Tensor) -> Tensor:
        first, second = cut(m.fc1(x))
        hidden = F.silu(first) * second if is_even else torch.cat([second.tanh(), first], -1)
        return (x + m.fc2(hidden))[:, 0]

    model = net(gate, fc1=nn.Linear(4, 12), fc2=nn.Linear(6 if is_even else 12, 4))
    kill(model.get_submodule("fc1"), 3)  # of the first piece
    compacted = same(model, [(5, 4), (2, 4), (9, 4)])
    assert sizes(compacted)["fc1"] == (6 if is_even else 9)


def test_the_block_of_a_convnext() -> None:
    def block(m: Any, x: Tensor) -> Tensor:
        inner = m.mlp(m.depthwise(x).permute(0, 2, 3, 1)).mul(m.scale)
        return m.head((x + inner.permute(0, 3, 1, 2)).mean([-2, -1]))

    model = net(block, depthwise=nn.Conv2d(4, 4, 7, padding=3, groups=4), mlp=mlp(4, 16),
                head=nn.Linear(4, 2))  # fmt: skip
    model.scale = nn.Parameter(torch.rand(4).double())
    kill(model.get_submodule("mlp.1"), 5, 4)
    compacted = same(model, [(4, 8, 8), (4, 5, 9)])
    assert sizes(compacted) == {"depthwise": 4, "mlp.1": 7, "mlp.4": 4, "head": 2}


def test_a_vision_transformer() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1)
        y = m.norm(x)
        x = x + m.attention(y, y, y, need_weights=False)[0]
        x = x + m.mlp(x) * m.scale
        return m.head(x[:, 0])

    model = net(
        forward,
        patches=nn.Conv2d(1, 8, 4, 4), norm=nn.LayerNorm(8), mlp=mlp(8, 20), head=nn.Linear(8, 3),
        attention=nn.MultiheadAttention(8, 2, batch_first=True),
    )  # fmt: skip
    model.token = nn.Parameter(torch.rand(1, 1, 8).double())
    model.scale = nn.Parameter(torch.rand(8).double())
    kill(model.get_submodule("mlp.1"), 6, 6)
    compacted = same(model, [(1, 16, 16), (1, 8, 20)])
    assert sizes(compacted) == {"patches": 8, "mlp.1": 8, "mlp.4": 8, "head": 3}


def test_patches_lose_their_dead_channels_where_nothing_mixes_them() -> None:
    model = net(
        lambda m, x: m.head(m.fc(m.patches(x).flatten(2).transpose(1, 2)).relu().mean(1)),
        patches=nn.Conv2d(1, 8, 4, 4), fc=nn.Linear(8, 6), head=nn.Linear(6, 3),
    )  # fmt: skip
    kill(model.get_submodule("patches"), 3, 2)
    kill(model.get_submodule("fc"), 1, 1)
    compacted = same(model, [(1, 16, 16), (1, 8, 20)])
    assert sizes(compacted) == {"patches": 3, "fc": 4, "head": 3}


@pytest.mark.parametrize(
    "mixing",
    [
        lambda m, y: m.b(m.mix(y)),
        lambda m, y: m.b(y.softmax(-1)),
        lambda m, y: m.c(F.glu(y, -1)),
        lambda m, y: m.b(y + m.shift),
        lambda m, y: m.b(torch.cat([m.shift.expand(y.shape[0], -1, -1), y], 1)),
        lambda m, y: m.b(y.view(-1, 3, 6)),
        lambda m, y: m.b(y.unflatten(-1, (2, 3)).flatten(2)),
        lambda m, y: m.b(y.transpose(0, 1)).transpose(1, 0),
        lambda m, y: m.b(m.lstm(y)[0]),
        lambda m, y: m.b(y @ y.transpose(1, 2) @ y),
        lambda m, y: m.b(F.pad(y[..., 1:], (0, 1), value=2.0)),
        lambda m, y: m.c(m.pool(y)),
        lambda m, y: m.b(m.norm(y)),
        lambda m, y: m.b(y / y.shape[2]),
        lambda m, y: m.b(y.flip(-1)),
        lambda m, y: m.b(y[:, :, [5, 4, 3, 2, 1, 0]]),
        lambda m, y: m.c(y[:, :, :3]),
        lambda m, y: m.b(y[:, :, :6]),
        lambda m, y: m.b(F.rms_norm(y, (6,))),
        lambda m, y: m.c(y.view(y.shape[0], -1, 3)),
        lambda m, y: m.b(y * y.mean(-1, keepdim=True)),
        lambda m, y: m.b(y.view(y.shape[0] * y.shape[1], -1)).view(y.shape[0], y.shape[1], -1),
        lambda m, y: m.b(y.reshape(y.shape[0] * 3, -1)).reshape(y.shape[0], -1, 2),
    ],
)
def test_what_mixes_or_counts_the_features_of_tokens_leaves_them_whole(mixing: Forward) -> None:
    model = net(
        lambda m, x: mixing(m, m.a(x)).mean(1),
        a=nn.Linear(4, 6), b=nn.Linear(6, 2), c=nn.Linear(3, 2), mix=nn.LayerNorm(6),
        lstm=nn.LSTM(6, 6, batch_first=True), pool=nn.AvgPool1d(2), norm=nn.BatchNorm1d(3),
    )  # fmt: skip
    model.shift = nn.Parameter(torch.rand(1, 1, 6).double())
    kill(model.get_submodule("a"), 2, 2)
    assert sizes(same(model, [(3, 4)]))["a"] == 6


def test_tokens_become_a_signal_and_tokens_again() -> None:
    model = net(
        lambda m, x: m.c(m.conv(m.a(x).relu().transpose(1, 2)).tanh().transpose(2, 1)).mean(1),
        a=nn.Linear(3, 8), conv=nn.Conv1d(8, 6, 3, padding=1), c=nn.Linear(6, 2),
    )  # fmt: skip
    kill(model.get_submodule("a"), 3)
    kill(model.get_submodule("conv"), 2, 2)
    compacted = same(model, [(6, 3), (1, 3), (13, 3)])
    assert sizes(compacted) == {"a": 5, "conv": 2, "c": 2}


def test_a_border_before_a_linear_layer_becomes_a_map_of_its_tokens(tmp_path: Path) -> None:
    """The padding of the second convolution makes a border of what is constant."""

    def network() -> nn.Module:
        torch.manual_seed(3)
        return net(
            lambda m, x: m.c(m.b(m.a(x)).relu().transpose(1, 2)).tanh().mean(1),
            a=nn.Conv1d(1, 4, 1), b=nn.Conv1d(4, 6, 3, padding=1), c=nn.Linear(6, 5),
        )  # fmt: skip

    model = network()
    kill(model.get_submodule("a"), 0, 3)
    with torch.no_grad():
        model.get_parameter("b.weight")[:2, 3] = 0
    signals = torch.rand(4, 1, 9).double()
    kept = compact(model, signals)
    assert sizes(kept) == {"a": 4, "b": 6, "c": 5}
    compacted = compact(model, signals, constants="bias-map")
    assert sizes(compacted) == {"a": 1, "b": 4, "c": 5}
    assert report_of(compacted).only_shape == (1, 9)
    torch.testing.assert_close(compacted(signals), model(signals), atol=1e-9, rtol=1e-9)
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", network())
    torch.testing.assert_close(again(signals), compacted(signals))


def test_no_map_of_tokens_is_left_behind_unasked() -> None:
    """Not even in a network of one size."""
    model = net(
        lambda m, x: m.d(m.c(m.b(m.a(x)).relu().transpose(1, 2)).tanh().flatten(1)),
        a=nn.Conv1d(1, 4, 1), b=nn.Conv1d(4, 6, 3, padding=1), c=nn.Linear(6, 5),
        d=nn.Linear(45, 2),
    )  # fmt: skip
    kill(model.get_submodule("a"), 0, 3)
    with torch.no_grad():
        model.get_parameter("b.weight")[:2, 3] = 0
    compacted = same(model, [(1, 9)])
    assert report_of(compacted).edits == ()
    assert sizes(compacted) == {"a": 4, "b": 6, "c": 5, "d": 2}


def test_features_of_the_input_that_nothing_reads_are_left_out(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return net(lambda m, x: m.b(m.a(x).relu()).mean(1), a=nn.Linear(64, 64), b=nn.Linear(64, 2))

    model = network()
    with torch.no_grad():
        model.get_parameter("a.weight")[:, 10:60] = 0
    compacted = same(model, [(64, 64), (9, 64)])
    (edit,) = report_of(compacted).edits
    assert (edit.kind, edit.axis) == ("select", 2)
    assert compacted.get_parameter("a.weight").shape == (64, 14)
    save(compacted, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors", network())
    tokens = torch.rand(2, 5, 64).double()
    torch.testing.assert_close(again(tokens), compacted(tokens))


def test_features_that_are_padded_with_zeros() -> None:
    model = net(
        lambda m, x: m.b(F.pad(m.a(x), (2, 3, 0, 1))).relu().mean(1),
        a=nn.Linear(3, 4), b=nn.Linear(9, 2),
    )  # fmt: skip
    kill(model.get_submodule("a"), 2, 1)  # the constant has a border of zeros behind the tokens
    compacted = same(model, [(5, 3), (2, 3)])
    assert sizes(compacted) == {"a": 2, "b": 2}
    assert compacted.get_parameter("b.weight").shape == (2, 2)


def test_a_batch_norm_of_signals_makes_constants_zero() -> None:
    model = nn.Sequential(
        nn.Conv1d(1, 4, 1), nn.BatchNorm1d(4), nn.Conv1d(4, 2, 3, padding=1), nn.Flatten(2)
    )
    kill(model[0], 0, 2)
    signals = torch.rand(2, 1, 7).double()
    compacted = compact(model.double().eval(), signals, constants="zero-bn")
    assert sizes(compacted) == {"0": 2, "2": 2}
    assert report_of(compacted).changed_by_zero_bn > 0


def test_reports_and_files_of_before_are_read(tmp_path: Path) -> None:
    """An edit had no axis, and a Conv1d no size."""
    model = net(
        lambda m, x: m.b(m.a(x).unsqueeze(2)).mean(2), a=nn.Linear(5, 6), b=nn.Conv1d(6, 2, 1)
    )
    compacted = compact(model, torch.rand(2, 5).double())
    report = report_of(compacted).to_json()
    report["edits"] = [{"kind": "split", "step": "a", "sizes": [1, 2]}]
    assert CompactionReport.from_json(report).edits[0].axis == 1
    given = {name: size for name, size in sizes_of(compacted).items() if name != "b"}
    assert list(given) == ["a"]
    metadata = {
        "format": "robench-compacted-1", "sizes": json.dumps(given),
        "report": json.dumps(report_of(compacted).to_json()),
    }  # fmt: skip
    write_file(tmp_path / "old.safetensors", compacted, metadata)
    again = load(tmp_path / "old.safetensors", copy.deepcopy(model))
    rows = torch.rand(3, 5).double()
    torch.testing.assert_close(again(rows), compacted(rows))


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, y: y.transpose(1, 2).relu_().mean(1)[:, :2] + m.b(y).mean(2),
        lambda m, y: m.c(y.permute(0, 2, 1).sigmoid_()).mean(1) + m.b(y).mean(2),
        lambda m, y: m.d(y[:, :, ::2].sigmoid_()).mean(2) + m.b(y).mean(2),
        lambda m, y: y.flatten(2).transpose(1, 2).sigmoid_().mean((1, 2))[:, None] + m.b(y).mean(2),
    ],
)
def test_what_is_written_over_through_a_view_stays(forward: Forward) -> None:
    """Its value is not what the steps after it read."""
    model = net(
        lambda m, x: forward(m, m.a(x)),
        a=nn.Conv1d(1, 6, 1), b=nn.Conv1d(6, 2, 3, padding=1), c=nn.Linear(6, 2),
        d=nn.Conv1d(6, 2, 1),
    )  # fmt: skip
    kill(model.get_submodule("a"), 2, 1)
    assert sizes(same(model, [(1, 8), (1, 5)]))["a"] == 6


def test_layers_of_other_kinds_that_are_called_twice_stay_as_they_are() -> None:
    model = net(
        lambda m, x: m.head(m.conv(m.conv(m.first(x)).relu()).mean(2)),
        first=nn.Conv1d(1, 4, 3), conv=nn.Conv1d(4, 4, 3), head=nn.Linear(4, 2),
    )  # fmt: skip
    kill(model.get_submodule("first"), 1)
    kill(model.get_submodule("conv"), 1)
    compacted = same(model, [(1, 12), (1, 15)])
    assert sizes(compacted) == {"first": 4, "conv": 4, "head": 2}


def test_modules_of_ones_own_that_hold_such_layers_are_looked_into() -> None:
    inner = net(lambda m, x: m.b(m.a(x).relu()), a=nn.Conv1d(2, 6, 1), b=nn.Conv1d(6, 2, 1))
    kill(inner.get_submodule("a"), 4)
    compacted = same(net(lambda m, x: m.inner(x).mean(2), inner=inner), [(2, 4), (2, 7)])
    assert sizes(compacted) == {"inner.a": 2, "inner.b": 2}


class OwnConv(nn.Conv1d):
    """Computes what Conv1d computes."""


class Doubled(nn.Conv1d):
    def forward(self, signals: Tensor) -> Tensor:
        return 2 * super().forward(signals)


def test_subclasses_and_lazy_layers() -> None:
    model = nn.Sequential(
        OwnConv(1, 6, 1), nn.ReLU(), nn.LazyConvTranspose1d(5, 2), nn.ReLU(), Doubled(5, 4, 1),
        OwnConv(4, 2, 1),
    )  # fmt: skip
    model(torch.rand(1, 1, 4))
    for place in (0, 2, 4):
        kill(model[place], 3)
    compacted = same(model, [(1, 6), (1, 9)])
    assert sizes(compacted) == {"0": 3, "2": 5, "4": 4, "5": 2}
    assert report_of(compacted).layers[0].kind == "OwnConv"
    assert "no plain layer" in str(report_of(compacted).layers[2].note)


def test_single_precision() -> None:
    body = mlp(6, 32)
    kill(body[1], 10, 10)
    compacted = compact(body.float().eval(), torch.rand(2, 5, 6))
    assert sizes(compacted) == {"1": 12, "4": 6}
    assert {value.dtype for value in compacted.parameters()} == {torch.float32}


# -- the helpers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_channels_of_a_tensor(axis: int) -> None:
    value = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    found = by_channel(value, axis)
    assert found.shape == (value.shape[axis], 120 // value.shape[axis])
    for channel in range(value.shape[axis]):
        assert set(found[channel].tolist()) == set(value.select(axis, channel).flatten().tolist())
    channels = torch.arange(value.shape[axis])
    rows = flattened(channels, value.shape, axis)
    where = value[0].movedim(axis - 1, -1) * 0 + channels
    assert rows.tolist() == where.movedim(-1, axis - 1).flatten().tolist()
