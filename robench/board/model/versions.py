"""Versions of one method: which of them is on the board.

The rule: **in each row, the newest version of a method replaces the older ones as soon as it was
run for every seed that they were run for.** Until then the older version stays, so that half a
repetition neither takes numbers off the board nor lends its seeds to a mean of two versions. A
plug-in file that was edited under one version counts as another version: the code that ran last is
the newest. A run counts whether it succeeded or not: where the newest version fails, the row has
failed. What is left out is told on the page, and stays in ``results.csv``.

Two versions belong to one method if they have the same name and parameters; or, where a version
has other defaults, if the suites set the same parameters to the same values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from robench.analysis.frame import (
    CLEAN_TRAINING,
    label_forms,
    params_json,
    preferred_label,
    unique_names,
)
from robench.board.model.format import level
from robench.spec import CONTROLS, MethodIdentity, digest

if TYPE_CHECKING:
    from robench.spec import PluginRef, Record

__all__ = ["Method", "OtherVersion", "is_chosen", "methods_of", "other_versions"]

Version = tuple[int, str, str]
"""Version of the method, when its code last ran, and which code that is: the later, the newer."""
Variant = tuple[str, int, str]
"""Name, version and parameters of a method, as the columns of the long table have them."""

_ROW = ["panel", "training", "method", "level"]
_Row = tuple[object, ...]


@dataclass(frozen=True)
class Method(MethodIdentity):
    """A method in all its versions."""

    label: str
    """For people; on one board no other method has it."""
    name: str
    """Of the plug-in."""

    @property
    def order(self) -> tuple[int, str]:
        """The controls first, then by label."""
        place = CONTROLS.index(self.name) if self.is_control else len(CONTROLS)
        return place, self.label


@dataclass(frozen=True)
class OtherVersion:
    """A version of a method that is left out of some rows of a panel."""

    panel: str
    training: str
    method: str
    version: str
    """That is left out: its number and, where an edit makes the difference, its code."""
    chosen: str
    """That is on the board instead."""
    levels: tuple[float, ...]
    """Of the rows that it is left out of."""
    records: int
    lacking: tuple[int, ...] = ()
    """Seeds that a newer version, which is left out, was not run for yet."""

    @property
    def told(self) -> str:
        """A sentence for the page, without its stop."""
        noise = "" if self.training == CLEAN_TRAINING else f", trained on {self.training}"
        count = "1 record" if self.records == 1 else f"{self.records:,} records"
        levels = ", ".join(f"{level(asked)}%" for asked in self.levels)
        until = ""
        if self.lacking:
            until = f" until version {self.version} was run for seeds {_listed(self.lacking)} too"
        return (
            f"{self.method} on {self.panel}{noise}, at {levels}: version {self.chosen} counts"
            f"{until}; {count} of version {self.version} left out"
        )


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


def methods_of(records: Iterable[Record]) -> dict[Variant, Method]:
    """The method that each variant belongs to; see above for when two belong to one."""
    plugins: dict[Variant, list[PluginRef]] = defaultdict(list)
    for record in records:
        plugin = record.cell.method
        variant = (plugin.name, plugin.version, params_json(plugin.params))
        if plugin not in plugins[variant]:
            plugins[variant].append(plugin)
    newest = {variant: variant for variant in plugins}
    asked = {variant: {_asked(ref) for ref in refs} for variant, refs in plugins.items()}
    # From the newest to the oldest, so that a successor's own successor is known.
    for variant in sorted(plugins, key=lambda own: (-own[1], own)):
        found = _successor(variant, asked)
        if found is not None:
            newest[variant] = newest[found]
    labels = _labels(plugins, newest)
    return {variant: Method(labels[newest[variant]], variant[0]) for variant in plugins}


def _asked(plugin: PluginRef) -> str:
    """What the suite set itself."""
    return params_json({key: plugin.params.get(key) for key in plugin.changed})


def _successor(own: Variant, asked: Mapping[Variant, set[str]]) -> Variant | None:
    """The nearest newer version with the same parameters, or with the same that were asked for."""
    name, version, params = own
    newer = sorted(other for other in asked if other[0] == name and other[1] > version)
    same = [other for other in newer if other[2] == params]
    if same:
        return same[0]
    # Not one that has a better claim on the same successor.
    rivals = {other[2] for other in asked if other[:2] == (name, version)}
    alike = (o for o in newer if asked[o] & asked[own] and o[2] not in rivals)
    return next(alike, None)


def _labels(
    plugins: Mapping[Variant, list[PluginRef]], newest: Mapping[Variant, Variant]
) -> dict[Variant, str]:
    """A label for each method, by its newest variant; as short as can be told apart."""
    forms = {}
    for variant in sorted(set(newest.values())):
        short, label = label_forms(preferred_label(plugins[variant]))
        forms[variant] = (short, label, f"{label} ({digest(list(variant), length=8)})")
    return unique_names(forms)


def is_chosen(frame: pd.DataFrame) -> pd.Series:
    """Whether each line of the frame is of the version that counts in its row; bool.

    Args:
        frame: the long table with the columns ``panel`` and ``method``, the label of `Method`, and
            ``started``.
    """
    chosen = {row: _newest_whole(versions) for row, versions in _seeds_of(frame).items()}
    # Start networks are in no row.
    cells = _result_cells(frame)[["id", *_ROW, "method_version", "code"]]
    left_out = {
        cell
        for cell, *row, version, code in cells.itertuples(index=False, name=None)
        if (known := chosen.get(tuple(row))) and (known[0], known[2]) != (version, code)
    }
    return ~frame["id"].isin(left_out)


def _seeds_of(frame: pd.DataFrame) -> dict[_Row, dict[Version, set[int]]]:
    """Of each row and version the seeds that it was run for, successfully or not."""
    cells = _result_cells(frame)
    edition = [*_ROW, "method_version", "code"]
    last = cells.groupby(edition, dropna=False)["started"].transform("max")
    found: dict[_Row, dict[Version, set[int]]] = {}
    columns = cells.assign(last=last)[[*edition, "last", "seed"]]
    for *row, version, code, ran, seed in columns.itertuples(index=False, name=None):
        seeds = found.setdefault(tuple(row), {}).setdefault((int(version), ran, code), set())
        seeds.add(int(seed))
    return found


def _newest_whole(seeds_of: Mapping[Version, set[int]]) -> Version:
    """The newest version that lacks no seed of an older one; the oldest, at least, lacks none."""
    return max(version for version in seeds_of if not _lacking(version, seeds_of))


def _lacking(version: Version, seeds_of: Mapping[Version, set[int]]) -> set[int]:
    """The seeds that older versions were run for and this one was not."""
    older = (seeds for other, seeds in seeds_of.items() if other < version)
    return set().union(*older) - seeds_of[version]


def other_versions(frame: pd.DataFrame) -> tuple[OtherVersion, ...]:
    """What is left out, in the order of the panels.

    Args:
        frame: as for `is_chosen`.
    """
    left_out: dict[_LeftOut, dict[float, set[int]]] = defaultdict(dict)
    for row, seeds_of in _seeds_of(frame).items():
        panel, training, method, asked = row
        chosen = _newest_whole(seeds_of)
        for own in seeds_of.keys() - {chosen}:
            key = _LeftOut(
                *(str(panel), str(training), str(method)),
                version=_named(own, seeds_of),
                chosen=_named(chosen, seeds_of),
                number=own[0],
                code=own[2],
            )
            left_out[key][float(str(asked))] = _lacking(own, seeds_of) if own > chosen else set()
    cells = _result_cells(frame).groupby([*_ROW, "method_version", "code"]).size().to_dict()
    return tuple(
        OtherVersion(
            *key[:3],
            version=key.version,
            chosen=key.chosen,
            levels=tuple(sorted(rows)),
            records=sum(int(cells[(*key[:3], asked, key.number, key.code)]) for asked in rows),
            lacking=tuple(sorted(set().union(*rows.values()))),
        )
        for key, rows in sorted(left_out.items())
    )


class _LeftOut(NamedTuple):
    """What is left out for the same reason in some rows of a panel."""

    panel: str
    training: str
    method: str
    version: str
    chosen: str
    number: int
    code: str


def _named(version: Version, seeds_of: Mapping[Version, set[int]]) -> str:
    """``2``; or, where code makes the difference, ``2 (code 1a2b3c4d)``."""
    number, _, code = version
    codes = {own for other, _, own in seeds_of if other == number}
    return str(number) if len(codes) == 1 else f"{number} (code {code or 'of robench'})"


def _result_cells(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["role"] == "result"].drop_duplicates("id")
