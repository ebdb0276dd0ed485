"""`robench evaluate`: a network that robench did not train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robench.errors import UsageError

__all__ = ["evaluate"]


def evaluate(
    weights: Annotated[Path, typer.Argument(help="A safetensors file with the network's state.")],
    model: Annotated[
        str,
        typer.Option(
            help="Its architecture: a name from `robench list models`, or as in a suite, "
            "'{name: mlp, widths: [64]}'."
        ),
    ],
    suite: Annotated[
        str, typer.Option(help="Whose data sets and evaluations count: a file, or a name.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What the board calls it; the file's name by default.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The one of the suite's data sets that the network knows.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="What is subtracted from each channel in [0, 1] before the network sees it: "
            "0.485,0.456,0.406, or one value for all. By default what the file of the weights "
            "says, or else the mean of the data set's training images. Say --mean 0 --std 1 if the "
            "network normalises by itself."
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="What each channel is divided by then; likewise.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the records.")] = Path("results"),
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file with plug-ins; may be repeated.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; one for each core by default.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets.", envvar="ROBENCH_DATA", show_envvar=True),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda; by default what the suite says.")
    ] = None,
) -> None:
    """Measure, attack and degrade the network in WEIGHTS, as SUITE asks for.

    The exit status is that of `robench run`: 3 where some cells failed.
    """
    from robench.api import evaluate as evaluate_weights
    from robench.cli.run import report

    done = evaluate_weights(
        weights,
        model=_choice(model),
        suite=suite,
        name=name,
        dataset=dataset,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        results=results,
        jobs=jobs,
        plugins=plugin or (),
        data=data,
        device=device,
    )
    report(done, results)


def _choice(text: str) -> str | dict[str, object]:
    """A model as a suite would name it."""
    import yaml

    if not text.lstrip().startswith("{"):
        return text
    try:
        choice = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise UsageError(
            f"--model {text!r} cannot be read: {problem}",
            allowed="a name, or a mapping such as '{name: mlp, widths: [64]}'",
        ) from error
    if not isinstance(choice, dict):
        raise UsageError(
            f"--model {text!r} is no mapping",
            allowed="a name, or a mapping such as '{name: mlp, widths: [64]}'",
        )
    return choice


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no list of numbers", allowed="0.485,0.456,0.406"
        ) from None
