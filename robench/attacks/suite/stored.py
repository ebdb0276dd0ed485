"""Attack reports as files: safetensors, with the rest as JSON in the header; no pickle is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from robench.attacks.evaluation.flags import Flag
from robench.attacks.suite.report import AttackReport, CheckReport, MemberReport
from robench.errors import StoreError
from robench.files import write_atomically

__all__ = ["load_report", "save_report"]

_FORMAT, _VERSION = "robench attack report", 1
_OF_REPORT = ("distance", "adversarial", "margin", "passes", "correct", "norm")
_OF_MEMBER = ("distance", "distance_on_ray", "forwards", "backwards")
_TYPES = {
    **dict.fromkeys(("distance", "distance_on_ray", "margin", "norm"), torch.float64),
    **dict.fromkeys(("passes", "forwards", "backwards", "winner"), torch.int64),
    "adversarial": torch.float32,
    "correct": torch.bool,
}


def save_report(report: AttackReport, path: Path) -> None:
    """Write a report, whole or not at all; folders on the way are made.

    Raises:
        StoreError: the file cannot be written.
    """
    winners = sorted(set(report.winner))
    tensors = {name: getattr(report, name) for name in _OF_REPORT}
    tensors["winner"] = torch.tensor([winners.index(name) for name in report.winner])
    for key, member in report.attacks.items():
        tensors |= {f"attacks/{key}/{name}": getattr(member, name) for name in _OF_MEMBER}
    if report.checks is not None:
        tensors["checks/passes"] = report.checks.passes_per_image
    text = json.dumps(_strict(_facts(report, winners)), allow_nan=False)
    header = {"format": _FORMAT, "version": str(_VERSION), "report": text}
    content = save({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, header)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"the report cannot be written: {error}", where=str(path)) from error


def load_report(path: Path) -> AttackReport:
    """Read a report that `save_report` wrote, onto the CPU.

    Raises:
        StoreError: there is no such file, it is none of these, or it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            _check_header(header, path)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {path.name!r}", where=str(path)) from error
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{path.name!r} is no readable safetensors file: {error}",
            where=str(path),
            allowed="what AttackReport.save wrote",
        ) from error
    try:
        return _report(json.loads(header["report"]), tensors)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StoreError(
            f"{path.name!r} is a damaged attack report: {type(error).__name__}: {error}",
            where=str(path),
            hint="write it again with AttackReport.save",
        ) from error


def _check_header(header: Mapping[str, str], path: Path) -> None:
    if header.get("format") != _FORMAT:
        raise StoreError(
            f"{path.name!r} is no attack report of robench",
            where=str(path),
            allowed="what AttackReport.save wrote",
        )
    if header.get("version") != str(_VERSION):
        raise StoreError(
            f"{path.name!r} is an attack report of version {header.get('version')}",
            where=str(path),
            allowed=f"version {_VERSION}",
            hint="read it with the robench that wrote it, or a newer one",
        )


def _facts(report: AttackReport, winners: list[str]) -> dict[str, Any]:
    """All that is no tensor."""
    left_out = set(_OF_MEMBER)
    members = {
        key: {name: value for name, value in vars(member).items() if name not in left_out}
        for key, member in report.attacks.items()
    }
    return {
        "winners": winners,
        "allowed": report.allowed,
        "flags": [asdict(flag) for flag in report.flags.values()],
        "attacks": members,
        "views": report.views,
        "checks": None if report.checks is None else report.checks.told(),
        "suite": report.suite,
        "seed": report.seed,
        "box": report.box,
        "notes": report.notes,
    }


def _report(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> AttackReport:
    winners, count = facts["winners"], len(tensors["distance"])
    _check_tensors(tensors, count)
    attacks = {
        key: _member(member, {name: tensors[f"attacks/{key}/{name}"] for name in _OF_MEMBER})
        for key, member in facts["attacks"].items()
    }
    flags = [_flag(flag) for flag in facts["flags"]]
    checks = facts["checks"]
    return AttackReport(
        **{name: tensors[name] for name in _OF_REPORT},
        winner=tuple(winners[place] for place in tensors["winner"].tolist()),
        allowed=facts["allowed"],
        flags={flag.name: flag for flag in flags},
        attacks=attacks,
        views=tuple(facts["views"]),
        checks=None
        if checks is None
        else CheckReport(
            images=checks["images"],
            passes_per_image=tensors["checks/passes"],
            seconds=checks["seconds"],
        ),
        suite=facts["suite"],
        seed=facts["seed"],
        box=facts["box"],
        notes=tuple(facts["notes"]),
    )


def _member(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> MemberReport:
    numbers: dict[str, Any] = {name: _number(facts.pop(name)) for name in ("optimality", "wins")}
    return MemberReport(**{**facts, **numbers, **tensors})


def _flag(facts: dict[str, Any]) -> Flag:
    threshold = facts.pop("threshold")
    ends = [float(end) for end in threshold] if isinstance(threshold, list) else None
    value = _number(facts.pop("value"))
    limit = (ends[0], ends[1]) if ends is not None else float(threshold)
    return Flag(**facts, value=value, threshold=limit)


def _check_tensors(tensors: Mapping[str, Tensor], count: int) -> None:
    for key, tensor in tensors.items():
        name = key.rpartition("/")[2]
        if len(tensor) != count or tensor.dtype != _TYPES[name]:
            raise ValueError(f"{key} is {tensor.dtype} {tuple(tensor.shape)} for {count} images")
    if (tensors["winner"] < 0).any():
        raise ValueError("a winner is negative")


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _strict(value: object) -> object:
    """Plain data; JSON knows no infinity, which is written as a word."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_strict(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
