"""The interface: making methods, and telling methods from other things."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

from robench.errors import ParameterError, UnknownNameError
from robench.methods import METHODS
from robench.methods.base import Method, check_plugin, make
from robench.methods.magnitude import Magnitude
from robench.spec.base import Frozen

BUILT_IN = ["dense", "halo", "magnitude", "random", "ssl"]


def test_every_built_in_is_a_method_of_its_name():
    assert set(BUILT_IN) <= set(METHODS.names())
    for name in BUILT_IN:
        method = METHODS.get(name)
        assert check_plugin(method) is None
        assert method.name == name
        assert METHODS.summary(name)
        assert make(name).params == method.Params()


def test_make_takes_a_name_or_a_class():
    by_name = make("magnitude", {"scope": "layer"})
    assert isinstance(by_name, Magnitude)
    assert by_name.params.scope == "layer"
    assert make(Magnitude, Magnitude.Params(scope="layer")).params == by_name.params
    assert repr(by_name) == "magnitude(scope='layer')"


def test_each_run_has_a_method_of_its_own():
    assert make("ssl") is not make("ssl")


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        make("magnitude").params.scope = "layer"


@pytest.mark.parametrize(
    ("name", "params", "parts"),
    [
        ("magnitude", {"scop": "layer"}, ["'magnitude'", "'scop'", "did you mean 'scope'?"]),
        ("magnitude", {"scope": "row"}, ["'scope'", "'row'", "'global' or 'layer'"]),
        ("ssl", {"lambda_g": 0}, ["'ssl'", "'lambda_g'", "0", "greater than 0"]),
        ("ssl", {"ssl_share": 1}, ["'ssl_share'", "less than 1"]),
        ("halo", {"xi": -1e-5}, ["'xi'", "-1e-05", "greater than 0"]),
        ("dense", {"scope": "layer"}, ["no parameter 'scope'", "no parameters at all"]),
    ],
)
def test_bad_parameters_are_named(name, params, parts):
    with pytest.raises(ParameterError) as caught:
        make(name, params)
    assert all(part in str(caught.value) for part in parts)


def test_an_unknown_method_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'magnitude'"):
        make("magnitud")


class Good(Method):
    """A method that does nothing."""

    name = "good"


class Thawed(BaseModel):
    rate: float = 1.0


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, None),
        ({"name": ""}, "`name`"),
        ({"name": "given"}, "stands for networks that robench did not train"),
        ({"version": 0}, "`version`"),
        ({"structure": "blocks"}, "`structure` is 'blocks'"),
        ({"starts_from": "scratch"}, "`starts_from` is 'scratch'"),
        ({"Params": dict}, "`Params`"),
        ({"Params": Thawed}, "not frozen"),
        ({"after_step": lambda self: None}, "`after_step` does not take"),
        ({"penalty": None}, "`penalty` does not take"),
    ],
)
def test_check_plugin_says_what_is_wrong(attributes, reason):
    answer = check_plugin(type("Plugin", (Good,), attributes))
    assert answer is None if reason is None else answer is not None and reason in answer


@pytest.mark.parametrize("value", [None, 3, Good(), Frozen, Method, dict])
def test_other_things_are_no_methods(value):
    assert check_plugin(value) is not None


def test_the_registry_does_not_import_torch():
    code = (
        "import sys; from robench.methods import METHODS;"
        "[METHODS.summary(name) for name in METHODS.names()]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_names_of_before_are_taken_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="Old.trains_once is called shares_training now"):

        class Old(Method):
            """Written for 0.1."""

            name = "old"
            trains_once = True

    with pytest.warns(DeprecationWarning, match="Older.donor is called mask_source now"):

        class Older(Old):
            """Asks for masks."""

            def donor(self) -> str:
                return "magnitude"

    assert Old.shares_training
    assert Older().mask_source() == "magnitude"
    assert Old().mask_source() is None
