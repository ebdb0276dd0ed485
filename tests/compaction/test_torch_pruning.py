"""Networks that torch.fx cannot trace, followed by Torch-Pruning."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from robench.compaction import compact, load, report_of, save
from robench.errors import CompactionError, InputError, NotApplicableError

EXAMPLE = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def installed() -> None:
    pytest.importorskip("torch_pruning")


class Branching(nn.Module):
    """A residual sum, a depthwise convolution and a concatenation; branches on its input."""

    def __init__(self, *, branches: bool = True) -> None:
        super().__init__()
        self.branches = branches
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 6, 1)
        self.hidden, self.head = nn.Linear(14, 10), nn.Linear(10, 4)
        generator = torch.Generator().manual_seed(0)
        for name, value in self.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.5 if "var" in name else -0.5, 1.0, generator=generator)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if self.branches and images.isnan().any():
            raise ValueError("not a number")
        maps = F.relu(self.norm(self.first(images)))
        maps = F.relu(maps + self.norm2(self.second(maps)))
        maps = F.relu(self.depthwise(maps))
        both = torch.cat([maps, F.relu(self.pointwise(maps))], dim=1)
        outputs: Tensor = self.head(F.relu(self.hidden(both.mean((2, 3)))))
        return outputs


def kill(model: Branching, trunk: list[int], pointwise: list[int], hidden: list[int]) -> None:
    """Make these channels zero in all layers that they are tied to."""
    with torch.no_grad():
        for layer, gone in (
            (model.first, trunk), (model.norm, trunk), (model.second, trunk), (model.norm2, trunk),
            (model.pointwise, pointwise), (model.hidden, hidden),
        ):  # fmt: skip
            layer.weight[gone] = 0
            if layer.bias is not None:
                layer.bias[gone] = 0
        model.depthwise.bias[trunk] = 0


def units(model: nn.Module) -> dict[str, int]:
    return {layer.name: layer.units_after for layer in report_of(model).layers}


def by_torch_pruning(model: nn.Module, example: Tensor = EXAMPLE) -> nn.Module:
    return compact(model, example, backend="torch-pruning", columns=False)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(InputError, match="is not installed") as caught:
        by_torch_pruning(Branching())
    assert "pip install 'robench[pruning]'" in str(caught.value)


def test_a_network_that_cannot_be_traced_hears_of_it() -> None:
    with pytest.raises(NotApplicableError, match="cannot be traced") as caught:
        compact(Branching(), EXAMPLE)
    assert "backend='torch-pruning'" in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        ({"backend": "torch_pruning"}, "torch-pruning"),
        ({"backend": "torch-pruning", "constants": "bias-map"}, "constants='keep'"),
    ],
)
def test_choices_that_there_are_not(choice: dict[str, str], allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        compact(Branching(), EXAMPLE, **choice)
    assert allowed in str(caught.value)


@pytest.mark.usefixtures("installed")
class TestWithThePackage:
    @settings(max_examples=10, deadline=None)
    @given(
        st.lists(st.integers(0, 7), unique=True),
        st.lists(st.integers(0, 5), unique=True),
        st.lists(st.integers(0, 9), unique=True),
    )
    def test_dead_channels_go_and_no_others(
        self, trunk: list[int], pointwise: list[int], hidden: list[int]
    ) -> None:
        model = Branching()
        kill(model, trunk, pointwise, hidden)
        compacted = by_torch_pruning(model)
        left = {
            "trunk": 8 - len(trunk),
            "pointwise": 6 - len(pointwise),
            "hidden": 10 - len(hidden),
        }
        left = {name: max(1, count) for name, count in left.items()}
        found = units(compacted)
        assert [found[name] for name in ("first", "second", "depthwise")] == [left["trunk"]] * 3
        assert (found["pointwise"], found["hidden"]) == (left["pointwise"], left["hidden"])
        assert found["head"] == 4
        torch.testing.assert_close(compacted(EXAMPLE), model(EXAMPLE))

    def test_it_agrees_with_torch_fx_where_that_can_trace(self) -> None:
        model = Branching(branches=False)
        kill(model, [0, 5], [1], [2, 3, 9])
        sizes = [
            report_of(compact(model, EXAMPLE, columns=False, backend=backend)).parameters_after
            for backend in ("fx", "torch-pruning")
        ]
        assert sizes[0] == sizes[1] < sum(p.numel() for p in model.parameters())

    def test_gradients_are_those_of_the_original(self) -> None:
        model = Branching()
        kill(model, [1], [0], [4])
        inputs = EXAMPLE.clone().requires_grad_()
        expected, got = (
            torch.autograd.grad(network(inputs).square().sum(), inputs)[0]
            for network in (model, by_torch_pruning(model))
        )
        torch.testing.assert_close(got, expected)

    def test_it_is_saved_and_read_as_any_other(self, tmp_path: Path) -> None:
        model = Branching()
        kill(model, [1], [0], [4])
        compacted = by_torch_pruning(model)
        save(compacted, tmp_path / "small.safetensors")
        again = load(tmp_path / "small.safetensors", Branching())
        assert torch.equal(again(EXAMPLE), compacted(EXAMPLE))

    def test_the_original_stays_and_frozen_weights_stay_frozen(self) -> None:
        model = Branching()
        kill(model, [1], [0], [4])
        model.first.weight.requires_grad_(False)
        before = copy.deepcopy(model.state_dict())
        compacted = by_torch_pruning(model)
        trainable = {name: p.requires_grad for name, p in compacted.named_parameters()}
        assert trainable == {name: p.requires_grad for name, p in model.named_parameters()}
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    def test_a_constant_that_is_read_stays(self) -> None:
        model = Branching()
        with torch.no_grad():
            model.hidden.weight[:2] = 0
            model.hidden.bias[:2] = torch.tensor([1.0, -1.0])  # relu makes the second one zero
        assert units(by_torch_pruning(model))["hidden"] == 9

    def test_what_counts_channels_stays_whole(self) -> None:
        model = Varied(
            lambda m, x: m.b(m.norm(m.a(x))).flatten(1),
            a=nn.Conv2d(3, 4, 1), norm=nn.GroupNorm(2, 4), b=nn.Conv2d(4, 2, 8),
        )  # fmt: skip
        with torch.no_grad():
            for part in (model.a, model.norm):
                part.weight[1], part.bias[1] = 0, 0
        compacted = by_torch_pruning(model)
        (first, _) = report_of(compacted).layers
        assert first.units_after == 4
        assert first.note == "'norm', a GroupNorm, may mix or count channels"

    def test_neurons_of_a_transformer_go(self) -> None:
        block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        model = Varied(lambda m, x: m.head(m.block(x).mean(1)), block=block, head=nn.Linear(8, 3))
        with torch.no_grad():
            block.linear1.weight[3:7], block.linear1.bias[3:7] = 0, 0
        assert units(by_torch_pruning(model, EXAMPLE[:, 0]))["block.linear1"] == 8

    @pytest.mark.parametrize(
        ("forward", "words", "remedy"),
        [
            (lambda m, x: m.b(m.a(m.a(x))).flatten(1), "'a' is called twice", "of its own"),
            (lambda m, x: m.b(x).flatten(1), "'a' is not called", "give examples"),
            (
                lambda m, x: m.b(m.a(x).view(-1, 3, 8, 8)).flatten(1),
                "does not run",
                "a width written into it",
            ),
        ],
    )
    def test_what_cannot_be_done_safely_is_refused(
        self, forward: Callable[[nn.Module, Tensor], Tensor], words: str, remedy: str
    ) -> None:
        model = Varied(forward, a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 2, 8))
        with torch.no_grad():
            model.a.weight[1], model.a.bias[1] = 0, 0
        with pytest.raises(CompactionError, match=words) as caught:
            by_torch_pruning(model)
        assert remedy in str(caught.value)

    def test_a_computed_weight_is_refused(self) -> None:
        model = Varied(lambda m, x: m.a(x).flatten(1), a=nn.Conv2d(3, 2, 8))
        nn.utils.parametrizations.weight_norm(model.a)
        model.eval()
        with pytest.raises(CompactionError, match="no parameter but computed"):
            by_torch_pruning(model)

    def test_what_torch_pruning_cannot_see_is_found_by_the_proof(self) -> None:
        def counts(model: nn.Module, images: Tensor) -> Tensor:
            maps: Tensor = model.a(images)
            return model.b(maps).flatten(1) / maps.shape[1]

        model = Varied(counts, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 8))
        with torch.no_grad():
            model.a.weight[1], model.a.bias[1] = 0, 0
        with pytest.raises(CompactionError, match="logits differ"):
            by_torch_pruning(model)

    @pytest.mark.parametrize(
        "forward",
        [
            lambda m, x: m.b((y := m.a(x)) * y.max(1, keepdim=True)[0]),
            lambda m, x: m.b((y := m.a(x)) * y.logsumexp(1, keepdim=True)),
            lambda m, x: m.b(m.a(x).topk(4, 1)[0]),
            lambda m, x: m.b(torch.cat(m.a(x).chunk(2, 1)[::-1], 1)),
            lambda m, x: m.b(torch.cat([(y := m.a(x))[:, 2:], y[:, :2]], 1)),
            lambda m, x: m.b(torch.cat([(y := m.a(x)).relu(), F.glu(y, 1), F.glu(y, 1)], 1)[:, 4:]),
        ],
    )
    def test_what_mixes_or_cuts_channels_stays_whole(
        self, forward: Callable[[nn.Module, Tensor], Tensor]
    ) -> None:
        """Also where a channel of zeros is the largest on dark images alone."""
        model = Varied(
            lambda m, x: forward(m, x).mean((2, 3)), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1)
        )
        with torch.no_grad():
            model.a.weight[1], model.a.bias[1] = 0, 0
        compacted = by_torch_pruning(model)
        assert units(compacted)["a"] == 4
        for images in (EXAMPLE, 0.01 * EXAMPLE, -EXAMPLE, F.interpolate(EXAMPLE, 11)):
            torch.testing.assert_close(compacted(images), model(images))

    def test_every_layer_of_a_concatenation_keeps_a_channel(self) -> None:
        model = Varied(
            lambda m, x: m.b(m.c(torch.cat([m.a(x), m.d(x)], 1))).mean((2, 3)),
            a=nn.Conv2d(3, 3, 1), c=nn.Conv2d(6, 6, 3, groups=6), b=nn.Conv2d(6, 2, 1),
            d=nn.Conv2d(3, 3, 1),
        )  # fmt: skip
        with torch.no_grad():
            for layer in (model.a, model.c):
                layer.weight[:3], layer.bias[:3] = 0, 0
        torch.testing.assert_close(by_torch_pruning(model)(EXAMPLE), model(EXAMPLE))

    def test_what_is_read_as_zero_at_one_size_alone_stays(self) -> None:
        """One pixel sees the middle of the kernel alone, which is zero."""
        model = Varied(
            lambda m, x: m.b(m.c(m.a(x))).mean((2, 3)),
            a=nn.Conv2d(3, 4, 1), c=nn.Conv2d(4, 4, 3, padding=1, groups=4), b=nn.Conv2d(4, 2, 1),
        )  # fmt: skip
        with torch.no_grad():
            model.a.weight[1], model.a.bias[1] = 0, 0.5
            model.c.weight[1, 0, 1, 1], model.c.bias[1] = 0, 0
        compacted = by_torch_pruning(model, EXAMPLE[:, :, :1, :1])
        assert units(compacted)["a"] == 4
        torch.testing.assert_close(compacted(EXAMPLE), model(EXAMPLE))

    def test_a_concatenation_that_is_flattened(self) -> None:
        model = Varied(
            lambda m, x: m.head(torch.cat([m.a(x), m.b(x)], dim=1).flatten(1)),
            a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1), head=nn.Linear(512, 3),
        )  # fmt: skip
        with torch.no_grad():
            for layer, gone in ((model.a, 2), (model.b, 1)):
                layer.weight[gone], layer.bias[gone] = 0, 0
        torch.testing.assert_close(by_torch_pruning(model)(EXAMPLE), model(EXAMPLE))


class Varied(nn.Module):
    """Layers by name, and a forward pass given as a function of the module and the input."""

    def __init__(self, forward: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            self.add_module(name, part)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self._forward(self, images)
