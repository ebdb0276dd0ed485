from __future__ import annotations

import pickle

import pytest

from robench import errors


def test_a_message_has_what_where_allowed_and_next() -> None:
    error = errors.SuiteError("x is 3", where="a.yaml:4", allowed=(1, 2), hint="say 1")
    assert str(error).splitlines() == [
        "x is 3",
        "  where:   a.yaml:4",
        "  allowed: 1, 2",
        "  next:    say 1",
    ]


@pytest.mark.parametrize(
    "error",
    [
        errors.SuiteError("x", where="w", allowed="a", hint="h"),
        errors.UnknownNameError("method", "hallo", ["halo", "ssl"], where="s.yaml:1"),
        errors.InputError("y"),
    ],
)
def test_errors_survive_the_way_back_from_a_worker(error: errors.RobenchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_input_errors_are_value_errors() -> None:
    assert issubclass(errors.InputError, ValueError)


def test_nearest_names_ignore_case() -> None:
    assert errors.nearest_names("HALO", ["halo", "ssl"]) == ["halo"]
    assert errors.nearest_names("zzz", ["halo", "ssl"]) == []


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = {word for word in (errors.__doc__ or "").split() if word.endswith("Error")}
    real = {name for name in errors.__all__ if name.endswith("Error")}
    assert drawn == real
