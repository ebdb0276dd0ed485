"""A form is executed quickly where only logits are wanted, and by plain layers elsewhere."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from robench.deploy import inference_module
from robench.deploy.executables import executable
from robench.deploy.inference import folded
from robench.deploy.inference_module import InferenceForm
from robench.deploy.recipe import Execution, Recipe
from robench.measure.counter import count_operations

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
EXECUTIONS: list[Execution] = ["channels last", "planar", "frozen", "optimised"]


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 4),
    )  # fmt: skip
    nn.init.uniform_(model[1].running_mean)
    nn.init.uniform_(model[1].running_var, 0.5, 2)
    return model.eval()


def form_of(model: nn.Module, execution: Execution) -> InferenceForm:
    recipe = Recipe((3, 8, 8), "float32", execution, execution, planar={"0": "direct"})
    return InferenceForm(folded(model, IMAGES).network, recipe).eval()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each quick way of executing computed; a negative number: it was made."""
    seen: list[int] = []

    def counted(*arguments):
        seen.append(-1)
        compute = executable(*arguments)

        def call(images: Tensor) -> Tensor:
            seen.append(len(images))
            return compute(images)

        return call

    monkeypatch.setattr(inference_module, "executable", counted)
    return seen


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_it_is_quick_where_only_logits_are_wanted(execution: Execution, made: list[int]) -> None:
    model = network()
    form = form_of(model, execution)
    with torch.inference_mode():
        for count in (3, 1, 2):
            close(form(IMAGES[:count]), model(IMAGES[:count]))
    assert made == [-1, 3, 1, 2]
    form.requires_grad_(requires_grad=False)
    close(form(IMAGES), model(IMAGES))
    assert made[-1] == 3


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_what_it_does_not_serve_plain_layers_compute(execution: Execution, made: list[int]) -> None:
    model = network()
    form = form_of(model, execution)
    direction = torch.rand_like(IMAGES)
    leaf, other = (IMAGES.clone().requires_grad_() for _ in range(2))
    for part, images in ((form, leaf), (model, other)):
        part(images).square().sum().backward()
    close(leaf.grad, other.grad)
    close(form.network.get_submodule("3").weight.grad, model[3].weight.grad)
    with torch.no_grad():
        close(form(torch.ones(2, 3, 9, 7)), model(torch.ones(2, 3, 9, 7)))
        assert form(IMAGES[:0]).shape == (0, 4)
        close(torch.func.vmap(form)(IMAGES[None])[0], model(IMAGES))
        with forward_ad.dual_level():
            dual, expected = (
                part(forward_ad.make_dual(IMAGES, direction)) for part in (form, model)
            )
            close(*(forward_ad.unpack_dual(one).tangent for one in (dual, expected)))
        with FlopCounterMode(display=False) as counter:
            form(IMAGES[:1])
        seen: list[int] = []
        with form.get_submodule("3").register_forward_hook(lambda *_: seen.append(1)):
            form(IMAGES)
        assert seen == [1]
        negated = torch.complex(IMAGES, IMAGES).conj().imag
        close(form(negated), model(-IMAGES))
    assert counter.get_total_flops() == 2 * count_operations(model, IMAGES).macs
    assert not made
    assert count_operations(form, IMAGES).macs == count_operations(model, IMAGES).macs


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_weights_that_change_are_noticed(execution: Execution, made: list[int]) -> None:
    model = network()
    form = form_of(model, execution)
    other = network()
    with torch.no_grad():
        form(IMAGES)
        form.get_submodule("7").weight.mul_(2)
        model[7].weight.mul_(2)
        close(form(IMAGES), model(IMAGES))
        other[0].weight.neg_()
        form.load_state_dict(form_of(other, execution).state_dict())
        close(form(IMAGES), other(IMAGES))
        form.network.set_submodule("7", nn.Linear(24, 2).eval())
        assert form(IMAGES).shape == (3, 2)
        form.get_submodule("7").weight.data.zero_()
        form.get_submodule("7").bias.data.zero_()
        form.renew()
        assert not form(IMAGES).any()
    assert made.count(-1) == made.count(3) == 5


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_copies_and_moves(execution: Execution, made: list[int]) -> None:
    model = network()
    form = form_of(model, execution)
    with torch.no_grad():
        form(IMAGES)
        for surrogate in (copy.deepcopy(form), pickle.loads(pickle.dumps(form))):
            close(surrogate(IMAGES), model(IMAGES))
            for weight in surrogate.parameters():
                weight.zero_()
            assert not surrogate(IMAGES).any()
        close(form(IMAGES), model(IMAGES))
        double = copy.deepcopy(form).double()
        close(double(IMAGES.double()), model.double()(IMAGES.double()))
        with pytest.raises(RuntimeError):  # torch's own word on precisions that differ
            double(IMAGES)
        assert form.to("meta")(IMAGES.to("meta")).is_meta


def test_training_mode_is_plain(made: list[int]) -> None:
    form = form_of(network(), "frozen").train()
    with torch.no_grad():
        form(IMAGES)
    assert not made


def test_a_way_that_is_not_there_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_):
        raise RuntimeError("no TorchScript in this torch")

    monkeypatch.setattr(inference_module, "executable", refuse)
    model = network()
    with torch.no_grad():
        close(form_of(model, "frozen")(IMAGES), model(IMAGES))


def test_a_recipe_is_plain_data() -> None:
    recipe = Recipe((3, 8, 8), "float64", "frozen", "planar", {"a": "rows"}, {"c": "direct"})
    data = recipe.to_json()
    assert Recipe.from_json({**data, "input_shape": [3, 8, 8]}) == recipe
    with pytest.raises(ValueError, match="'quick'"):
        Recipe.from_json({**data, "one": "quick"})


@pytest.mark.slow
def test_a_compiler_sees_plain_layers(made: list[int]) -> None:
    model = network()
    form = form_of(model, "frozen")
    torch.compiler.reset()
    with torch.no_grad():
        close(torch.compile(form, backend="eager", fullgraph=True)(IMAGES), model(IMAGES))
    assert not made
