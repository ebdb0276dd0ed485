"""Attacks: how far must an image be pushed until the network's answer changes?

    report = robench.minimal_l2(model, images, labels)      # every attack of a suite, verified
    print(report), report.distance, report.adversarial, report.winner, report.flags
    report.save("attacked.safetensors"), AttackReport.load("attacked.safetensors")
    verify_claim(model, images, labels, report.adversarial, report.distance).holds   # by anyone

An attack is one class in one file, see `robench.attacks.base.Attack`; frozen, versioned suites of
attacks are in `robench.attacks.suites`. Nothing here imports torch until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Family, Registry

if TYPE_CHECKING:
    from robench.attacks.base import Attack
    from robench.attacks.minimal import minimal_l2
    from robench.attacks.report import AttackReport
    from robench.attacks.verify import verify_claim

__all__ = ["ATTACKS", "Attack", "AttackReport", "minimal_l2", "verify_claim"]

ATTACKS: Registry[type[Attack]] = Registry(
    "attack",
    group="robench.attacks",
    builtins={
        "alma": "robench.attacks.alma:ALMA",
        "apgd": "robench.attacks.apgd:APGD",
        "ddn": "robench.attacks.ddn:DDN",
        "deepfool": "robench.attacks.deepfool:DeepFool",
        "fab": "robench.attacks.fab:FAB",
        "fgsm": "robench.attacks.fgsm:FGSM",
        "fmn": "robench.attacks.fmn:FMN",
        "hopskipjump": "robench.attacks.hopskipjump:HopSkipJump",
        "nearest-other-class": "robench.attacks.nearest:NearestOtherClass",
        "random-directions": "robench.attacks.random_directions:RandomDirections",
        "superdeepfool": "robench.attacks.superdeepfool:SuperDeepFool",
        "transfer": "robench.attacks.transfer:Transfer",
    },
    accept="robench.attacks.base:check_plugin",
    families={
        "advlib": Family(
            "robench.attacks.libraries.advlib:family", "robench.attacks.libraries.names:advlib"
        ),
        "autoattack": Family(
            "robench.attacks.libraries.autoattack:family",
            "robench.attacks.libraries.names:autoattack",
        ),
        "foolbox": Family(
            "robench.attacks.libraries.foolbox:family", "robench.attacks.libraries.names:foolbox"
        ),
    },
)
"""Every attack by name; a prefix opens the attacks of another library: ``foolbox:hopskipjump``."""

__getattr__ = lazily(
    __name__,
    {
        "Attack": "robench.attacks.base",
        "AttackReport": "robench.attacks.report",
        "minimal_l2": "robench.attacks.minimal",
        "verify_claim": "robench.attacks.verify",
    },
)
