"""Training distortions as suites say them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.spec import Distortion
from robench.spec.distortion import EVERYTHING

UNIFORM = "uniform-noise"


def test_a_kind_alone_is_a_list_of_one():
    assert Distortion(kind=UNIFORM) == Distortion(kinds=(UNIFORM,))
    assert Distortion(kind=UNIFORM).degradations == (UNIFORM,)


def test_all_but_one_is_the_seven_others():
    found = Distortion(kind="all-but:uniform-noise")
    assert set(found.kinds) == set(EVERYTHING) - {UNIFORM}
    assert "clean" in found.kinds
    assert "clean" not in found.degradations
    assert Distortion.model_validate(found.model_dump()) == found


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({"kind": UNIFORM}, "uniform-noise"),
        ({"kind": UNIFORM, "levels": [0.1, 0.2]}, "uniform-noise (0.1/0.2)"),
        ({"kind": UNIFORM, "clean_share": 0.5}, "uniform-noise (0.5 clean)"),
        ({"kind": UNIFORM, "trains": "fine-tuned"}, "uniform-noise (fine-tuned)"),
        ({"kinds": [UNIFORM, "clean"]}, "uniform-noise + clean"),
        ({"kind": "all-but:uniform-noise"}, "all but uniform-noise"),
        ({"kind": "adversarial-noise-3x3", "levels": [0.3]}, "adversarial-noise-3x3 (0.3)"),
    ],
)
def test_labels(given, label):
    assert Distortion.model_validate(given).label == label


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kinds": []}, "at least 1 item"),
        ({"kind": UNIFORM, "kinds": [UNIFORM]}, "either `kind` or `kinds`"),
        ({"kind": UNIFORM, "clean_share": 1.0}, "less than 1"),
        ({"kind": UNIFORM, "clean_share": -0.1}, "greater than or equal to 0"),
        ({"kind": "all-but:unform-noise"}, "all-but:uniform-noise"),
        ({"kinds": [UNIFORM, UNIFORM]}, "names one twice"),
        ({"kinds": [UNIFORM, "contrast"], "levels": [0.1]}, "for a single kind"),
        ({"kind": "clean", "levels": [1.0]}, "for a single kind"),
        ({"kinds": ["adversarial-noise", "contrast"]}, "stands alone"),
        ({"kind": "adversarial-noise", "levels": [0.1, 0.2]}, "one level"),
        ({"kind": "adversarial-noise", "levels": [0.0]}, "above 0"),
        ({"kind": UNIFORM, "trains": "scratch"}, "from-scratch"),
    ],
)
def test_what_does_not_fit_together(given, message):
    with pytest.raises(ValidationError, match=message):
        Distortion.model_validate(given)
