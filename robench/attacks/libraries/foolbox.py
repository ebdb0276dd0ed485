"""The attacks of foolbox (Rauber, Brendel, Bethge 2017, arXiv 1707.04131)."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from torch import Tensor, nn

from robench.attacks.core.base import Attack
from robench.attacks.libraries.base import LibraryAttack, import_library
from robench.attacks.libraries.names import FOOLBOX, REFUSED_OF_FOOLBOX
from robench.attacks.libraries.params import params_of
from robench.errors import ParameterError, PluginError, UnknownNameError

__all__ = ["FoolboxAttack", "family"]

_NOT_THE_USERS = {"channel_axis", "constraint", "distance", "init_attack", "tensorboard"}
"""Arguments of foolbox's attacks that follow from what is asked of them here."""


class FoolboxAttack(LibraryAttack):
    """An attack of foolbox that searches for the smallest distance.

    Raises:
        ParameterError: foolbox refuses a parameter.
    """

    algorithm: ClassVar[Any]
    """The class in ``foolbox.attacks``."""

    def __init__(self, **params: object) -> None:
        super().__init__(**params)
        try:
            self._made()
        except (AssertionError, ImportError, TypeError, ValueError) as error:
            raise ParameterError(f"foolbox refuses {self!r}: {error}") from error

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """What foolbox finds for the images where the distance has no limit."""
        foolbox = _foolbox(self.name, None)
        bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
        more = {"starting_points": starts} if self.needs_start else {}
        points: Tensor
        points, _, _ = self._made()(bounded, images, labels, epsilons=None, **more)
        return points

    def _made(self) -> Any:
        arguments = self.params.model_dump(exclude={"one_by_one"})
        if "distance" in inspect.signature(self.algorithm).parameters:
            arguments["distance"] = _foolbox(self.name, None).distances.l2
        return self.algorithm(**arguments)


def family(name: str, *, where: str | None = None) -> type[Attack]:
    """Any minimal-distance attack of foolbox.

    Args:
        name: such as ``ddn``, ``hopskipjump`` or ``boundary``.
        where: file and line of the text that asked, for the message.

    Raises:
        PluginError: foolbox cannot be imported, or its attack is known to be wrong.
        UnknownNameError: foolbox has no such attack, or it does not search for a distance.
    """
    if name in REFUSED_OF_FOOLBOX:
        reason, hint = REFUSED_OF_FOOLBOX[name]
        raise PluginError(reason, where=where, hint=hint)
    if name not in FOOLBOX:
        raise UnknownNameError("minimal-distance attack of foolbox", name, FOOLBOX, where=where)
    full_name = f"foolbox:{name}"
    algorithm = getattr(_foolbox(full_name, where).attacks, FOOLBOX[name])
    fields = {
        "name": full_name,
        "algorithm": algorithm,
        "needs_start": "starting_points" in inspect.signature(algorithm.run).parameters,
        "Params": params_of(algorithm.__init__, without=_NOT_THE_USERS),
        "__doc__": f"{FOOLBOX[name]} of foolbox.",
        "__module__": __name__,
    }
    return type(FOOLBOX[name], (FoolboxAttack,), fields)


def _foolbox(attack: str, where: str | None) -> Any:
    return import_library(
        "foolbox", hint="`pip install 'foolbox>=3.3.4'`", attack=attack, where=where
    )
