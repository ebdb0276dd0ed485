"""Equality of dataclasses that hold tensors."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

import robench.attacks
from robench.attacks.core.equality import EqualByValue


@dataclass(frozen=True, eq=False)
class Found(EqualByValue):
    distance: Tensor
    by_name: dict[str, Tensor]
    share: float = 0.5
    seconds: float = field(default=0.0, compare=False)


def found(**changes: object) -> Found:
    fields = {
        "distance": torch.tensor([1.0, torch.nan, torch.inf]),
        "by_name": {"ddn": torch.zeros(2)},
    }
    return Found(**{**fields, **changes})


def test_equal_values_are_equal_with_nan_and_whatever_time_it_took() -> None:
    assert found() == found()
    assert found(seconds=1.0) == found(seconds=2.0)
    assert found(share=float("nan")) == found(share=float("nan"))


@pytest.mark.parametrize(
    "changes",
    [
        {"distance": torch.tensor([1.0, 0.0, torch.inf])},  # NaN is not zero
        {"distance": torch.tensor([1.0, torch.nan])},
        {"distance": torch.tensor([1.0, torch.nan, torch.inf], dtype=torch.float64)},
        {"distance": None},
        {"by_name": {"fmn": torch.zeros(2)}},
        {"by_name": {"ddn": torch.ones(2)}},
        {"share": 0.25},
    ],
)
def test_any_other_value_shape_or_type_is_not_equal(changes: dict[str, object]) -> None:
    assert found(**changes) != found()


def test_objects_of_another_class_are_not_equal_and_none_is_hashed() -> None:
    assert found() != "found"
    with pytest.raises(TypeError, match="unhashable"):
        hash(found())


def test_everything_that_holds_tensors_can_be_compared() -> None:
    """`==` of two tensors is a tensor, and the one that dataclasses write raises for it."""
    found = []
    for module in pkgutil.walk_packages(robench.attacks.__path__, "robench.attacks."):
        for kind in vars(importlib.import_module(module.name)).values():
            if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
                continue
            types = {str(field.type) for field in dataclasses.fields(kind)}
            if any("Tensor" in text or "NDArray" in text for text in types):
                found.append(kind)
                assert kind.__eq__ in (object.__eq__, EqualByValue.__eq__), kind
    assert {"AttackReport", "AttackInputs", "Claim"} < {kind.__name__ for kind in found}
