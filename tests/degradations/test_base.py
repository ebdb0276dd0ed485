"""What holds for every kind, and what a plug-in has to be."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.degradations import DEGRADATIONS, DEGRADATIONS_REGISTRY, base, degrade
from robench.degradations.base import Degradation, applicable_kinds, check_plugin
from robench.degradations.levels import PUBLISHED
from robench.degradations.random import Noise
from robench.errors import InputError


@st.composite
def kinds_and_levels(draw: st.DrawFn) -> tuple[str, float]:
    kind = draw(st.sampled_from(sorted(DEGRADATIONS)))
    levels = st.sampled_from(DEGRADATIONS[kind])
    bounds = DEGRADATIONS_REGISTRY.get(kind).bounds
    if bounds is None:
        return kind, draw(levels)
    return kind, draw(levels | st.floats(*bounds))


@settings(deadline=None, max_examples=60)
@given(kinds_and_levels(), st.sampled_from([1, 3]), st.integers(8, 40), st.booleans())
def test_images_in_images_out(
    kind_and_level: tuple[str, float], channels: int, size: int, double: bool
) -> None:
    kind, level = kind_and_level
    channels = 3 if kind == "opponent-colour" else channels
    generator = torch.Generator().manual_seed(size)
    images = torch.rand(3, channels, size, size, generator=generator)
    images = images.double() if double else images
    images[0], images[1] = 0.0, 1.0
    before = images.clone()
    got = degrade(images, kind, level, seed=size)
    assert torch.equal(images, before)
    assert (got.shape, got.dtype, got.device) == (images.shape, images.dtype, images.device)
    assert got.data_ptr() != images.data_ptr()
    assert float(got.min()) >= 0.0
    assert float(got.max()) <= 1.0


@settings(deadline=None, max_examples=60)
@given(
    kinds_and_levels(),
    st.integers(8, 37),
    st.integers(8, 70),
    st.permutations(range(6)),
    st.integers(1, 6),
)
def test_an_image_is_degraded_alike_alone_in_any_batch_and_in_any_order(
    kind_and_level: tuple[str, float], height: int, width: int, order: list[int], batch: int
) -> None:
    kind, level = kind_and_level
    width = height if kind == "rotation" else width
    images = torch.rand(6, 3, height, width, generator=torch.Generator().manual_seed(height))
    index = torch.tensor([40, 3, 17, 5, 0, 2**40])
    whole = degrade(images, kind, level, seed=9, index=index)
    shuffled = torch.tensor(order)
    parts = [
        degrade(images[part], kind, level, seed=9, index=index[part])
        for part in shuffled.split(batch)
    ]
    assert torch.equal(torch.cat(parts), whole[shuffled])


@pytest.mark.parametrize("kind", ["phase-noise", "power-equalisation"])
@pytest.mark.parametrize("size", [(31, 33), (64, 64), (65, 64)], ids=str)
def test_transforms_of_many_images_are_those_of_each(kind: str, size: tuple[int, int]) -> None:
    """More images than are transformed at once, and sizes at both sides of the largest small."""
    images = torch.rand(150, 1, *size, generator=torch.Generator().manual_seed(4))
    whole = degrade(images, kind, DEGRADATIONS[kind][1])
    for part in (slice(0, 1), slice(60, 70), slice(149, 150)):
        index = torch.arange(150)[part]
        alone = degrade(images[part], kind, DEGRADATIONS[kind][1], index=index)
        assert torch.equal(alone, whole[part])


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_groups_do_not_show(kind: str, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    level = DEGRADATIONS[kind][1]
    whole = degrade(images, kind, level)
    for pixels in (1, 3 * 400):
        monkeypatch.setattr(base, "_GROUP_PIXELS_CPU", pixels)
        assert torch.equal(degrade(images, kind, level), whole)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_memory_layout_and_gradients_do_not_matter(kind: str, images: Tensor) -> None:
    level = DEGRADATIONS[kind][1]
    expected = degrade(images, kind, level)
    last = images.to(memory_format=torch.channels_last)
    assert torch.equal(degrade(last, kind, level), expected)
    tracked = degrade(images.clone().requires_grad_(), kind, level)
    assert torch.equal(tracked.detach(), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_cuda_gives_what_the_cpu_gives(kind: str, images: Tensor) -> None:
    for level in DEGRADATIONS[kind]:
        on_cpu, on_cuda = degrade(images, kind, level), degrade(images.cuda(), kind, level).cpu()
        if kind.startswith("eidolon"):
            # A pixel comes from another place where rounding takes a shift past a whole number.
            assert float(((on_cuda - on_cpu).abs() > 1e-5).double().mean()) < 1e-3
            continue
        is_exact = not kind.endswith(("pass", "equalisation")) and kind != "phase-noise"
        torch.testing.assert_close(on_cuda, on_cpu, rtol=0, atol=0.0 if is_exact else 2e-6)


# -- the built-in kinds ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_built_in_kinds_are_what_the_table_says(kind: str) -> None:
    degradation = DEGRADATIONS_REGISTRY.get(kind)
    assert degradation.name == kind
    assert degradation.levels == DEGRADATIONS[kind]
    assert degradation.neutral == DEGRADATIONS[kind][0]
    assert degradation.stochastic == kind.endswith(("noise", "pepper", "-1", "-2", "-3"))


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_the_registry_can_say_what_and_where_a_kind_is(kind: str) -> None:
    module = PUBLISHED[kind].target.partition(":")[0]
    degradation = DEGRADATIONS_REGISTRY.get(kind)
    assert degradation.__module__ == module
    file, _, line = DEGRADATIONS_REGISTRY.origin(kind).rpartition(":")
    assert file.endswith(module.replace(".", "/") + ".py")
    assert int(line) > 1
    assert (
        DEGRADATIONS_REGISTRY.summary(kind) == (degradation.function.__doc__ or "").split("\n")[0]
    )


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_float64_images_give_what_float32_images_give(kind: str, images: Tensor) -> None:
    for level in DEGRADATIONS[kind]:
        narrow, wide = (degrade(x, kind, level, seed=3) for x in (images, images.double()))
        torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=4e-6)


def test_variants_of_the_released_code_do_not_depend_on_the_batch() -> None:
    images = torch.rand(3, 3, 256, 256)
    index, variant = [4, 0, 9], "geirhos2018"
    whole = degrade(images, "phase-noise", 30.0, seed=1, index=index, variant=variant)
    alone = degrade(images[2:], "phase-noise", 30.0, seed=1, index=[9], variant=variant)
    assert torch.equal(whole[2:], alone)


def test_memory_is_bounded_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def look(pixels: Tensor, level: float) -> Tensor:
        seen.append(len(pixels))
        return pixels

    monkeypatch.setattr(base, "_GROUP_PIXELS_CPU", 8 * 100)
    Invert(look, working_planes=4)(torch.rand(5, 1, 10, 10), 0)
    assert seen == [2, 2, 1]


def test_conventions_for_a_record() -> None:
    low_pass = DEGRADATIONS_REGISTRY.get("low-pass")
    assert low_pass.convention() == low_pass.convention("scaled")
    assert "shorter side has 224" in low_pass.convention()
    assert low_pass.convention("pixels").endswith("pixels: in pixels of the image at hand")
    assert DEGRADATIONS_REGISTRY.get("high-pass").convention().startswith("standard deviation")
    assert (
        "an image whose longer side has 256" in DEGRADATIONS_REGISTRY.get("eidolon-1").convention()
    )
    assert DEGRADATIONS_REGISTRY.get("eidolon-1").convention().endswith("in two dimensions")
    rotation = DEGRADATIONS_REGISTRY.get("rotation")
    assert rotation.convention() == "angle in degrees, counter-clockwise"
    with pytest.raises(InputError, match="'x' is not a variant"):
        low_pass.convention("x")


# -- plug-ins -------------------------------------------------------------------------------------

Invert = partial(
    Degradation, name="invert", unit="share of inversion", levels=(0.0, 1.0), neutral=0.0
)


@Invert
def invert(planes: Tensor, level: float) -> Tensor:
    """Black becomes white.

    And white black.
    """
    return (1 - level) * planes + level * (1 - planes)


def test_a_decorated_function_is_a_plug_in(images: Tensor) -> None:
    assert check_plugin(invert) is None
    assert invert.__doc__ == invert.function.__doc__
    assert invert.__module__ == __name__
    torch.testing.assert_close(invert(images, 1), 1 - degrade(images, "greyscale", 1))


def test_a_plug_in_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        invert.name = "other"


def test_a_published_level_outside_the_bounds_is_taken() -> None:
    bounded = Invert(invert.function, levels=(5.0,), bounds=(0.0, 1.0), neutral=0.25)
    assert check_plugin(bounded) is None
    assert [bounded.check_level(level) for level in (0, 0.5, 1, 5)] == [0.0, 0.5, 1.0, 5.0]
    with pytest.raises(InputError, match="2 is not a level of 'invert'"):
        bounded.check_level(2)


def test_random_kinds_may_have_an_infinite_level(images: Tensor) -> None:
    """The fault: its noise was keyed by JSON, which has no infinity."""

    def fade(planes: Tensor, level: float, *, noise: Noise) -> Tensor:
        return planes if math.isinf(level) else noise.uniform(*planes.shape[1:]) / (1 + level)

    plug_in = Invert(fade, levels=(math.inf, 2.0), neutral=math.inf, bounds=(0.0, math.inf))
    assert check_plugin(plug_in) is None
    assert torch.equal(plug_in(images, math.inf), degrade(images, "greyscale", 1))
    assert torch.equal(plug_in(images, torch.tensor(math.inf)), plug_in(images, math.inf))
    assert not torch.equal(plug_in(images, 2.0), plug_in(images, 3.0))


def test_colour_kinds_see_all_channels(images: Tensor) -> None:
    seen: list[tuple[int, ...]] = []

    def look(pixels: Tensor, level: float) -> Tensor:
        seen.append(tuple(pixels.shape))
        return pixels

    Invert(look, reads="colour")(images, 0)
    Invert(look, reads="grey")(images, 0)
    assert seen == [(7, 3, 20, 20), (7, 20, 20)]


def test_what_is_no_plug_in() -> None:
    with_variant = Invert(lambda planes, level, *, variant: planes)
    without = Invert(invert.function, variants={"a": "one way"})
    reasons = {
        "it is not a robench.degradations.base.Degradation": invert.function,
        "it declares no levels": Invert(invert.function, levels=()),
        "its neutral level is not one that it takes: 3.0 is not a level of 'invert'": Invert(
            invert.function, neutral=3.0
        ),
        "a keyword `variant` if, and only if, it declares variants": with_variant,
        "nan among its levels is no real number": Invert(
            invert.function, levels=(0.0, float("nan"))
        ),
        "'1' among its levels is no real number": Invert(invert.function, levels=("1",)),
        "its bounds (1.0, 0.0) are no two numbers": Invert(invert.function, bounds=(1.0, 0.0)),
        "its bounds (nan, 1.0) are no two": Invert(invert.function, bounds=(float("nan"), 1.0)),
        "its neutral level is not one that it takes: nan": Invert(
            invert.function, neutral=float("nan")
        ),
    }
    for reason, value in reasons.items():
        assert reason in str(check_plugin(value))
    assert check_plugin(without) == check_plugin(with_variant)


@pytest.mark.parametrize(
    ("shape", "missing"),
    [
        ((1, 32, 32), {"greyscale", "opponent-colour"}),
        ((3, 32, 48), {"rotation"}),
        (
            (3, 4, 4),
            {
                "low-pass",
                "high-pass",
                "phase-noise",
                "power-equalisation",
                "eidolon-1",
                "eidolon-2",
                "eidolon-3",
            },
        ),
    ],
)
def test_applicable_kinds_take_the_images_at_every_level(
    shape: tuple[int, int, int], missing: set[str]
) -> None:
    kinds = applicable_kinds(*shape)
    assert set(PUBLISHED) - set(kinds) == missing
    for kind in kinds:
        for level in PUBLISHED[kind].levels:
            assert DEGRADATIONS_REGISTRY.get(kind)(torch.rand(2, *shape), level).shape[1:] == shape
    for kind in missing - {"greyscale"}:  # which takes grey images, and leaves them as they are
        with pytest.raises(InputError):
            degrade(torch.rand(2, *shape), kind, PUBLISHED[kind].levels[1])


def test_images_of_two_channels_have_no_kind() -> None:
    assert applicable_kinds(2, 32, 32) == ()
