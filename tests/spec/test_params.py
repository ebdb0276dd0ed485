from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from robench.errors import ParameterError
from robench.spec.base import Frozen
from robench.spec.params import parse_params


class Schema(Frozen):
    width: Annotated[int, Field(ge=1)] = 4
    rates: tuple[float, ...] = (0.5,)


class Needy(Frozen):
    path: str


def test_defaults_fill_what_is_not_named() -> None:
    assert parse_params("model 'x'", Schema, None) == Schema()
    assert parse_params("model 'x'", Schema, {"rates": [0.1, 0.2]}).rates == (0.1, 0.2)


def test_an_instance_is_returned_as_it_is() -> None:
    params = Schema(width=7)
    assert parse_params("model 'x'", Schema, params) is params


@pytest.mark.parametrize(
    ("schema", "values", "parts"),
    [
        (Schema, {"widht": 3}, ["model 'x' has no parameter 'widht'", "rates, width", "'width'"]),
        (Schema, {"width": 0}, ["'width' cannot be 0", "greater than or equal to 1"]),
        (Schema, {"rates": [0.5, "much"]}, ["'rates.1' cannot be 'much'"]),
        (Needy, {}, ["needs the parameter 'path'"]),
    ],
)
def test_a_wrong_parameter_is_named(
    schema: type[Frozen], values: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_params("model 'x'", schema, values, where="suite.yaml:3")
    for part in [*parts, "suite.yaml:3"]:
        assert part in str(caught.value)
