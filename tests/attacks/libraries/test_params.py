"""Schemas from signatures."""

from __future__ import annotations

from typing import Literal, Optional, Union

import pytest
from pydantic import ValidationError
from torch import Tensor

from robench.attacks.libraries.params import params_of


def search(
    model: object,
    images: Tensor,
    steps: int,
    gamma: float = 0.05,
    *,
    sigma: Optional[float] = None,  # noqa: UP045 - as older libraries write it
    loss: Union[Literal["logits"], Literal["crossentropy"]] = "logits",  # noqa: UP007
    radius: Union[float, Tensor] = 1.0,  # noqa: UP007
    norm: int | None = 2,
    **more: object,
) -> None:
    """A function of a library."""


def test_plain_arguments_become_fields_and_others_do_not() -> None:
    schema = params_of(search, without={"norm"}, defaults={"gamma": 0.1})
    assert set(schema.model_fields) == {"one_by_one", "steps", "gamma", "sigma", "loss"}
    params = schema(steps=3)
    assert params.model_dump() == {
        "one_by_one": False,
        "steps": 3,
        "gamma": 0.1,
        "sigma": None,
        "loss": "logits",
    }


@pytest.mark.parametrize(
    "values", [{}, {"steps": "many"}, {"steps": 1, "loss": "hinge"}, {"steps": 1, "gama": 1}]
)
def test_what_does_not_fit_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        params_of(search)(**values)
