"""Tables as CSV files, which people open in spreadsheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pandas.api.types import is_numeric_dtype

from robench.escape import for_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_of"]


def csv_of(frame: pd.DataFrame) -> str:
    """The frame as CSV, without its index; no text in it is a formula.

    Args:
        frame: columns of numbers, and of text that may come from anyone.
    """
    safe = frame.rename(columns=for_csv)
    for column, values in safe.items():
        if is_numeric_dtype(values):
            continue
        texts = {text for text in values.unique() if isinstance(text, str)}
        changed = {text: for_csv(text) for text in texts if for_csv(text) != text}
        if changed:
            safe[column] = [changed.get(value, value) for value in values]
    return safe.to_csv(index=False, lineterminator="\n")
