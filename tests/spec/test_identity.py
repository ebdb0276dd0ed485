from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.spec import canonical_json, digest, seed_for

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_json_keeps_the_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    backwards = dict(reversed(value.items()))
    assert digest(backwards) == digest(value)


def test_digest_is_a_golden_value() -> None:
    # sha256 of the text {"a":[1,0.5],"b":"x"}, computed with coreutils' sha256sum.
    assert canonical_json({"b": "x", "a": [1, 0.5]}) == '{"a":[1,0.5],"b":"x"}'
    assert digest({"b": "x", "a": [1, 0.5]}) == "360f7f88950464b5"


def test_not_a_number_is_no_identity() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"level": float("nan")})


@given(st.integers(min_value=0, max_value=2**31), st.text())
def test_seeds_are_stable_and_in_range(seed: int, purpose: str) -> None:
    first = seed_for(seed, purpose, "axis")
    assert first == seed_for(seed, purpose, "axis")
    assert 0 <= first < 2**63


def test_each_axis_changes_the_seed() -> None:
    seeds = {
        seed_for(0, "init"),
        seed_for(1, "init"),
        seed_for(0, "order"),
        seed_for(0, "init", "a"),
        seed_for(0, "init", "b"),
        seed_for(0, "init", "a", "b"),
    }
    assert len(seeds) == 6
