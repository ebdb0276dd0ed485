"""The form for deployment: the same function and gradients, fewer steps, channels last."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, fx, nn

from robench.deploy import inference, inference_module, nchw_fusion
from robench.deploy.executables import executable
from robench.deploy.inference import inference_form
from robench.deploy.recipe import SCRIPTED, Execution
from robench.errors import CompactionError, InputError, NotApplicableError
from robench.models import build

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def settled(model: nn.Module, images: Tensor) -> nn.Module:
    """The model in evaluation mode, its norms no longer the identity."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    with torch.no_grad():
        for _ in range(3):
            model.train()(images)
    return model.eval()


def small() -> nn.Module:
    torch.manual_seed(0)
    return settled(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Flatten(), nn.Linear(200, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 5),
        ),
        IMAGES,
    )  # fmt: skip


@pytest.fixture
def prefer(monkeypatch: pytest.MonkeyPatch):
    """``prefer("planar")``: this layout, or form of a layer, wins every timing."""

    def choose(*names: str) -> None:
        def timed(forms, maps):
            return {name: [1.0, 1.0] if name in names else [2.0, 2.0] for name in forms}

        monkeypatch.setattr(inference, "timed", timed)
        monkeypatch.setattr(nchw_fusion, "timed", timed)

    return choose


def built(form: nn.Module, images: Tensor = IMAGES) -> fx.GraphModule:
    """The network as a form executes it."""
    with torch.no_grad():
        return form.executable(images)


def input_gradient(model: nn.Module, images: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).square().sum(), leaf)
    return gradient


def test_norms_are_folded_and_channels_lie_last(prefer) -> None:
    prefer("channels last")
    model = small()
    before = copy.deepcopy(model.state_dict())
    form = inference_form(model, IMAGES)
    assert not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in form.modules())
    first = built(form).get_submodule("0")
    assert first.weight.is_contiguous(memory_format=torch.channels_last)
    assert form.get_submodule("0").weight.is_contiguous()
    torch.testing.assert_close(form(IMAGES), model(IMAGES))
    torch.testing.assert_close(input_gradient(form, IMAGES), input_gradient(model, IMAGES))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_maps_of_one_channel_are_turned_too(prefer) -> None:
    prefer("channels last")
    images = torch.rand(2, 1, 9, 9)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).eval()
    form = inference_form(model, images)
    with torch.no_grad():
        maps = form(images)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert not maps.is_contiguous()


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet20", "vgg-small")]


@pytest.mark.parametrize("name", [*LARGE, "convnet", "lenet-5"])
def test_networks_of_ours(name: str) -> None:
    shape = (1, 28, 28) if name == "lenet-5" else (3, 32, 32)
    images = torch.rand(2, *shape)
    channels = [0.5] * shape[0]
    network = build(name, input_shape=shape, classes=5, mean=channels, std=channels).eval()
    form = inference_form(network, images, choice_s=2)
    with torch.no_grad():
        for count in (1, 2):
            found, expected = form(images[:count]), network(images[:count])
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_norm_that_does_not_stand_alone_stays() -> None:
    """Its layer is read past it as well, or a sum stands between."""

    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
            self.sum_norm = nn.BatchNorm2d(3)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.conv(images)
            return self.sum_norm(self.norm(maps) + maps).flatten(1)

    model = settled(Beside(), IMAGES)
    form = inference_form(model, IMAGES)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in form.modules()) == 2
    torch.testing.assert_close(form(IMAGES), model(IMAGES))


def test_a_rectifier_writes_over_what_was_made_for_it_alone(prefer) -> None:
    prefer("channels last")

    class Rectified(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.alone, self.beside, self.of_sum, self.shared = (
                nn.ReLU() for _ in range(5)
            )
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))

        def forward(self, images: Tensor) -> Tensor:
            first = self.alone(self.a(self.before(images)))
            second = self.b(first)
            total = self.of_sum(self.beside(second) + second)
            # Once after a layer, and once after what is read elsewhere too.
            return (self.shared(self.c(total)) + self.shared(total)).flatten(1)

    model = Rectified().eval()
    form, images = inference_form(model, IMAGES), IMAGES.clone()
    torch.testing.assert_close(form(images), model(IMAGES))
    assert torch.equal(images, IMAGES)
    in_place = [
        name for name, part in form.network.named_modules() if getattr(part, "inplace", False)
    ]
    assert in_place == ["alone", "of_sum"]


def test_channels_are_turned_where_the_first_convolution_reads_them(prefer) -> None:
    """Steps over three channels are slow where these lie last."""
    prefer("channels last")
    form = inference_form(nn.Sequential(nn.Sigmoid(), nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), IMAGES)
    order = [str(node.target) for node in built(form).graph.nodes if node.op.startswith("call_")]
    assert order == ["0", "contiguous", "1", "2"]


def test_rows_are_left_as_they_are() -> None:
    rows = torch.rand(6, 7)
    model = settled(nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)), rows)
    form = inference_form(model, rows)
    assert len(list(form.network.children())) == 2
    torch.testing.assert_close(form(rows), model(rows))


def test_where_there_is_nothing_to_do_it_says_so() -> None:
    with pytest.raises(NotApplicableError, match="neither a BatchNorm"):
        inference_form(nn.Sequential(nn.Linear(7, 5)).eval(), torch.rand(2, 7))


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(InputError, match="training mode"):
        inference_form(small().train(), IMAGES)


def test_a_wrong_form_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        return copy.deepcopy(conv)

    monkeypatch.setattr(inference, "fuse_conv_bn_eval", careless)
    with pytest.raises(CompactionError, match="changed the network"):
        inference_form(small(), IMAGES)


EXECUTIONS = get_args(Execution)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_each_way_to_execute_it_is_proven(prefer, execution: str, precision: torch.dtype) -> None:
    prefer(execution)
    model, images = small().to(precision), IMAGES.to(precision)
    form = inference_form(model, images)
    assert (form.recipe.one, form.recipe.many) == (execution, execution)
    assert set(form.recipe.latency_ms) == set(EXECUTIONS)
    assert not form.recipe.notes
    with torch.no_grad():
        assert (form.executable(images) is form.network) == (execution == "plain")
        for count in (1, 2, 4):
            torch.testing.assert_close(form(images[:count]), model(images[:count]))
    assert next(form.parameters()).dtype == precision


def test_one_input_and_a_batch_may_be_executed_differently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def timed(forms, maps):
        quick = {"frozen": [1.0, 2.0], "optimised": [2.0, 1.0]}
        return {name: quick.get(name, [3.0, 3.0]) for name in forms}

    monkeypatch.setattr(inference, "timed", timed)
    model = small()
    form = inference_form(model, IMAGES)
    assert (form.recipe.one, form.recipe.many) == ("frozen", "optimised")
    with torch.no_grad():
        assert form.executable(IMAGES[:1]) is not form.executable(IMAGES)
        torch.testing.assert_close(form(IMAGES[:1]), model(IMAGES[:1]))
        torch.testing.assert_close(form(IMAGES), model(IMAGES))


def test_a_simpler_way_stays_where_none_is_clearly_quicker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def timed(forms, maps):
        return {name: [1.0 if name == "plain" else 0.98] * 2 for name in forms}

    monkeypatch.setattr(inference, "timed", timed)
    assert inference_form(small(), IMAGES).recipe.many == "plain"


@pytest.mark.parametrize("execution", ["frozen", "optimised", "channels last", "planar"])
def test_a_wrong_way_to_execute_it_would_be_found(
    prefer, monkeypatch: pytest.MonkeyPatch, execution: str
) -> None:
    prefer(execution)

    def careless(*arguments):
        made = executable(*arguments)
        return lambda images: made(images) * 1.001

    monkeypatch.setattr(inference_module, "executable", careless)
    if execution not in SCRIPTED:
        with pytest.raises(CompactionError, match="changed the network"):
            inference_form(small(), IMAGES)
        return
    # A fault of the library's is no reason to have no form.
    form = inference_form(small(), IMAGES)
    assert (form.recipe.one, form.recipe.many) == ("plain", "plain")
    assert form.recipe.notes[execution].startswith("not equal: compaction changed the network")


def test_what_torch_cannot_script_is_told(prefer) -> None:
    """A sum of the maps would become a constant of the trace."""

    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, images: Tensor) -> Tensor:
            return decided(self.conv(images)).flatten(1)

    prefer("channels last")
    model = Deciding().eval()
    form = inference_form(model, IMAGES)
    assert set(form.recipe.notes) == {"frozen", "frozen channels last", "optimised"}
    with torch.no_grad():
        torch.testing.assert_close(form(IMAGES[:3]), model(IMAGES[:3]))


@fx.wrap
def decided(maps: Tensor) -> Tensor:
    return maps * (1 if maps.sum() > -1e9 else 0)


def test_no_time_for_the_choice_leaves_layers_as_they_are() -> None:
    model = small()
    form = inference_form(model, IMAGES, choice_s=0)
    assert not form.recipe.narrow
    assert not form.recipe.planar
    assert "the time for the choice was over" in form.recipe.notes["layers"]
    torch.testing.assert_close(form(IMAGES), model(IMAGES))
    for wrong in (-1, float("nan"), "long", True):
        with pytest.raises(InputError, match="choice_s="):
            inference_form(model, IMAGES, choice_s=wrong)


def test_a_form_that_is_another_network_at_another_size_is_refused(monkeypatch) -> None:
    class Folds(nn.Module):
        """Reads one pixel at the size of the example, and another elsewhere."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, images: Tensor) -> Tensor:
            return self.norm(self.conv(images)).flatten(2).amax(2)

    folded = inference.folded

    def spoiled(model: nn.Module, example: Tensor) -> inference.Folded:
        made = folded(model, example)
        pool = nn.AdaptiveAvgPool2d(9).double()
        made.network.add_submodule("pool", pool)
        (start,) = (node for node in made.network.graph.nodes if node.op == "placeholder")
        with made.network.graph.inserting_after(start):
            pooled = made.network.graph.call_module("pool", (start,))
        start.replace_all_uses_with(pooled, delete_user_cb=lambda user: user is not pooled)
        made.network.recompile()
        return made

    monkeypatch.setattr(inference, "folded", spoiled)
    with pytest.raises(CompactionError, match="inputs of shape"):
        inference_form(settled(Folds(), IMAGES), torch.rand(2, 3, 9, 9), choice_s=0)


@pytest.mark.parametrize("length", [5, 6])
def test_a_norm_of_tokens_is_no_norm_of_features(length: int) -> None:
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(length), nn.ReLU(), nn.Flatten(), nn.Linear(6 * length, 3),
        nn.BatchNorm1d(3),
    )  # fmt: skip
    tokens = torch.rand(4, length, 4)
    form = inference_form(settled(model, tokens), tokens, choice_s=0)
    assert sum(isinstance(part, nn.BatchNorm1d) for part in form.modules()) == 1
    with torch.no_grad():
        torch.testing.assert_close(form(tokens), model(tokens), rtol=1e-4, atol=1e-5)
