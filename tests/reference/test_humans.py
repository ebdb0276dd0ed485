from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from robench.degradations import DEGRADATIONS
from robench.errors import UnknownNameError
from robench.reference.humans import SYSTEMS, curve, is_comparable, published_accuracies

EXPERIMENTS = {
    "colour": "greyscale",
    "contrast": "contrast",
    "contrast-png": "contrast",
    "noise": "uniform-noise",
    "lowpass": "low-pass",
    "highpass": "high-pass",
    "phase-scrambling": "phase-noise",
    "power-equalisation": "power-equalisation",
    "false-colour": "opponent-colour",
    "rotation": "rotation",
    "eidolon": "",
}
EIDOLONS = {"10": "eidolon-1", "3": "eidolon-2", "0": "eidolon-3"}
NAMED_LEVELS = {
    ("colour", "cr"): 0.0,
    ("colour", "bw"): 1.0,
    ("power-equalisation", "pow"): 1.0,
    ("false-colour", "true"): 0.0,
    ("false-colour", "false"): 1.0,
}
NETWORKS = {"googlenet": "GoogLeNet", "vgg19": "VGG-19", "resnet152": "ResNet-152"}


def place(experiment: str, condition: str) -> tuple[str, float]:
    """Kind and level of a published condition."""
    if experiment == "eidolon":
        reach, coherence, _ = condition.split("-")
        return EIDOLONS[coherence], float(reach)
    if experiment.startswith("contrast"):
        return "contrast", int(condition.removeprefix("c")) / 100
    named = NAMED_LEVELS.get((experiment, condition))
    return EXPERIMENTS[experiment], float(condition) if named is None else named


@pytest.mark.data
def test_every_figure_is_that_of_the_reference_file(data_root: Path) -> None:
    file = data_root.parent / "reference" / "geirhos_accuracy.csv"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    reference = pd.read_csv(file)
    systems = {"humans": "humans", **NETWORKS}
    chosen = reference["system"].isin(systems) & reference["experiment"].isin(EXPERIMENTS)
    want = {
        (row.experiment, *place(row.experiment, str(row.condition)), systems[row.system]): (
            row.n_trials, row.n_units, row.accuracy, abs(row.entropy_bits),
        )
        for row in reference[chosen].itertuples()
    }  # fmt: skip
    got = {
        (row.experiment, row.kind, row.level, row.system): (
            row.trials, row.units, row.accuracy, row.entropy_bits,
        )
        for row in published_accuracies().itertuples()
    }  # fmt: skip
    assert len(want) == 324
    assert got.keys() == want.keys()
    for key, figures in want.items():
        assert got[key] == pytest.approx(figures, abs=1e-6), key


def test_curves_have_robenchs_levels() -> None:
    assert set(published_accuracies()["system"]) == set(SYSTEMS)
    for kind, levels in DEGRADATIONS.items():
        for system in SYSTEMS:
            found = curve(kind, system)
            assert tuple(found) == (() if kind == "salt-and-pepper" else levels)
            assert all(0 < accuracy < 1 for accuracy in found.values())


def test_the_curve_of_contrast_is_of_images_stored_without_loss() -> None:
    assert curve("contrast")[0.05] == pytest.approx(0.546, abs=5e-4)
    assert curve("high-pass")[float("inf")] == pytest.approx(0.847, abs=5e-4)
    with pytest.raises(UnknownNameError, match="monkeys"):
        curve("contrast", "monkeys")  # type: ignore[arg-type]


def test_only_16_class_imagenet_compares() -> None:
    assert is_comparable("16-class-imagenet")
    for other in ("mnist", "digits", "cifar10", "image-folder", "16-class-imagenet[of-mine]"):
        assert not is_comparable(other)


def test_the_file_names_its_authors_and_licence() -> None:
    import robench.board

    text = (Path(robench.reference.__file__).parent / "geirhos2018.csv").read_text()
    assert "CC BY 4.0" in text
    assert "Geirhos" in text
