"""Adversarial noise training: the generator, its steps, and who gets whose noise."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robench.data import to_float
from robench.errors import NotApplicableError
from robench.methods.base import make
from robench.spec import Distortion, Recipe
from robench.training.adversarial_noise import (
    PUBLISHED_RMS,
    AdversarialNoise,
    NoiseGenerator,
    Trainer,
    noisy,
)
from robench.training.loop import train

RMS = 0.3
SEEDS = {"order": 1, "method": 2, "distortion": 3}


def distortion_on(model, data, *, steps=40, batch_size=20, kind="adversarial-noise", **more):
    given = Distortion.model_validate({"kind": kind, "levels": [RMS], **more})
    return AdversarialNoise(given, 0, model, data.train, batch_size=batch_size, steps=steps)


def shown_by(distortion, data, step=0, count=20, *, learns=True):
    images = to_float(data.train.images[:count])
    labels, index = data.train.labels[:count], data.train.index[:count]
    return images, distortion(images, labels, index, step, learns=learns)


def test_a_generator_is_four_convolutions_beside_the_identity():
    for kernel in (1, 3):
        generator = NoiseGenerator(3, kernel, seed=1).double()
        layers = []
        for weight, bias in zip(generator.weights, generator.biases, strict=True):
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
            layer.weight, layer.bias = weight, bias
            layers += [layer, nn.ReLU()]
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.normal_()
        white = torch.randn(2, 3, 6 + kernel - 1, 7 + kernel - 1, dtype=torch.float64)
        edge = kernel // 2
        expected = (
            nn.Sequential(*layers[:-1])(white) + white[:, :, edge : edge + 6, edge : edge + 7]
        )
        torch.testing.assert_close(generator(white), expected)


def test_it_starts_as_white_noise():
    generator = NoiseGenerator(1, 3)
    white = generator.white(torch.zeros(4, 1, 8, 8), torch.Generator().manual_seed(0))
    torch.testing.assert_close(generator(white), white[:, :, 1:-1, 1:-1], atol=1e-4, rtol=0)


def test_the_published_length_is_that_of_imagenet():
    assert PUBLISHED_RMS * math.sqrt(224 * 224 * 3) == pytest.approx(135)


def test_its_steps_mislead_the_network_and_leave_it_alone(network, digits):
    model = network("mlp")
    images, labels = to_float(digits.train.images), digits.train.labels
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = Trainer(model, NoiseGenerator(1), RMS, 1e-2, torch.Generator().manual_seed(0))

    def loss():
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return float(F.cross_entropy(model(noisy(images, trainer.noise, RMS, random)), labels))

    white = loss()
    for _ in range(40):
        trainer.step(images[:50], labels[:50])
    assert loss() > 1.2 * white
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_generator_sees_the_network_in_evaluation_mode_and_leaves_its_modes(digits):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(1024), nn.Dropout(), nn.Linear(1024, 10))
    model[1].eval()
    seen = []
    model[2].register_forward_hook(lambda module, *_: seen.append(module.training))
    distortion = distortion_on(model, digits)
    shown_by(distortion, digits)
    assert seen
    assert not any(seen)
    assert [module.training for module in model] == [True, False, True, True]


def test_the_clean_share_stays_clean_and_the_rest_has_the_exact_length(network, digits):
    images, shown = shown_by(
        distortion_on(network("mlp"), digits, clean_share=0.5), digits, count=200
    )
    moved = (shown - images).flatten(1).norm(dim=1)
    assert float((moved == 0).double().mean()) == pytest.approx(0.5, abs=0.1)
    assert (moved[moved > 0] - RMS * 32).abs().max() < 1e-4
    assert shown.min() >= 0
    assert shown.max() <= 1


def test_earlier_generators_come_back_after_a_period(network, digits):
    """Forty steps: a new generator each fourth step."""
    distortion = distortion_on(network("mlp"), digits)
    for step in range(13):
        shown_by(distortion, digits, step)
    assert len(distortion._earlier) == 3
    counts = [len(places) for places, _ in distortion._shared_out(torch.arange(20))]
    assert counts == [12, 4, 4]
    generators = [generator for _, generator in distortion._shared_out(torch.arange(20))]
    assert generators[0] is distortion._trainer.noise
    assert len({id(generator) for generator in generators}) == 3
    assert all(generator in distortion._earlier for generator in generators[1:])


def test_who_only_looks_teaches_it_nothing(network, digits):
    distortion = distortion_on(network("mlp"), digits)
    before = [weight.clone() for weight in distortion._trainer.noise.parameters()]
    for step in range(9):
        shown_by(distortion, digits, step, learns=False)
    after = list(distortion._trainer.noise.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert not distortion._earlier


def test_two_runs_of_one_seed_are_the_same(network, digits):
    first, second = (
        torch.stack([shown_by(distortion, digits, step)[1] for step in range(9)])
        for distortion in (distortion_on(network("mlp"), digits) for _ in range(2))
    )
    assert torch.equal(first, second)


class Deaf(nn.Module):
    """Answers without a derivative by the image."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.linear = nn.Linear(1024, 10)

    def forward(self, images):
        pixels = images.flatten(1)
        return self.linear(pixels.detach() if self.how == "cut" else pixels.sign())


@pytest.mark.parametrize("how", ["cut", "flat"])
def test_a_network_without_a_gradient_is_refused_at_once(how, digits):
    with pytest.raises(NotApplicableError, match="Deaf has no gradient"):
        distortion_on(Deaf(how), digits)


def test_rows_of_features_are_refused():
    from robench.data import load

    data = load("breast-cancer")
    with pytest.raises(NotApplicableError, match="distorts images"):
        distortion_on(nn.Linear(30, 2), data)


@pytest.mark.parametrize("method", ["dense", "halo", "ssl"])
def test_methods_train_on_it(method, network, digits):
    recipe = Recipe(
        dense_steps=10,
        sparse_steps=10,
        batch_size=20,
        distortion=Distortion(kind="adversarial-noise", clean_share=0.5, trains="fine-tuned"),
    )
    model = network("mlp")
    result = train(
        model,
        make(method, {}),
        digits,
        recipe,
        level=0.0 if method == "dense" else 0.5,
        steps=20,
        learning_rate=0.05,
        seeds=SEEDS,
    )
    assert all(math.isfinite(loss) for loss in result.losses)
