"""The table of claims."""

from __future__ import annotations

import pytest

from robench.claims import CLAIMS, claim, claims
from robench.errors import UnknownNameError
from robench.spec.suite import shipped_suites


def test_every_claim_names_suites_that_are_there() -> None:
    assert [each.name for each in claims()] == list(CLAIMS)
    for each in claims():
        assert set(each.suites) <= set(shipped_suites())
        assert each.cells
        assert each.sentence.endswith(".")
    with pytest.raises(UnknownNameError, match="hallo"):
        claim("hallo")
