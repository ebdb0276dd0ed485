"""Which cells may stand beside each other: one panel for each network under one protocol.

A folder of results can hold several suites, several devices, several versions of a method, and
what an earlier wording of a suite left behind. Numbers are only ever averaged or compared within
one panel; of a method one version counts (see `robench.board.model.versions`), and of each cell
only the newest form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from robench.analysis.frame import params_json, table, unique_names
from robench.board.model.versions import is_chosen, methods_of
from robench.escape import for_terminal
from robench.spec import digest

if TYPE_CHECKING:
    from robench.spec import Record

__all__ = ["BOARD_COLUMNS", "ROW", "panelled", "without_superseded"]

ROW = ["panel", "training", "method", "level"]
"""What makes a row of the leaderboard."""

BOARD_COLUMNS = ["panel", "started", "is_graded"]
"""What `panelled` adds to the long table."""

_PANEL = ["data", "model", "suite", "suite_version", "device", "recipe"]
"""What makes a panel."""


def panelled(records: Sequence[Record]) -> pd.DataFrame:
    """The long table of records with the columns of `BOARD_COLUMNS`.

    A panel is a data set and a model under one suite, device and recipe; its name has only what
    is needed to tell it from others. ``method`` is the label of the method in all its versions;
    ``is_graded`` says whether it is asked for levels.
    """
    frame = table(records)
    started = {record.id: str(record.provenance.get("started", "")) for record in records}
    frame["started"] = frame["id"].map(started)
    variants = methods_of(records)
    methods = {
        record.id: variants[plugin.name, plugin.version, params_json(plugin.params)]
        for record in records
        for plugin in [record.cell.method]
    }
    labels = {cell: method.label for cell, method in methods.items()}
    graded = {cell: method.is_graded for cell, method in methods.items()}
    frame["method"] = frame["id"].map(labels)
    frame["is_graded"] = frame["id"].map(graded).astype(bool)
    frame["panel"] = frame["id"].map(_panel_names(records, frame.drop_duplicates("id")))
    return frame


def _panel_names(records: Sequence[Record], frame: pd.DataFrame) -> dict[str, str]:
    """The name of the panel of each cell, of a table with a line for each."""
    network = frame["data"] + " · " + frame["model"]
    aspects = [
        frame["suite"] + " " + frame["suite_version"].astype(str),
        frame["device"],
        _recipe_names(records, frame.assign(network=network)),
    ]
    names = network
    for aspect in aspects:
        differs = aspect.groupby(network).transform("nunique") > 1
        names = names.where(~differs, names + " · " + aspect.map(for_terminal))
    keys = list(frame[_PANEL].itertuples(index=False, name=None))
    short = dict(zip(keys, names, strict=True))
    # A name may itself hold what separates names.
    forms = {
        key: (short[key], f"{short[key]} ({digest([*map(str, key)], length=8)})")
        for key in sorted(short)
    }
    unique = unique_names(forms)
    return {cell: unique[key] for cell, key in zip(frame["id"], keys, strict=True)}


def _recipe_names(records: Sequence[Record], frame: pd.DataFrame) -> pd.Series:
    """What tells the recipes of one network apart: ``dense steps 300, sparse steps 600``."""
    cells = frame.set_index("id")[["network", "recipe"]]
    recipes: dict[str, dict[str, dict[str, object]]] = {}
    by_id = cells.to_dict("index")
    for record in records:
        place = by_id[record.id]
        fields = record.cell.recipe.model_dump(exclude={"distortion"})
        recipes.setdefault(place["network"], {})[place["recipe"]] = fields
    names: dict[tuple[str, str], str] = {}
    for network, found in recipes.items():
        values = {
            field: {str(fields[field]) for fields in found.values()}
            for field in next(iter(found.values()))
        }
        telling = [field for field, different in values.items() if len(different) > 1]
        for recipe, fields in found.items():
            words = [f"{field.replace('_', ' ')} {fields[field]}" for field in telling]
            names[(network, recipe)] = ", ".join(words)
    keys = zip(frame["network"], frame["recipe"], strict=True)
    return pd.Series([names[key] for key in keys], index=frame.index, dtype=object)


def without_superseded(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop what a newer cell of the same place in the grid replaces.

    Of several versions of a method one counts in each row; see `robench.board.model.versions`. Of
    several trained networks for one place (after a plug-in was given a new version, say) the
    newest stays, with its evaluations; of several protocols of one evaluation (another number of
    images, say) the one with the most cells stays, and of equals the newest.
    """
    frame = frame[is_chosen(frame)]
    cells = frame.drop_duplicates("id").sort_values(["started", "id"])
    is_train = cells["stage"] == "train"
    place = [*ROW, "seed", "role"]
    trains = cells[is_train].drop_duplicates(place, keep="last")
    replaced = set(cells.loc[is_train, "id"]) - set(trains["id"])
    others = cells[~is_train & ~cells["parent"].isin(replaced)]
    protocol = ["panel", "training", "stage"]
    forms = others.groupby([*protocol, "options"], sort=True)["started"]
    sizes = forms.agg(size="size", newest="max").reset_index()
    ordered = sizes.sort_values(["size", "newest"], kind="stable")
    chosen = ordered.drop_duplicates(protocol, keep="last")
    others = others.merge(chosen[[*protocol, "options"]]).drop_duplicates(
        [*place, "stage"], keep="last"
    )
    return frame[frame["id"].isin({*trains["id"], *others["id"]})]
