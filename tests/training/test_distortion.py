"""Training distortions: who gets which level, and that nothing else decides it."""

from __future__ import annotations

import pytest
import torch

from robench.degradations import DEGRADATIONS, degrade
from robench.errors import NotApplicableError, UnknownNameError
from robench.spec import Distortion
from robench.training.distortion import DrawnDegradations

INDEX = torch.arange(5000) + 7


def apply(distortion, images, index, step=0):
    labels = torch.zeros(len(images), dtype=torch.int64)
    return distortion(images, labels, index, step, learns=True)


def fake(images, kind, level, *, seed, index):
    """Writes down what it was told: the level, the seed, the index."""
    assert kind == "uniform-noise"
    told = torch.stack([torch.full((len(index),), level), (seed + index) % 1000 / 1000.0])
    return told.T[:, :, None, None].expand(-1, -1, 2, 2).float()


def told(distortion: Distortion, index=INDEX, step=0, seed=1):
    """Level and noise of each image; a level of -1 is a clean image."""
    images = torch.full((len(index), 2, 2, 2), -1.0)
    shown = apply(DrawnDegradations(distortion, seed, fake), images, index, step)
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
    shown = apply(DrawnDegradations(distortion, 5, spy), images, index)
    assert torch.equal(shown, degrade(images, "uniform-noise", 0.2, seed=seen[0], index=index))
    assert torch.equal(shown, apply(DrawnDegradations(distortion, 5), images, index))


def test_rows_of_features_cannot_be_degraded():
    with pytest.raises(NotApplicableError, match="30 features"):
        apply(DrawnDegradations(Distortion(kind="contrast"), 0), torch.rand(4, 30), torch.arange(4))


def test_an_unknown_kind_is_named_before_training():
    with pytest.raises(UnknownNameError, match="contrast"):
        DrawnDegradations(Distortion(kind="contrst"), 0)


def names(distortion: Distortion, count: int = 4000):
    """Which kind each image went through."""
    order = (*distortion.degradations, "clean")

    def tell(images, kind, level, *, seed, index):
        return torch.full_like(images, order.index(kind))

    images = torch.full((count, 1, 1, 1), float(len(order) - 1))
    shown = apply(DrawnDegradations(distortion, 3, tell), images, torch.arange(count))
    shares = torch.bincount(shown.flatten().long(), minlength=len(order)) / count
    return dict(zip(order, shares.tolist(), strict=True))


def test_each_of_several_kinds_is_as_likely_and_so_is_a_clean_image_among_them():
    """Though contrast has eight levels and rotation four."""
    found = names(Distortion(kinds=("contrast", "rotation", "clean")))
    assert found == {kind: pytest.approx(1 / 3, abs=0.03) for kind in found}


def test_clean_images_come_on_top_of_the_kinds():
    found = names(Distortion(kinds=("contrast", "rotation"), clean_share=0.5))
    assert found["clean"] == pytest.approx(0.5, abs=0.03)
    assert found["contrast"] == pytest.approx(0.25, abs=0.03)


def test_a_kind_that_learns_from_the_data_set_learns_from_the_training_images(digits):
    from robench.degradations import DEGRADATIONS_REGISTRY

    distortion = Distortion(kind="power-equalisation", levels=(1.0,))
    images, index = digits.train.images[:5].float() / 255, digits.train.index[:5]
    drawn = DrawnDegradations(distortion, 0, images=digits.train.images)
    fitted = DEGRADATIONS_REGISTRY.get("power-equalisation").fitted(digits.train.images)
    assert torch.equal(apply(drawn, images, index), fitted(images, 1.0))
    assert not torch.equal(
        apply(DrawnDegradations(distortion, 0), images, index), fitted(images, 1)
    )
