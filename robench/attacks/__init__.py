"""Attacks: how far must an image be pushed until the network's answer changes?

    report = robench.minimal_l2(model, images, labels)      # every attack of a suite, verified
    print(report), report.distance, report.adversarial, report.winner, report.flags
    report.save("attacked.safetensors"), AttackReport.load("attacked.safetensors")
    verify_claim(model, images, labels, report.adversarial, report.distance).holds   # by anyone

An attack is one class in one file, see `robench.attacks.core.base.Attack`; frozen, versioned suites
of attacks are in `robench.attacks.suite.suites`. Nothing here imports torch until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Family, Registry

if TYPE_CHECKING:
    from robench.attacks.core.base import Attack
    from robench.attacks.suite.minimal import minimal_l2
    from robench.attacks.suite.report import AttackReport
    from robench.attacks.suite.verify import verify_claim

__all__ = ["ATTACKS", "Attack", "AttackReport", "minimal_l2", "verify_claim"]

ATTACKS: Registry[type[Attack]] = Registry(
    "attack",
    group="robench.attacks",
    builtins={
        "alma": "robench.attacks.algorithms.alma:ALMA",
        "apgd": "robench.attacks.algorithms.apgd:APGD",
        "ddn": "robench.attacks.algorithms.ddn:DDN",
        "deepfool": "robench.attacks.algorithms.deepfool:DeepFool",
        "fab": "robench.attacks.algorithms.fab:FAB",
        "fgsm": "robench.attacks.algorithms.fgsm:FGSM",
        "fmn": "robench.attacks.algorithms.fmn:FMN",
        "hopskipjump": "robench.attacks.algorithms.hopskipjump:HopSkipJump",
        "nearest-other-class": "robench.attacks.algorithms.nearest:NearestOtherClass",
        "random-directions": "robench.attacks.algorithms.random_directions:RandomDirections",
        "superdeepfool": "robench.attacks.algorithms.superdeepfool:SuperDeepFool",
        "transfer": "robench.attacks.algorithms.transfer:Transfer",
    },
    accept="robench.attacks.core.base:check_plugin",
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
        "Attack": "robench.attacks.core.base",
        "AttackReport": "robench.attacks.suite.report",
        "minimal_l2": "robench.attacks.suite.minimal",
        "verify_claim": "robench.attacks.suite.verify",
    },
)
