"""The attacks of AutoAttack (Croce, Hein 2020, arXiv 2003.01690), within a bisection."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from robench.attacks.core.base import Attack
from robench.attacks.libraries.base import LibraryAttack, import_library
from robench.attacks.libraries.names import AUTOATTACK
from robench.attacks.libraries.params import OneByOne
from robench.errors import NotApplicableError, UnknownNameError

__all__ = ["AutoAttackAttack", "family"]


class AutoAttackAttack(LibraryAttack):
    """An attack of AutoAttack, which is given a radius, inside a bisection over the radius.

    It has one radius for all images, and goes on with those alone that are not fooled yet; so each
    image is attacked alone, and takes its time.
    """

    attack_name: ClassVar[str]
    always_alone = True

    class Params(OneByOne):
        """Which radii."""

        largest_radius: Annotated[float, Field(gt=0)] = 10.0
        """The first radius is half of it."""
        bisections: Annotated[int, Field(ge=1)] = 10
        """Radii."""

    params: Params

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """The point within the smallest radius that fooled the model; the image where none did.

        Raises:
            NotApplicableError: a square needs images with height and width.
        """
        del starts
        if self.attack_name in ("square", "standard") and images.dim() != 4:
            raise NotApplicableError(
                f"the attack {self.name!r} cannot take the shape {tuple(images.shape)}",
                allowed="[N, C, H, W]",
            )
        low, high, best = 0.0, self.params.largest_radius, images
        for _ in range(self.params.bisections):
            radius = (low + high) / 2
            attack = self._within(radius, model, images.device)
            points, answers = attack.run_standard_evaluation(images, labels)
            if (answers != labels).any():
                high, best = radius, points
            else:
                low = radius
        return best

    def _within(self, radius: float, model: nn.Module, device: torch.device) -> Any:
        ensemble = self.attack_name == "standard"
        return _package(self.name, None).AutoAttack(
            model,
            norm="L2",
            eps=radius,
            version="standard" if ensemble else "custom",
            attacks=None if ensemble else [self.attack_name],
            # Their generators begin at the seed of this image, whatever came before it.
            seed=int(torch.randint(2**31, ())),
            device=device,
        )


def family(name: str, *, where: str | None = None) -> type[Attack]:
    """Any attack of AutoAttack; needs pip install pyautoattack.

    Args:
        name: such as ``apgd-t``, or ``standard`` for the ensemble.
        where: file and line of the text that asked, for the message.

    Raises:
        PluginError: pyautoattack is not installed.
        UnknownNameError: AutoAttack has no such attack.
    """
    if name not in AUTOATTACK:
        raise UnknownNameError("attack of AutoAttack", name, AUTOATTACK, where=where)
    full_name = f"autoattack:{name}"
    _package(full_name, where)
    fields = {
        "name": full_name,
        "attack_name": name,
        "__doc__": f"{name} of AutoAttack, within a bisection over the radius.",
        "__module__": __name__,
    }
    return type(name, (AutoAttackAttack,), fields)


def _package(attack: str, where: str | None) -> Any:
    # A fork; AutoAttack itself is not published as a package.
    return import_library(
        "pyautoattack", hint="pip install pyautoattack", attack=attack, where=where
    )
