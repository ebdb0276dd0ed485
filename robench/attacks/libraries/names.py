"""Which attacks of other libraries search for the smallest Euclidean distance; imports nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "ADVLIB",
    "AUTOATTACK",
    "FOOLBOX",
    "REFUSED_OF_FOOLBOX",
    "Function",
    "advlib",
    "autoattack",
    "foolbox",
]

FOOLBOX: Mapping[str, str] = MappingProxyType(
    {
        "binary-search-contrast": "BinarySearchContrastReductionAttack",
        "blended-noise": "LinearSearchBlendedUniformNoiseAttack",
        "boundary": "BoundaryAttack",
        "brendel-bethge": "L2BrendelBethgeAttack",
        "carlini-wagner": "L2CarliniWagnerAttack",
        "ddn": "DDNAttack",
        "deepfool": "L2DeepFoolAttack",
        "gaussian-blur": "GaussianBlurAttack",
        "hopskipjump": "HopSkipJumpAttack",
        "inversion": "InversionAttack",
        "linear-search-contrast": "LinearSearchContrastReductionAttack",
        "newtonfool": "NewtonFoolAttack",
        "pointwise": "PointwiseAttack",
        "salt-and-pepper": "SaltAndPepperNoiseAttack",
    }
)
"""Name → class in ``foolbox.attacks``."""

REFUSED_OF_FOOLBOX: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "fmn": (
            "L2FMNAttack of foolbox 3.3.4 does not project onto the ball: it scales the image with "
            "the perturbation, and by norm / norm, which is 1. Its distances come out about twice "
            "too long, however many steps it takes",
            "use robench's own attack 'fmn'",
        ),
        "dataset": (
            "DatasetAttack of foolbox draws its starting points for the whole batch",
            "use robench's own attack 'nearest-other-class'",
        ),
        "binarization-refinement": (
            "BinarizationRefinementAttack of foolbox is for models that binarise their input",
            "choose another attack: `robench list attacks`",
        ),
    }
)
"""Name → why it is not to be had, and what to do instead."""


@dataclass(frozen=True)
class Function:
    """A function of adv-lib.

    Attributes:
        target: ``"module:function"``.
        fixed: arguments that make it minimise the Euclidean distance of the continuous image.
        defaults: that are not adv-lib's own, because those are for something else.
        drops_images: it goes on with those that are not done, so that each must go alone.
    """

    target: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    drops_images: bool = False


_NORM = {"norm": 2}

ADVLIB: Mapping[str, Function] = MappingProxyType(
    {
        "alma": Function(
            "adv_lib.attacks:alma", {"distance": "l2", "levels": None}, {"init_lr_distance": 0.1}
        ),
        "apgd": Function(
            "adv_lib.attacks.auto_pgd:minimal_apgd",
            _NORM,
            {"max_eps": 10.0, "binary_search_steps": 10, "n_iter": 20},
        ),
        "carlini-wagner": Function("adv_lib.attacks:carlini_wagner_l2"),
        "ddn": Function("adv_lib.attacks:ddn", {"levels": None}),
        "deepfool": Function("adv_lib.attacks:df", _NORM, drops_images=True),
        "fab": Function("adv_lib.attacks:fab", _NORM),
        "fmn": Function("adv_lib.attacks:fmn", _NORM, {"steps": 100}),
        "pdgd": Function("adv_lib.attacks:pdgd"),
        "pdpgd": Function("adv_lib.attacks:pdpgd", _NORM),
        "superdeepfool": Function("adv_lib.attacks:sdf", drops_images=True),
        "trust-region": Function("adv_lib.attacks:tr", {"p": 2}),
    }
)
"""Name → function of adv-lib."""

AUTOATTACK = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square", "standard")
"""Attacks of AutoAttack; the last is its ensemble of four."""


def foolbox() -> Collection[str]:
    """What may stand after ``foolbox:``, with those that are refused, for the reason to be told."""
    return {*FOOLBOX, *REFUSED_OF_FOOLBOX}


def advlib() -> Collection[str]:
    """What may stand after ``advlib:``."""
    return ADVLIB.keys()


def autoattack() -> Collection[str]:
    """What may stand after ``autoattack:``."""
    return AUTOATTACK
