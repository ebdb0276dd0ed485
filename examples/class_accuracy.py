"""Which classes pay for sparsity? Accuracy of each class beside that of the dense network.

Hooker, Courville, Clark, Dauphin, Frome 2019, *What do compressed deep neural networks forget?*
(arXiv 1911.05248): pruning harms a few classes far more than the mean says.
"""

from collections import defaultdict

import numpy as np

from robench.board.model.format import NO_VALUE, percent, points
from robench.board.model.tables import Entry, Table
from robench.board.views import View

__all__ = ["ClassAccuracy"]


class ClassAccuracy(View):
    """Accuracy of each class at a method's highest level, and its change from the dense network."""

    name = "class-accuracy"
    title = "Which classes pay for sparsity?"
    lead = "Accuracy of each class at the highest level of each method."
    place = 25  # after accuracy and distance

    def draw(self, board):
        """A table for each data set and model; the difference from dense stands small beside it."""
        found = _accuracies(board)
        tables = tuple(
            _table(board, panel, found[panel]) for panel in board.panels if panel in found
        )
        if not tables:
            return None
        return self.drawing(
            reading="Means over seeds, in percent; beside them percentage points above or below "
            "the dense network. A class of a few test inputs moves by much at random.",
            tables=tables,
        )


def _accuracies(board):
    """Panel -> method -> (level, accuracy of each class, mean over seeds) at its highest level."""
    rows = {row.key: row for row in board.rows if row.training == "none"}
    of_seeds = defaultdict(list)
    trained = board.frame[board.frame["stage"].eq("train") & board.frame["role"].eq("result")]
    keys = trained.drop_duplicates("id")[["id", "panel", "training", "method", "level"]]
    for cell, *key in keys.itertuples(index=False):
        if (
            tuple(key) in rows
            and (accuracies := _of_classes(board.arrays(cell, _ARRAYS))) is not None
        ):
            of_seeds[tuple(key)].append(accuracies)
    found = defaultdict(dict)
    for (panel, _, method, level), seeds in sorted(of_seeds.items()):  # the highest level is last
        found[panel][method] = (level, np.mean(seeds, axis=0))
    return found


_ARRAYS = ("logits", "label")


def _of_classes(arrays):
    """Accuracy of each class, [classes], NaN without an input; `None` without arrays."""
    if not {*_ARRAYS} <= {*arrays} or arrays["logits"].shape[1] < 2:
        return None
    right = arrays["logits"].argmax(axis=1) == arrays["label"]
    classes = arrays["logits"].shape[1]
    count = np.bincount(arrays["label"], minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.bincount(arrays["label"], right, classes) / count


def _table(board, panel, methods):
    dense = next((of for name, (_, of) in methods.items() if board.kinds[name].is_dense), None)
    classes = len(next(iter(methods.values()))[1])
    rows = tuple(
        (
            Entry(name, f"{percent(level)}%" if board.kinds[name].is_graded else ""),
            *(_entry(value, None if dense is None else dense[k]) for k, value in enumerate(of)),
        )
        for name in board.methods
        if name in methods
        for level, of in (methods[name],)
    )
    return Table(
        caption=f"{panel}: accuracy of each class, %",
        groups=(("", 1), ("class", classes)),
        heads=("method", *map(str, range(classes))),
        rows=rows,
    )


def _entry(value, dense):
    if np.isnan(value):
        return Entry(NO_VALUE)
    return Entry(percent(value), "" if dense is None or value == dense else points(value - dense))
