"""Adversarial noise training: the generator, its steps, and who gets whose noise."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robench.data import Split, to_float
from robench.errors import NotApplicableError
from robench.methods.base import make
from robench.spec import Distortion, Recipe
from robench.training import adversarial_noise
from robench.training.adversarial_noise import (
    PUBLISHED_RMS,
    AdversarialNoise,
    NoiseGenerator,
    Trainer,
    noisy,
    retraining_steps,
)
from robench.training.loop import RunSettings, train
from robench.training.noise_level import data_set_rms

RMS = 0.3
SEEDS = {"order": 1, "method": 2, "distortion": 3}


def distortion_on(model, data, *, steps=40, batch_size=20, **more):
    given = Distortion.model_validate({"kind": "adversarial-noise", "levels": [RMS]} | more)
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
        expected = expected - expected.mean((2, 3), keepdim=True)
        torch.testing.assert_close(generator(white), expected)


def test_it_starts_as_white_noise():
    generator = NoiseGenerator(1, 3)
    white = generator.white(torch.zeros(4, 1, 8, 8), torch.Generator().manual_seed(0))
    inner = white[:, :, 1:-1, 1:-1]
    expected = inner - inner.mean((2, 3), keepdim=True)
    torch.testing.assert_close(generator(white), expected, atol=1e-4, rtol=0)


def test_the_published_length_is_that_of_imagenet():
    assert PUBLISHED_RMS * math.sqrt(224 * 224 * 3) == pytest.approx(135)


class Skewed(nn.Module):
    """Answers 1 where the values of an image are skewed to the bright side, as noise can be whose
    mean is 0."""

    def __init__(self):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.005))

    def forward(self, images):
        skew = (images.flatten(1) - 0.5).pow(3).mean(dim=1)
        above = 100 * (skew - self.threshold)
        return torch.stack([torch.zeros_like(above), above], dim=1)


def greys(count):
    """Images of 6 x 6 about mid-grey, all of class 0."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(90, 150, (count, 1, 6, 6), dtype=torch.uint8, generator=generator)
    return Split(pixels, torch.zeros(count, dtype=torch.int64), torch.arange(count))


def test_its_steps_mislead_the_network_and_leave_it_alone():
    model, split = Skewed(), greys(50)
    trainer = Trainer(model, NoiseGenerator(1), RMS, 1e-2, torch.Generator().manual_seed(0))
    white = loss_on(model, split, trainer.noise)
    for _ in range(40):
        trainer.step(to_float(split.images), split.labels)
    assert loss_on(model, split, trainer.noise) > 1.2 * white
    assert model.threshold.item() == pytest.approx(0.005)
    assert model.threshold.grad is None


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


@pytest.mark.parametrize(
    ("steps", "period", "retraining"),
    [(40, 100, 100), (900, 100, 100), (2000, 200, 100), (20_000, 300, 100)],
)
def test_a_new_generator_is_trained_long_enough_and_used_as_long(
    steps, period, retraining, network, digits
):
    distortion = distortion_on(network("mlp"), digits, steps=steps, batch_size=1)
    assert (distortion._period, distortion._retraining) == (period, retraining)
    assert [retraining_steps(period) for period in (100, 800, 1600, 10**7)] == [100, 100, 200, 1000]


def loss_on(model, split, noise):
    images, random = to_float(split.images), torch.Generator().manual_seed(1)
    with torch.no_grad():
        return float(F.cross_entropy(model(noisy(images, noise, RMS, random)), split.labels))


def renewed(model, split):
    """The loss on noise as good as white, and on that of a generator that was just renewed."""
    given = Distortion.model_validate({"kind": "adversarial-noise", "levels": [RMS]})
    distortion = AdversarialNoise(given, 0, model, split, batch_size=20, steps=800)
    white = loss_on(model, split, distortion._trainer.noise)
    distortion._next_generator()
    return white, loss_on(model, split, distortion._trainer.noise)


def test_a_new_generator_misleads_before_it_is_used():
    """The fault: after 10 steps at the highest rate it was as good as white still."""
    white, own = renewed(Skewed(), greys(20))
    assert own > 1.4 * white


@pytest.mark.slow
def test_a_new_generator_misleads_as_far_as_after_the_published_thousand_steps():
    model, split = Skewed(), greys(20)
    white, own = renewed(model, split)
    random = torch.Generator().manual_seed(2)
    published = Trainer(model, NoiseGenerator(1, seed=5), RMS, 5e-4, random)
    for _ in range(1000):
        published.step(to_float(split.images), split.labels)
    reached = loss_on(model, split, published.noise)
    assert reached > 1.5 * white
    assert own - white > 0.8 * (reached - white)


def test_earlier_generators_come_back_after_a_period(network, digits, monkeypatch):
    """With periods of four steps, each of thirteen steps belongs to one of four generators."""
    monkeypatch.setattr(adversarial_noise, "_LEAST_PERIOD", 4)
    monkeypatch.setattr(adversarial_noise, "_LEAST_ITERATIONS", 1)
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


def test_without_a_level_the_data_set_has_one(network, digits):
    distortion = distortion_on(network("mlp"), digits, levels=[])
    images, shown = shown_by(distortion, digits)
    rms = (shown - images).square().mean((1, 2, 3)).sqrt()
    assert rms == pytest.approx(data_set_rms(digits.train.images), abs=1e-6)
    assert distortion.tally.notes()["noisy_images"] == 20
    shown_by(distortion, digits, 1, learns=False)
    assert distortion.tally.notes()["noisy_images"] == 20  # who only looks counts nothing


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
        RunSettings(
            recipe,
            level=0.0 if method == "dense" else 0.5,
            steps=20,
            learning_rate=0.05,
            seeds=SEEDS,
        ),
    )
    assert all(math.isfinite(loss) for loss in result.losses)
    notes = result.noise.notes()
    assert notes["noise_rms"] == data_set_rms(digits.train.images)
    assert 50 <= notes["noisy_images"] <= 150  # half of ten batches of 20, methods' looks apart
    assert notes["blank_share"] == 0
