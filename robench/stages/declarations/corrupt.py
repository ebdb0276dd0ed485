"""Common corruptions, made here or read from the published files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from robench.spec import Cell, StageOptions
from robench.spec.base import Frozen
from robench.spec.options import NotEmpty, OneOrMany, listed
from robench.stages.base import Context, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import classified_images

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["Corrupt", "CorruptDetails", "CorruptOptions", "ResolvedCorruptOptions"]


class CorruptOptions(StageOptions):
    """Which common corruptions the test images go through."""

    images: Literal["generated", "stored"] = "generated"
    """``generated`` corrupts the test images here; ``stored`` reads the published files of
    CIFAR-10-C, CIFAR-100-C, MNIST-C or ImageNet-C."""
    path: str | None = None
    """The folder of those files; `None` looks for their published name in the data root."""
    constants: Literal["auto", "imagenet-c", "cifar-10-c"] = "auto"
    """What severities mean for generated images; ``auto`` takes those of CIFAR-10-C for images of
    up to 64 pixels, and those of ImageNet-C for larger ones."""
    kinds: Annotated[tuple[str, ...], NotEmpty] | Literal["common", "all"] = "common"
    """``common`` are the fifteen to be reported, ``all`` has the four extra ones too; of a stored
    set, both are all that it holds."""
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], NotEmpty, OneOrMany] = (
        1,
        2,
        3,
        4,
        5,
    )
    samples: Annotated[int, Field(ge=1)] | None = None

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if value in ("common", "all") else listed(value)


class ResolvedCorruptOptions(Frozen):
    """`CorruptOptions` once it is known which images there are, and what makes them."""

    origin: str
    """Where the images come from, in words; part of every metric's condition."""
    images: Literal["generated", "stored"]
    path: str | None = None
    constants: str | None = None
    kinds: tuple[str, ...]
    severities: tuple[int, ...]
    samples: int | None = None
    left_out: dict[str, str] = {}
    """Kind → why these images cannot bear it."""
    made_by: dict[str, str] = {}
    """Versions of what makes generated images, or the fingerprint of stored ones."""
    missing: str | None = None
    """What has to be there first, where it is not."""


class CorruptDetails(Frozen):
    """What the record says beside the metrics."""

    conditions: tuple[str, ...]
    """Kind and severity of each row of the arrays."""
    origin: str
    """Where the images come from, in words."""
    kinds: dict[str, int]
    """How many were shown, and how many of the fifteen common ones."""
    left_out: dict[str, str]
    """Kind → why these images cannot bear it."""


class Corrupt(Stage[CorruptOptions]):
    """Accuracy and answers under common corruptions, severity by severity."""

    name = "corrupt"
    Options = CorruptOptions
    Details = CorruptDetails
    imports = ("robench.stages.corrupt", "scipy.ndimage")

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To images of classes."""
        return classified_images(data)

    def resolve(self, asked: CorruptOptions, premises: Premises) -> ResolvedCorruptOptions:
        """Which images there are, and what makes them."""
        from robench.stages.corrupt import resolve

        return resolve(asked, premises.data, premises.data_root)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.corrupt.corrupt`."""
        from robench.stages.corrupt import corrupt

        return corrupt(cell, context)
