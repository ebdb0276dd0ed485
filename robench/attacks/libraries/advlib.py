"""The attacks of adv-lib (Rony, Ben Ayed: Adversarial Library)."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from torch import Tensor, nn

from robench._torchvision import import_torchvision
from robench.attacks.core.base import Attack
from robench.attacks.libraries.base import LibraryAttack, import_library
from robench.attacks.libraries.names import ADVLIB, Function
from robench.attacks.libraries.params import params_of
from robench.errors import UnknownNameError

__all__ = ["AdvLibAttack", "family"]

_NOT_THE_USERS = {
    *("model", "inputs", "labels", "targeted", "callback", "starting_points"),
    *("return_unsuccessful", "return_targets"),
}
"""Arguments of adv-lib's functions that follow from what is asked of them here."""
_HINT = (
    "pip install 'setuptools<81' wheel, then pip install --no-build-isolation visdom, then "
    "pip install adv-lib; torchvision must fit the torch that is installed"
)


class AdvLibAttack(LibraryAttack):
    """An attack of adv-lib that searches for the smallest distance."""

    function: ClassVar[Function]

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """What adv-lib finds; where it finds nothing it returns the image."""
        del starts
        arguments = self.params.model_dump(exclude={"one_by_one"})
        search = _imported(self.name, self.function, None)
        points: Tensor = search(model, images, labels, **arguments, **self.function.fixed)
        return points


def family(name: str, *, where: str | None = None) -> type[Attack]:
    """Any minimal-distance attack of adv-lib, which must be installed by hand.

    Args:
        name: such as ``alma`` or ``superdeepfool``.
        where: file and line of the text that asked, for the message.

    Raises:
        PluginError: adv-lib is not installed, or one of its own needs is not.
        UnknownNameError: adv-lib has no such attack, or it does not search for a distance.
    """
    if name not in ADVLIB:
        raise UnknownNameError("minimal-distance attack of adv-lib", name, ADVLIB, where=where)
    function, full_name = ADVLIB[name], f"advlib:{name}"
    search = _imported(full_name, function, where)
    fields = {
        "name": full_name,
        "function": function,
        "always_alone": function.drops_images,
        "Params": params_of(
            search, without={*_NOT_THE_USERS, *function.fixed}, defaults=function.defaults
        ),
        "__doc__": f"{name} of adv-lib.",
        "__module__": __name__,
    }
    return type(name, (AdvLibAttack,), fields)


def _imported(attack: str, function: Function, where: str | None) -> Any:
    import_torchvision()  # which adv-lib imports, and which may need mending first
    module, _, attribute = function.target.partition(":")
    import_library("adv_lib.attacks", hint=_HINT, attack=attack, where=where)
    return getattr(importlib.import_module(module), attribute)
