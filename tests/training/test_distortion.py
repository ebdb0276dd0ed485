"""Training distortions: who gets which level, and that nothing else decides it."""

from __future__ import annotations

import pytest
import torch

from robench.degradations import DEGRADATIONS, degrade
from robench.errors import NotApplicableError, UnknownNameError
from robench.spec import Distortion
from robench.training.distortion import TrainingDistortion

INDEX = torch.arange(5000) + 7


def fake(images, kind, level, *, seed, index):
    """Writes down what it was told: the level, the seed, the index."""
    assert kind == "uniform-noise"
    told = torch.stack([torch.full((len(index),), level), (seed + index) % 1000 / 1000.0])
    return told.T[:, :, None, None].expand(-1, -1, 2, 2).float()


def told(distortion: Distortion, index=INDEX, step=0, seed=1):
    """Level and noise of each image; a level of -1 is a clean image."""
    images = torch.full((len(index), 2, 2, 2), -1.0)
    shown = TrainingDistortion(distortion, seed, fake)(images, index, step)
    assert (images == -1).all()
    return shown[:, 0, 0, 0], shown[:, 1, 0, 0]


def test_levels_are_equally_likely():
    levels, _ = told(Distortion(kind="uniform-noise", levels=(0.1, 0.2, 0.35)))
    for level in (0.1, 0.2, 0.35):
        share = float((levels == torch.tensor(level)).float().mean())
        assert share == pytest.approx(1 / 3, abs=0.03)


def test_the_clean_share_stays_clean():
    levels, _ = told(Distortion(kind="uniform-noise", levels=(0.1, 0.2), clean_share=0.25))
    assert float((levels == -1).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float((levels == torch.tensor(0.1)).float().mean()) == pytest.approx(0.375, abs=0.03)


def test_without_levels_all_published_ones_are_used():
    levels, _ = told(Distortion(kind="uniform-noise"))
    published = torch.tensor(DEGRADATIONS["uniform-noise"])
    assert torch.equal(levels.unique(), published.sort().values)


def test_choices_depend_on_seed_step_and_index_not_on_the_batch():
    distortion = Distortion(kind="uniform-noise", clean_share=0.3)
    whole = torch.stack(told(distortion))
    order = torch.randperm(len(INDEX), generator=torch.Generator().manual_seed(0))[:100]
    part = torch.stack(told(distortion, INDEX[order]))
    assert torch.equal(part, whole[:, order])
    one = torch.stack(told(distortion, INDEX[order[:1]]))
    assert torch.equal(one, whole[:, order[:1]])
    for other in (told(distortion, step=1), told(distortion, seed=2)):
        assert not torch.equal(torch.stack(other), whole)


def test_it_degrades_as_robench_does(digits):
    """One level, no clean images: the pixels are those of `degrade` with some seed."""
    images = digits.train.images[:6].float() / 255
    index = digits.train.index[:6]
    seen = []

    def spy(images, kind, level, *, seed, index):
        seen.append(seed)
        return degrade(images, kind, level, seed=seed, index=index)

    distortion = Distortion(kind="uniform-noise", levels=(0.2,))
    shown = TrainingDistortion(distortion, 5, spy)(images, index, 0)
    assert torch.equal(shown, degrade(images, "uniform-noise", 0.2, seed=seen[0], index=index))
    assert torch.equal(shown, TrainingDistortion(distortion, 5)(images, index, 0))


def test_rows_of_features_cannot_be_degraded():
    with pytest.raises(NotApplicableError, match="30 features"):
        TrainingDistortion(Distortion(kind="contrast"), 0)(torch.rand(4, 30), torch.arange(4), 0)


def test_an_unknown_kind_is_named_before_training():
    with pytest.raises(UnknownNameError, match="contrast"):
        TrainingDistortion(Distortion(kind="contrst"), 0)
