"""Which form narrow convolutions and poolings get."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.deploy import nhwc_forms
from robench.deploy.forms.row_pooling import RowMaxPool2d
from robench.deploy.forms.widened import WidenedConv2d
from robench.deploy.nhwc_forms import fastest_forms, in_form


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch):
    """``chosen(part, maps, seconds)``: what is taken for it when forms take so long."""

    def choose(part: nn.Module, maps: Tensor, seconds: dict[str, list[float]]) -> nn.Module | None:
        tried = []

        def timed(forms, read):
            tried.extend(forms)
            return {form: seconds.get(form, [1.0, 1.0]) for form in forms}

        monkeypatch.setattr(nhwc_forms, "timed", timed)
        found = fastest_forms(nn.Sequential(part).eval(), maps)
        choose.tried = tried
        return in_form(part, found["0"]) if found else None

    return choose


MAPS = torch.rand(4, 3, 8, 8)


def test_the_quickest_form_is_taken(chosen) -> None:
    seconds = {"2 pixels": [0.5, 0.5], "4 pixels": [0.4, 0.4]}
    form = chosen(nn.Conv2d(3, 4, 3, padding=1), MAPS, seconds)
    assert chosen.tried == ["as it is", "2 pixels", "4 pixels"]  # three do not divide eight
    assert isinstance(form, WidenedConv2d)
    assert form.pixels == 4
    assert isinstance(chosen(nn.MaxPool2d(2), MAPS, {"rows": [0.5, 0.5]}), RowMaxPool2d)


@pytest.mark.parametrize(
    ("seconds", "is_taken"),
    [
        ([1.0, 0.95], False),  # within the noise
        ([2.0, 0.5], False),  # slower with one input
        ([1.0 + 4e-6, 0.5], True),  # a few microseconds are let off
        ([1.0, 0.5], True),
    ],
)
def test_gains_must_be_clear(chosen, seconds: list[float], is_taken: bool) -> None:
    assert (chosen(nn.MaxPool2d(2), MAPS, {"rows": seconds}) is not None) is is_taken


@pytest.mark.parametrize(
    "part",
    [
        nn.Conv2d(3, 32, 3),
        nn.Conv2d(3, 6, 3, groups=3),
        nn.Conv2d(3, 6, 3, dilation=2),
        nn.Conv2d(3, 6, 3, padding="same"),
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(3, ceil_mode=True),
        nn.AvgPool2d(2),
    ],
    ids=str,
)
def test_what_these_forms_do_not_fit_is_not_tried(chosen, part: nn.Module) -> None:
    assert chosen(part, MAPS, {}) is None
    assert chosen.tried == []


def test_equal_layers_are_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []

    def timed(forms, read):
        sizes.append(tuple(read.shape))
        return {form: [0.5 if form == "2 pixels" else 1.0] * 2 for form in forms}

    monkeypatch.setattr(nhwc_forms, "timed", timed)
    model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)), nn.Conv2d(3, 4, 3))
    found = fastest_forms(model.eval(), MAPS)
    assert sizes == [(4, 3, 8, 8)] * 2  # one for the first three, one for the last
    assert found == dict.fromkeys("0123", "2 pixels")


@pytest.mark.parametrize(
    ("part", "form"),
    [
        (nn.Conv2d(3, 4, 3), "rows"),
        (nn.MaxPool2d(2), "2 pixels"),
        (nn.Conv2d(3, 4, 3), "5 pixels"),
        (nn.Conv2d(3, 40, 3), "2 pixels"),
        (nn.Linear(3, 4), "rows"),
    ],
)
def test_forms_that_do_not_fit_are_refused(part: nn.Module, form: str) -> None:
    with pytest.raises(ValueError, match="has no"):
        in_form(part, form)
