"""Constants that are even at one image size and not at another; forms that hold for one size."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.compaction import compact, load, report_of, save
from robench.deploy import inference_form
from robench.errors import CompactionError, InputError, StoreError
from robench.graph.proof import prove_equal_at_sizes
from robench.graph.sizes import lengths_taken, sizes_taken
from tests.networks import Net, randomised

SIZES = ((3, 3), (4, 4), (7, 7), (8, 8), (9, 13), (20, 20), (32, 32))


def prepared(model: nn.Module) -> nn.Module:
    """In double precision, with BatchNorm statistics of its own and biases that are not zero."""
    randomised(model)
    return model.double().eval()


def zero(model: nn.Module, name: str, *units: int | slice) -> None:
    with torch.no_grad():
        for unit in units or (slice(None),):
            model.get_parameter(name)[unit] = 0


def images(*size: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, channels, *size, generator=generator, dtype=torch.float64)


def same_at_every_size(model: nn.Module, example: Tensor, **options: Any) -> nn.Module:
    compacted = compact(model, example, **options)
    for size in SIZES:
        with torch.no_grad():
            torch.testing.assert_close(
                compacted(images(*size)), model(images(*size)), atol=1e-12, rtol=1e-12
            )
    return compacted


def units(compacted: nn.Module) -> dict[str, int]:
    return {layer.name: layer.units_after for layer in report_of(compacted).layers}


def dead_branch(first: nn.Module, second: nn.Module) -> nn.Module:
    return prepared(
        Net(
            lambda m, x: m.head((y := m.stem(x)).add(m.second(m.first(y).relu())).mean((2, 3))),
            stem=nn.Conv2d(3, 6, 3, padding=1),
            first=first,
            second=second,
            head=nn.Linear(6, 4),
        )
    )


def test_a_dead_branch_behind_padding_is_no_single_constant() -> None:
    """Its second convolution reads a constant beside zeros: 0.06 of 2.7 too much at 8 × 8."""
    model = dead_branch(nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1))
    zero(model, "first.weight")
    zero(model, "stem.weight", 1, 3)
    with torch.no_grad():
        model.get_parameter("first.bias").fill_(0.5)
    compacted = same_at_every_size(model, images(20, 20))
    assert report_of(compacted).only_shape is None
    assert units(compacted)["stem"] == 6


def test_a_dead_branch_without_padding_is_one_and_goes() -> None:
    model = dead_branch(nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1))
    zero(model, "first.weight")
    compacted = same_at_every_size(model, images(1, 1))
    assert [edit.kind for edit in report_of(compacted).edits] == ["constant"]
    assert units(compacted)["second"] == 0


def test_a_branch_that_spreads_what_it_is_added_to_stays() -> None:
    """The other side is one pixel: without the branch the sum would be one pixel too."""
    model = prepared(
        Net(
            lambda m, x: m.last(m.branch(x) + F.adaptive_avg_pool2d(m.stem(x), 1)).mean((2, 3)),
            stem=nn.Conv2d(3, 6, 3, padding=1), branch=nn.Conv2d(3, 6, 1),
            last=nn.Conv2d(6, 4, 3, padding=1),
        )
    )  # fmt: skip
    zero(model, "branch.weight")
    same_at_every_size(model, images(1, 1))


@pytest.mark.parametrize(
    ("between", "dead"),
    [
        (lambda: nn.AvgPool2d(3, 2, padding=1), 0),
        (lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), 2),
        (lambda: nn.AvgPool2d(3, 2, ceil_mode=True), 2),
        (lambda: nn.AvgPool2d(3, 2, ceil_mode=True, divisor_override=2), 0),
        (lambda: nn.MaxPool2d(3, 2, padding=1), 2),
        (lambda: nn.Conv2d(6, 6, 3, 2, padding=1, groups=6), 0),
        (lambda: nn.Conv2d(6, 6, 3, 2, padding=1, groups=6, padding_mode="replicate"), 2),
        (lambda: nn.ZeroPad2d(1), 0),
        (lambda: Net(lambda _, x: F.pad(x, (1, 1, 1, 1))), 0),
        (lambda: Net(lambda _, x: F.pad(x, (1, 1, 1, 1), value=0.25)), 2),
        (lambda: Net(lambda _, x: F.pad(x, (1, 1, 1, 1), mode="replicate")), 2),
        (lambda: Net(lambda _, x: F.pad(x, (-1, 0, 0, -1))), 2),
        (lambda: Net(lambda _, x: F.avg_pool2d(x, 3, 1, 1)), 0),
        (lambda: Net(lambda _, x: F.avg_pool2d(x, 3, 1, 1, False, False)), 2),
        (lambda: Net(lambda _, x: F.avg_pool2d(x, x.shape[2:])), 2),
        (lambda: Net(lambda _, x: x[:, :, ::2, 1:]), 2),
    ],
)
def test_what_padding_does_to_a_constant(between: Callable[[], nn.Module], dead: int) -> None:
    """Maps of 3 × 3 pixels, of which every step leaves one or at most a few."""
    model = prepared(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, padding=1), between(), nn.Conv2d(6, 5, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
        )
    )  # fmt: skip
    zero(model, "0.weight", 0, 2)
    with torch.no_grad():
        model.get_parameter("0.bias")[[0, 2]] = 0.25
    compacted = same_at_every_size(model, images(7, 7))
    assert units(compacted)["0"] == 6 - dead
    assert report_of(compacted).only_shape is None


def test_a_constant_of_zero_passes_all_padding() -> None:
    model = prepared(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.AvgPool2d(3, 2, padding=1), nn.ZeroPad2d(1),
            nn.Conv2d(6, 5, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
        )
    )  # fmt: skip
    zero(model, "0.weight", 0, 2)
    zero(model, "0.bias", 0, 2)
    assert units(same_at_every_size(model, images(2, 2)))["0"] == 4


def one_size() -> nn.Module:
    """A dead filter whose constant gets a border, in front of a head for 6 × 6 pixels alone."""
    model = prepared(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(3, 3, 1),
            nn.Flatten(), nn.Linear(3 * 36, 2),
        )
    )  # fmt: skip
    zero(model, "0.weight", 1)
    zero(model, "1.weight", (2, [0, 2, 3]))
    zero(model, "2.weight", (1, [0, 1]))
    return model


def test_a_network_of_one_size_may_take_borders_over(tmp_path: Path) -> None:
    model, example = one_size(), images(6, 6)
    assert sizes_taken(model, example) == []
    compacted = compact(model, example)
    report = report_of(compacted)
    torch.testing.assert_close(compacted(example), model(example), atol=1e-12, rtol=1e-12)
    assert units(compacted)["2"] == 2
    assert report.only_shape == (3, 6, 6)
    assert report.edits[-1].kind == "one-size"

    save(compacted, tmp_path / "one.safetensors")
    loaded = load(tmp_path / "one.safetensors", one_size())
    assert report_of(loaded) == report
    assert torch.equal(loaded(example), compacted(example))
    for network in (compacted, loaded, copy.deepcopy(loaded), inference_form(loaded, example)):
        with pytest.raises(InputError, match=r"\(4, 3, 4, 9\)") as caught:
            network(images(4, 9))  # as many pixels
        assert "(N, 3, 6, 6)" in str(caught.value)
    again = report_of(compact(loaded, example))
    assert (again.units_removed, again.edits, again.only_shape) == (0, (), (3, 6, 6))


def test_a_bias_map_refuses_other_sizes(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return prepared(
            nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2),
            )
        )  # fmt: skip

    model = network()
    zero(model, "0.weight", 1)
    for size in (1, 6):
        compacted = compact(model, images(size, size), constants="bias-map")
        assert units(compacted)["0"] == 3
        assert report_of(compacted).only_shape == (3, size, size)
        save(compacted, tmp_path / "map.safetensors")
        loaded = load(tmp_path / "map.safetensors", network())
        with pytest.raises(InputError, match="was given inputs of shape"):
            loaded(images(7, 7))
    assert report_of(same_at_every_size(model, images(1, 1))).only_shape is None


def test_columns_that_are_gathered_hold_for_one_size() -> None:
    model = prepared(nn.Sequential(nn.Conv2d(3, 64, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with torch.no_grad():
        model.get_parameter("0.weight").view(64, -1)[:, 5:] = 0
    compacted = compact(model, images(16, 16))
    forms = [choice.form for choice in report_of(compacted).columns]
    assert (report_of(compacted).only_shape == (3, 16, 16)) is ("gathered" in forms)


def test_the_proof_looks_at_other_sizes() -> None:
    class Larger(nn.Module):
        """Adds a thousandth to maps of more than 64 pixels."""

        def forward(self, maps: Tensor) -> Tensor:
            return maps + 1e-3 * (maps[0, 0].numel() > 64)

    model = prepared(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Identity()))
    other = copy.deepcopy(model)
    other[1] = Larger()
    kept, example = {"0": torch.ones(4, dtype=torch.bool)}, images(8, 8)
    sizes = sizes_taken(model, example)
    assert (8, 8) not in sizes
    assert any(height != width for height, width in sizes)
    assert {height * width > 64 for height, width in sizes} == {True, False}
    with pytest.raises(CompactionError, match=r"shape \(3, \d+, \d+\)"):
        prove_equal_at_sizes(model, other, kept, example, sizes)
    assert prove_equal_at_sizes(model, other, kept, example, [(4, 4)]).logits_float64 == 0


def test_report_names_the_sizes_that_were_compared() -> None:
    model = prepared(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1)))
    sizes = report_of(compact(model, images(8, 8))).input_sizes
    assert sizes[0] == (8, 8)
    assert len(sizes) > 3
    rows = prepared(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    assert report_of(compact(rows, torch.rand(4, 3))).input_sizes == ()


def test_files_of_other_architectures_are_still_refused(tmp_path: Path) -> None:
    compacted = compact(one_size(), images(6, 6))
    save(compacted, tmp_path / "one.safetensors")
    with pytest.raises(StoreError, match="of this architecture"):
        load(tmp_path / "one.safetensors", nn.Sequential(nn.Linear(3, 2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side_px", "others"),
    [
        ("mobilenet_v2", 32, (64, 128)),
        ("mnasnet0_5", 32, (64, 96)),
        ("efficientnet_b0", 32, (64, 96)),
        ("inception_v3", 96, (128, 192)),
    ],
)
def test_torchvision_at_other_sizes(name: str, side_px: int, others: tuple[int, ...]) -> None:
    from robench._torchvision import import_torchvision

    import_torchvision()
    from torchvision import models

    torch.manual_seed(0)
    options = {"init_weights": False} if name == "inception_v3" else {}
    model = models.get_model(name, num_classes=5, **options)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.bias.uniform_(-0.3, 0.3, generator=generator)
                part.running_mean.uniform_(-0.3, 0.3, generator=generator)
            elif isinstance(part, nn.Conv2d):
                part.weight[torch.rand(len(part.weight), generator=generator) < 0.6] = 0
    model = model.double().eval()
    compacted = compact(model, images(side_px, side_px)[:2], columns=False)
    assert report_of(compacted).units_removed > 0
    for other in (side_px, *others):
        inputs = images(other, other)[:2]
        with torch.no_grad():
            expected, found = model(inputs), compacted(inputs)
        assert float((expected - found).abs().amax() / expected.abs().amax()) < 1e-9


def test_one_token_is_even_and_several_need_not_be() -> None:
    """What one token makes even, the padding of a convolution over several does not."""
    torch.manual_seed(0)
    model = Net(
        lambda m, x: m.c(m.b(m.a(x).transpose(1, 2)).relu().transpose(1, 2)).tanh().mean(1),
        a=nn.Linear(3, 4), b=nn.Conv1d(4, 5, 3, padding=1), c=nn.Linear(5, 2),
    ).double().eval()  # fmt: skip
    with torch.no_grad():
        model.get_parameter("a.weight")[1:] = 0
        model.get_parameter("b.weight")[:2, 0] = 0  # constant, with a border
    token = torch.rand(2, 1, 3).double()
    compacted = compact(model, token)
    assert report_of(compacted).only_shape is None
    for length in (1, 2, 9):
        tokens = torch.rand(2, length, 3).double()
        torch.testing.assert_close(compacted(tokens), model(tokens), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "shape", "lengths"),
    [
        (nn.Linear(6, 2), (6,), []),
        (nn.Linear(6, 2), (4, 6), [(6, 6), (8, 6), (2, 6)]),
        (nn.Conv2d(3, 2, 1), (3, 4, 6), []),
        (nn.Sequential(nn.Flatten(), nn.Linear(24, 2)), (4, 6), []),
    ],
)
def test_other_lengths(
    model: nn.Module, shape: tuple[int, ...], lengths: list[tuple[int, ...]]
) -> None:
    found = lengths_taken(model, torch.rand(2, *shape))
    assert set(lengths) <= set(found)
    assert bool(found) is bool(lengths)
