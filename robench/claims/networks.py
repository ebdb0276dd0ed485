"""Trained networks by what they are: the figures of one claim, a value a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from robench.errors import RobenchError

if TYPE_CHECKING:
    from robench.claims.base import Evidence, Judged, Statement
    from robench.spec import Record

__all__ = ["MissingError", "Networks", "differences", "judge_of", "value"]


class MissingError(RobenchError):
    """The records do not suffice for a claim."""


class Networks:
    """The trained networks among some records, by what they are."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = [record for record in records if record.cell.role == "result"]

    def of(self, model: str, method: str, level: float, stage: str = "train") -> list[Record]:
        """One record a seed, in order of the seeds."""
        found = [
            record
            for record in self._records
            if (record.cell.stage, record.cell.level) == (stage, level)
            and _is(record, model)
            and record.cell.method.plain_label == method
        ]
        for record in found:
            if record.status not in ("ok", "noisy"):
                raise MissingError(f"{record.cell.label} is {record.status}: {record.reason}")
        if not found:
            raise MissingError(f"no {stage} record of {method} at {level:g} on {model}")
        return sorted(found, key=lambda record: record.cell.seed)

    def values(self, metric: str, model: str, method: str, level: float) -> list[float]:
        """One value a seed, of the training."""
        return [value(record, metric) for record in self.of(model, method, level)]

    def methods(self, model: str, name: str, count: int) -> list[str]:
        """The labels of the `count` variants of a method in the grid of a model.

        Raises:
            MissingError: there are others or fewer.
        """
        found = sorted(
            {
                record.cell.method.plain_label
                for record in self._records
                if record.cell.method.name == name and _is(record, model)
            }
        )
        if len(found) != count:
            raise MissingError(f"{len(found)} variants of {name} on {model} instead of {count}")
        return found


def _is(record: Record, model: str) -> bool:
    """Whether the record is of this model: its label, or how it begins where a bracket is open."""
    label = record.cell.model.plain_label
    return label.startswith(model) if "[" in model else label == model


def value(record: Record, metric: str) -> float:
    """The value of a metric.

    Raises:
        MissingError: the record does not have it.
    """
    found = record.metric(metric)
    if found is None or found.value is None:
        raise MissingError(f"{record.cell.label} has no {metric!r}")
    return found.value


def differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """`first` - `second`, seed by seed."""
    return [one - other for one, other in zip(first, second, strict=True)]


def judge_of(
    place: str, figures: Callable[[Networks], Iterator[Statement]]
) -> Callable[[Evidence], Iterator[Judged]]:
    """The judge of a claim on one network of one suite; nothing where records are missing.

    Args:
        place: data set and network, for people.
        figures: networks → the figures of the claim.
    """

    def judge(evidence: Evidence) -> Iterator[Judged]:
        try:
            yield place, list(figures(Networks(evidence.records)))
        except MissingError:
            return

    return judge
