"""Versions of one method: which of them is on the board.

The rule: **in each row, the newest version of a method replaces the older ones as soon as it was
run for every seed that they were run for.** Until then the older version stays, so that half a
repetition neither takes numbers off the board nor lends its seeds to a mean of two versions. A run
counts whether it succeeded or not: where the newest version fails, the row has failed. What is
left out is told on the page, and stays in ``results.csv``.

Two versions belong to one method if they have the same name and parameters; or, where a version
has other defaults, if the suites set the same parameters to the same values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from robench.board.format import level
from robench.escape import for_terminal
from robench.spec import CONTROLS, DENSE, GIVEN, digest
from robench.stats.frame import CLEAN_TRAINING, params_json, unique_names

if TYPE_CHECKING:
    from robench.spec import PluginRef, Record

__all__ = ["Method", "OtherVersion", "chosen_versions", "methods_of", "other_versions"]

Variant = tuple[str, int, str]
"""Name, version and parameters of a method, as the columns of the long table have them."""

_ROW = ["panel", "training", "method", "level"]
_Row = tuple[object, ...]


@dataclass(frozen=True)
class Method:
    """A method in all its versions."""

    label: str
    """For people; on one board no other method has it."""
    name: str
    """Of the plug-in."""

    @property
    def is_dense(self) -> bool:
        """Whether it removes nothing."""
        return self.name == DENSE

    @property
    def is_given(self) -> bool:
        """Whether it stands for a network that robench did not train: one, of no grid."""
        return self.name == GIVEN

    @property
    def order(self) -> tuple[int, str]:
        """The controls first, then by label."""
        place = CONTROLS.index(self.name) if self.name in CONTROLS else len(CONTROLS)
        return place, self.label

    @property
    def is_graded(self) -> bool:
        """Whether it is asked for levels; other networks stand beside each level."""
        return not (self.is_dense or self.is_given)


@dataclass(frozen=True)
class OtherVersion:
    """A version of a method that is left out of some rows of a panel."""

    panel: str
    training: str
    method: str
    version: int
    """That is left out."""
    chosen: int
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
        shortest = min((len(ref.label), ref.label) for ref in plugins[variant])
        label = for_terminal(shortest[1])
        forms[variant] = (label, f"{label} ({digest(list(variant), length=8)})")
    return unique_names(forms)


def chosen_versions(frame: pd.DataFrame) -> pd.Series:
    """The version of the method that counts in the row of each line of the frame.

    Args:
        frame: the long table with the columns ``panel`` and ``method``, the label of `Method`.
    """
    chosen = {row: _newest_whole(versions) for row, versions in _seeds_of(frame).items()}
    rows = frame[_ROW].itertuples(index=False, name=None)
    own = zip(rows, frame["method_version"], strict=True)
    # Start networks are in no row.
    found = [chosen.get(row, int(version)) for row, version in own]
    versions = pd.Series(found, index=frame.index, dtype="Int64")
    return versions.where(frame["role"] == "result", frame["method_version"])


def _seeds_of(frame: pd.DataFrame) -> dict[_Row, dict[int, set[int]]]:
    """Of each row and version the seeds that it was run for, successfully or not."""
    cells = _result_cells(frame)
    found: dict[_Row, dict[int, set[int]]] = {}
    columns = cells[[*_ROW, "method_version", "seed"]]
    for *row, version, seed in columns.itertuples(index=False, name=None):
        found.setdefault(tuple(row), {}).setdefault(int(version), set()).add(int(seed))
    return found


def _newest_whole(seeds_of: Mapping[int, set[int]]) -> int:
    """The newest version that lacks no seed of an older one; the oldest, at least, lacks none."""
    return max(version for version in seeds_of if not _lacking(version, seeds_of))


def _lacking(version: int, seeds_of: Mapping[int, set[int]]) -> set[int]:
    """The seeds that older versions were run for and this one was not."""
    older = (seeds for other, seeds in seeds_of.items() if other < version)
    return set().union(*older) - seeds_of[version]


def other_versions(frame: pd.DataFrame, chosen: pd.Series) -> tuple[OtherVersion, ...]:
    """What is left out, in the order of the panels.

    Args:
        frame: as for `chosen_versions`.
        chosen: what that returned.
    """
    seeds = _seeds_of(frame)
    cells = _result_cells(frame.assign(chosen=chosen))
    left_out = cells[cells["method_version"] != cells["chosen"]]
    found = []
    for _, of in left_out.groupby(["panel", "training", "method", "method_version", "chosen"]):
        first = of.to_dict("records")[0]
        version, chosen_one = int(first["method_version"]), int(first["chosen"])
        place = (first["panel"], first["training"], first["method"])
        levels = sorted(float(level) for level in of["level"].unique())
        lacking = set().union(*(_lacking(version, seeds[*place, level]) for level in levels))
        found.append(
            OtherVersion(
                *place,
                version=version,
                chosen=chosen_one,
                levels=tuple(levels),
                records=len(of),
                lacking=tuple(sorted(lacking)) if version > chosen_one else (),
            )
        )
    return tuple(found)


def _result_cells(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["role"] == "result"].drop_duplicates("id")
