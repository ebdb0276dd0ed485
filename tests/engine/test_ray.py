from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import robench
from robench.engine.progress import Silent
from robench.errors import UsageError

STUMBLING = Path(__file__).parent.parent / "plugins" / "stumbling.py"
HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_says_how_to_get_it(tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Ray is not installed") as caught:
        robench.run(tiny(), results=tmp_path / "r", engine="ray", progress=Silent())
    assert "robench[ray]" in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_records_of_the_local_engine(tiny, tmp_path: Path) -> None:
    options = {"plugins": [STUMBLING], "progress": Silent()}
    local = robench.run(tiny(), results=tmp_path / "a", jobs=0, **options)
    ray = robench.run(tiny(), results=tmp_path / "b", jobs=2, engine="ray", **options)
    assert [(r.id, r.status) for r in ray.records] == [(r.id, r.status) for r in local.records]
    for one, other in zip(local.records, ray.records, strict=True):
        assert one.metric("accuracy") == other.metric("accuracy")
