"""What a data set is: three fixed splits in memory, and the class that loads them.

A data set is one class in one file:

    class Checkerboards(Dataset):
        \"\"\"Checkerboards of two sizes.\"\"\"  # what `robench list datasets` shows

        name = "checkerboards"

        def load(self, root: Path, /) -> Data:
            images, labels = ...                    # uint8 [N, C, H, W] and int64 [N]
            return assemble(
                self.name, classes=("small", "large"), inputs=images, labels=labels,
                splits=own_split(labels, self.name),
            )
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from robench.errors import InputError
from robench.spec.base import Frozen
from robench.spec.params import check_params_schema

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel
    from torch import Tensor

__all__ = ["Data", "Dataset", "Split", "check_plugin", "to_float"]

Kind = Literal["image", "tabular"]
Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Split:
    """Part of a data set, in a fixed order in which every beginning is a fair sample.

    The tensors are shared by everyone who loads the data: they must not be changed in place.

    Args:
        images: uint8 [N, C, H, W] of images, or float32 [N, F] in [0, 1] of rows of features.
        labels: int64 [N], positions in `Data.classes`; or float32 [N], the target of a regression
            in units of its standard deviation over the training split, its mean subtracted.
        index: int64 [N], the position of each input in the whole data set. It names the input
            wherever the input goes, so that noise drawn for it does not depend on the batch.

    Raises:
        InputError: tensors of other shapes or types.
    """

    images: Tensor
    labels: Tensor
    index: Tensor

    def __post_init__(self) -> None:
        layout = (self.images.dim(), self.images.dtype)
        if layout not in ((4, torch.uint8), (2, torch.float32)):
            raise InputError(
                f"inputs of shape {tuple(self.images.shape)} and type {self.images.dtype}",
                allowed="uint8 [N, C, H, W] for images, float32 [N, F] for rows of features",
            )
        for name, tensor, kinds in (
            ("labels", self.labels, (torch.int64, torch.float32)),
            ("index", self.index, (torch.int64,)),
        ):
            if tensor.dtype not in kinds or tensor.shape != self.images.shape[:1]:
                allowed = " or ".join(str(kind).removeprefix("torch.") for kind in kinds)
                raise InputError(
                    f"`{name}` of shape {tuple(tensor.shape)} and type {tensor.dtype}",
                    allowed=f"{allowed} [{len(self.images)}], one a row of `images`",
                )

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Split:
        """The first `count` inputs, or all of them if there are fewer or `count` is `None`."""
        if count is None or count >= len(self):
            return self
        return Split(self.images[:count], self.labels[:count], self.index[:count])


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in memory.

    Args:
        name: as in ``robench list datasets``.
        kind: ``"image"`` or ``"tabular"``.
        classes: name of each class, at least two; labels are positions in it. Empty for a
            regression.
        train: what networks are trained on.
        validation: what decisions are made on; no part of it is in `train` or `test`.
        test: what is reported on.
        sha256: hexadecimal hash over every input, label and index of the three splits.
        mean: mean of each channel or feature over `train`, in [0, 1].
        std: standard deviation of each, positive; 1 where the channel or feature is constant.
        target_mean: of a regression, in the target's own units: what was subtracted.
        target_std: likewise: what was divided by.
        features: name of each feature of tabular data; empty where they have none.

    Raises:
        InputError: splits that do not go together, or labels without a class.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    target_mean: float = 0.0
    target_std: float = 1.0
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind == "image") != (len(self.input_shape) == 3):
            raise InputError(f"{self.name}: {self.kind} data of shape {self.input_shape}")
        if self.features and (len(self.features),) != self.input_shape:
            raise InputError(
                f"{self.name}: {len(self.features)} names of features for {self.input_shape}"
            )
        for split in (self.train, self.validation, self.test):
            if tuple(split.images.shape[1:]) != self.input_shape:
                raise InputError(
                    f"{self.name}: the splits' inputs have the shapes {self.input_shape} and "
                    f"{tuple(split.images.shape[1:])}"
                )
            self._check_labels(split.labels)

    def _check_labels(self, labels: Tensor) -> None:
        if labels.is_floating_point() != (self.task == "regression"):
            raise InputError(
                f"{self.name}: labels of type {labels.dtype} for {len(self.classes)} classes",
                allowed="int64 with classes, float32 without, for a regression",
            )
        if self.task == "regression" or not len(labels):
            return
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            raise InputError(
                f"{self.name}: labels from {int(labels.min())} to {int(labels.max())}",
                allowed=f"0 to {len(self.classes) - 1}, for {len(self.classes)} classes",
            )

    @property
    def task(self) -> Task:
        """Telling classes apart, or predicting a number."""
        return "classification" if self.classes else "regression"

    @property
    def outputs(self) -> int:
        """How many outputs a network has: a logit for each class, or one number."""
        return len(self.classes) or 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image or (F,) of a row of features."""
        return tuple(self.train.images.shape[1:])


class Dataset(ABC):
    """A data set that can be loaded. Subclasses set `name` and `version`, and fill `load`.

    Args:
        params: an instance of the class's own `Params`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it with every change that changes the data."""
    Params: ClassVar[type[BaseModel]] = Frozen

    def __init__(self, params: Any) -> None:
        self.params = params

    @abstractmethod
    def load(self, root: Path, /) -> Data:
        """Bring the data into memory.

        Args:
            root: the folder in which data sets lie that are not embedded; it need not exist.

        Raises:
            DataError: the data is missing or damaged; names the file.
            ParameterError: a parameter that does not fit the data.
        """


def to_float(images: Tensor) -> Tensor:
    """Inputs as networks take them: float32 in [0, 1].

    Args:
        images: uint8 in 0…255, which is divided by 255; or float32, which is returned as it is.

    Raises:
        InputError: any other type.
    """
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    if images.dtype == torch.float32:
        return images
    raise InputError(
        f"inputs of type {images.dtype} have no known range",
        allowed="uint8 in 0…255, or float32 in [0, 1]",
    )


def check_plugin(value: object) -> str | None:
    """Why `value` is not a data set, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, Dataset):
        return "it is not a subclass of robench.data.base.Dataset"
    if value.load is Dataset.load:
        return "it does not fill `load`"
    return check_params_schema(value)
