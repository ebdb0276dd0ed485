"""The judge of what was found on noise training, on figures that it should know."""

from __future__ import annotations

import pytest

from robench.spec import Record
from tests.claims.noise import SHARES, published, verdicts


def test_what_the_paper_found_holds_of_its_own_figures() -> None:
    found = verdicts("noise-generalisation", published())
    assert {name.partition(" ")[0] for name in found} == set(SHARES)
    assert {verdict for _, verdict in found.values()} == {"holds"}
    value, _ = found["(2) salt-and-pepper to uniform-noise: share gained"]
    assert value == pytest.approx((10.2 - 6.2) / (89.8 - 6.2))
    value, _ = found["(5) salt-and-pepper alone, on clean images: share kept"]
    assert value == pytest.approx((10.4 - 6.25) / (96.7 - 6.25), abs=2e-3)
    value, _ = found["(3) all but uniform-noise: least accuracy on what it saw"]
    assert value == pytest.approx(0.747 + 0.001)


def test_networks_that_do_generalise_are_told_from_those() -> None:
    def robust(record: Record) -> Record:
        if record.cell.recipe.distortion is None:
            return record
        metrics = tuple(
            metric.model_copy(update={"value": 0.9}) if metric.name == "accuracy" else metric
            for metric in record.metrics
        )
        return record.model_copy(update={"metrics": metrics})

    found = verdicts("noise-generalisation", [robust(record) for record in published()])
    assert found["(2) salt-and-pepper to uniform-noise: share gained"][1] == "does not hold"
    assert found["(3) all but uniform-noise, on uniform-noise: share gained"][1] == "does not hold"
    assert found["(5) uniform-noise alone, on clean images: share kept"][1] == "does not hold"
    assert found["(3) all but uniform-noise: least accuracy on what it saw"][1] == "holds"


def test_few_seeds_leave_it_open() -> None:
    found = verdicts("noise-generalisation", published(seeds=2))
    assert {verdict for _, verdict in found.values()} == {"open: fewer than 3 seeds"}
