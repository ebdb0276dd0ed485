"""What a data set keeps to, as it is loaded with its default parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.common import documented, globals_kept, imports_cleanly
from robench.data.base import Data, to_float
from robench.data.loading import data_root
from robench.errors import DataError, ParameterError
from robench.spec.params import parse_params

if TYPE_CHECKING:
    from robench.conformance.subject import PluginSubject
    from robench.data.base import Split

__all__ = ["RULES"]


@rule("return robench.data.Data, which `robench.data.assembly.assemble` makes of arrays")
def loads(subject: PluginSubject) -> str:
    """It loads with its defaults, or raises an error that says what is missing."""
    data = _loaded(subject)
    sizes = "/".join(str(len(split)) for split in _splits(data).values())
    return f"{sizes} inputs of {'x'.join(map(str, data.input_shape))}, {data.outputs} outputs"


@rule("read, shuffle and split in a fixed order: sort file names, seed random generators")
def same_every_time(subject: PluginSubject) -> str:
    """Loaded twice, it is identical bit by bit and in the same order."""
    first, again = _loaded(subject), _loaded(subject)
    if first.sha256 != again.sha256:
        raise BrokenError("loaded twice, it differs", subject.line_of("load"))
    return f"sha256 {first.sha256[:12]}…"


@rule("give every input an index that is unique in the data set, and put it into one split")
def splits_are_apart(subject: PluginSubject) -> str:
    """No input is in two splits or twice in one, and no split is empty."""
    splits = _splits(_loaded(subject))
    seen: dict[int, str] = {}
    for name, split in splits.items():
        if not len(split):
            raise BrokenError(f"the {name} split is empty", subject.line_of("load"))
        for index in split.index.tolist():
            if index in seen:
                why = f"input {index} is in the {seen[index]} and in the {name} split"
                raise BrokenError(why, subject.line_of("load"))
            seen[index] = name
    return f"{len(seen)} inputs"


@rule("images are uint8 or in [0, 1]; features are scaled by the training split to [0, 1]")
def inputs_are_in_range(subject: PluginSubject) -> str:
    """Inputs are finite and in [0, 1], of one shape, and not all the same."""
    data = _loaded(subject)
    for name, split in _splits(data).items():
        inputs = to_float(split.images)
        if not bool(inputs.isfinite().all()):
            raise BrokenError(f"inputs of {name} are not finite", subject.line_of("load"))
        if not bool(((inputs >= 0) & (inputs <= 1)).all()):
            low, high = float(inputs.min()), float(inputs.max())
            raise BrokenError(f"inputs of {name} are in [{low:g}, {high:g}]", subject.line_of())
    first = to_float(data.train.images)
    if bool((first == first[:1]).all()):
        raise BrokenError("all training inputs are the same", subject.line_of("load"))
    return f"in [{float(first.min()):.3g}, {float(first.max()):.3g}]"


@rule("number the classes from 0 in the order of `classes`; every split contains each class")
def labels_are_classes(subject: PluginSubject) -> str:
    """Labels are class indices, and every class occurs in training and test data."""
    data = _loaded(subject)
    if data.task != "classification":
        raise SkippedError("it has a number to predict")
    for name, split in _splits(data).items():
        found = set(split.labels.tolist())
        if not found <= set(range(data.outputs)):
            raise BrokenError(
                f"labels of {name} are no classes: {sorted(found)}", subject.line_of()
            )
        missing = sorted(set(range(data.outputs)) - found)
        if missing and name != "validation":
            raise BrokenError(f"{name} has no input of class {missing[0]}", subject.line_of("load"))
    return f"{data.outputs} classes"


@rule("remove duplicates before splitting: test inputs must not be training inputs")
def no_input_is_repeated(subject: PluginSubject) -> str:
    """No test input is identical to a training input (data leakage)."""
    data = _loaded(subject)
    rows = [split.images.flatten(1) for split in (data.train, data.test)]
    known = {row.numpy().tobytes() for row in rows[0]}
    twice = sum(row.numpy().tobytes() in known for row in rows[1])
    if twice > 0.01 * len(rows[1]):
        why = f"{twice} of {len(rows[1])} test inputs are training inputs as well"
        raise BrokenError(why, subject.line_of("load"))
    return f"{twice} of {len(rows[1])} test inputs"


@rule("restore what loading changes: generators, default dtype, threads, grad mode")
def restores_globals(subject: PluginSubject) -> str:
    """Loading leaves generators, default dtype, threads and grad mode unchanged."""
    _loaded(subject)
    with globals_kept(subject, "load"):
        _loaded(subject)
    return "all as before"


RULES = (
    documented,
    imports_cleanly,
    loads,
    same_every_time,
    splits_are_apart,
    inputs_are_in_range,
    labels_are_classes,
    no_input_is_repeated,
    restores_globals,
)


def _loaded(subject: PluginSubject) -> Data:
    """The data set, read anew."""
    try:
        params = parse_params(f"data set {subject.name!r}", subject.value.Params, None)
    except ParameterError as error:
        raise SkippedError(f"it has no defaults: {error.what}") from None
    subject.note("loading it")
    try:
        data: object = subject.value(params).load(data_root())
    except DataError as error:
        raise SkippedError(f"its files are not here: {error.what}") from None
    if not isinstance(data, Data):
        why = f"load() gives {type(data).__name__}, not Data"
        raise BrokenError(why, subject.line_of("load"))
    return data


def _splits(data: Data) -> dict[str, Split]:
    return {"training": data.train, "validation": data.validation, "test": data.test}
