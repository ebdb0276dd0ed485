"""The fingerprint: plain data, the same each time, and another one on another machine."""

from __future__ import annotations

import json
import string
from pathlib import Path

import psutil
import pytest
import torch

import robench.measure.machine as machine
from robench.errors import MeasurementError


def test_fingerprint_is_plain_and_stable() -> None:
    first, second = machine.fingerprint(), machine.fingerprint()
    assert first == second
    assert json.loads(json.dumps(first)) == first
    assert first["cores_logical"] == psutil.cpu_count()
    assert first["torch"] == torch.__version__
    assert first["cpu"]
    assert len(first["key"]) == 12
    assert set(first["key"]) <= set(string.hexdigits)


@pytest.mark.parametrize(
    ("change", "same"), [({"cpu": "another"}, False), ({"kernel": "another"}, True)]
)
def test_key_follows_what_latency_depends_on(
    change: dict[str, str], same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = machine.fingerprint()
    facts = {**machine._facts(), **change}
    monkeypatch.setattr(machine, "_facts", lambda: facts)
    assert (machine.fingerprint()["key"] == before["key"]) is same


def test_threads_are_part_of_the_key() -> None:
    before = torch.get_num_threads()
    keys = set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            keys.add(machine.fingerprint()["key"])
    finally:
        torch.set_num_threads(before)
    assert len(keys) == 2


def test_hardware_is_told_apart_by_what_one_thread_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = machine.hardware_key("cpu")
    assert machine.fingerprint()["hardware"]["cpu"] == own
    facts, keys = machine._facts(), {}
    for change in ("kernel", "gpus", "cpu", "torch"):
        changed = {**facts, change: ["another"]}
        monkeypatch.setattr(machine, "_facts", lambda changed=changed: changed)
        keys[change] = machine.hardware_key("cpu")
    assert keys["kernel"] == keys["gpus"] == own
    assert len({own, keys["cpu"], keys["torch"]}) == 3


def test_gpus_count_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = machine._facts()
    keys = []
    for gpus in (["a card"], ["another card"]):
        monkeypatch.setattr(machine, "_facts", lambda gpus=gpus: {**facts, "gpus": gpus})
        keys.append(machine.hardware_key("cuda"))
        assert set(machine.fingerprint()["hardware"]) == {"cpu", "cuda"}
    assert keys[0] != keys[1]


def test_time_is_not_taken_for_another_machine() -> None:
    machine.check_machine(machine.hardware_key("cpu"), "cpu")
    with pytest.raises(MeasurementError, match="on the machine 0123456789ab"):
        machine.check_machine("0123456789ab", "cpu")


def test_model_name_is_read_where_there_is_one(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name\t: A Fast One @ 3 GHz\nmodel name\t: other\n")
    assert machine._model_in(cpuinfo) == "A Fast One @ 3 GHz"
    cpuinfo.write_text("processor : 0\nBogoMIPS : 50\n")
    assert machine._model_in(cpuinfo) is None
    assert machine._model_in(tmp_path / "none") is None
