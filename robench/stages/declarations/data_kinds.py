"""Which data a stage has something to say about, in words for those that it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["classes", "classified_images", "tables"]


def classes(data: Data) -> Literal[True] | str:
    """Data whose networks tell classes apart."""
    return data.task == "classification" or "it is about classes, and these data have none"


def classified_images(data: Data) -> Literal[True] | str:
    """Images whose networks tell classes apart."""
    is_of_images = data.kind == "image" and data.task == "classification"
    return is_of_images or "it is about images of classes, and these data are none"


def tables(data: Data) -> Literal[True] | str:
    """Rows of features."""
    return data.kind == "tabular" or "it is about tables, and these data are images"
