"""Tables of the user's own: what becomes of their columns, and what is said about odd ones."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.data import Data, load
from robench.data.loading import _loaded
from robench.data.table_features import features_of
from robench.errors import DataError, ParameterError, RobenchError, UnknownNameError

Write = Callable[..., Path]
ROWS = 60


@pytest.fixture
def frame() -> pd.DataFrame:
    """Two numbers, a colour and a class that depends on the first number."""
    generator = np.random.default_rng(0)
    height = generator.normal(170, 10, ROWS)
    return pd.DataFrame(
        {
            "height": height,
            "age": generator.integers(18, 90, ROWS).astype(float),
            "colour": generator.choice(["red", "green", "blue"], ROWS),
            "kind": np.where(height > 170, "tall", "short"),
        }
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a frame or text to a file of this name."""

    def writer(content: pd.DataFrame | str, name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            content.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
        return path

    return writer


def every_row(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of all splits, in the order of the file."""
    parts = (data.train, data.validation, data.test)
    order = torch.cat([part.index for part in parts]).argsort()
    return (
        torch.cat([part.images for part in parts])[order].numpy(),
        torch.cat([part.labels for part in parts])[order].numpy(),
    )


def complaint(path: Path, **params: object) -> str:
    with pytest.raises(RobenchError) as caught:
        load(f"csv:{path}", params)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_columns_become_features_of_the_training_range(frame: pd.DataFrame, write: Write) -> None:
    data = load(f"csv:{write(frame)}")
    assert (data.name, data.kind, data.classes) == ("csv:people.csv", "tabular", ("short", "tall"))
    assert data.features == ("height", "age", "colour=blue", "colour=green", "colour=red")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [42, 6, 12]
    rows, labels = every_row(data)
    assert [data.classes[label] for label in labels] == frame["kind"].tolist()
    by = data.train.index.numpy()
    for place, name in enumerate(("height", "age")):
        low, high = frame[name].iloc[by].min(), frame[name].iloc[by].max()
        expected = ((frame[name] - low) / (high - low)).clip(0, 1)
        np.testing.assert_allclose(rows[:, place], expected, atol=1e-6)
    assert np.array_equal(rows[:, 4] == 1, frame["colour"] == "red")


def test_the_place_and_the_packing_of_a_file_do_not_matter(
    frame: pd.DataFrame, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = load(f"csv:{write(frame)}")
    write(frame, "root/sub/people.tsv")
    packed = write(frame, "root/people.csv.gz")
    packed.write_bytes(gzip.compress(write(frame, "plain.csv").read_bytes()))
    monkeypatch.chdir(tmp_path)
    others = [
        load("csv:sub/people.tsv", root=tmp_path / "root"),
        load("csv:people.csv.gz", root=tmp_path / "root"),
        load("csv:plain.csv", root=tmp_path / "nowhere"),  # right here
    ]
    assert {other.sha256 for other in others} == {first.sha256}


def test_a_missing_file_names_both_places(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no table") as caught:
        load("csv:absent.csv", root=tmp_path)
    assert str(tmp_path / "absent.csv") in str(caught.value)
    assert str(Path.cwd() / "absent.csv") in str(caught.value)


def test_other_endings_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"people\.xlsx is no table"):
        load("csv:people.xlsx")
    with pytest.raises(UnknownNameError):
        load("csv:")


def test_missing_numbers_become_the_training_median(frame: pd.DataFrame, write: Write) -> None:
    whole = load(f"csv:{write(frame)}")
    lost = int(whole.train.index[0])
    lost_in_test = int(whole.test.index[0])
    frame.loc[[lost, lost_in_test], "age"] = np.nan
    frame.loc[lost_in_test, "height"] = np.nan  # no training row lacks it
    data = load(f"csv:{write(frame, 'gaps.csv')}")
    assert data.features[:3] == ("height", "age", "age is missing")
    rows, _ = every_row(data)
    assert np.flatnonzero(rows[:, 2]).tolist() == sorted([lost, lost_in_test])
    known = frame["age"].iloc[data.train.index.numpy()]
    expected = (known.median() - known.min()) / (known.max() - known.min())
    assert rows[lost, 1] == pytest.approx(expected)
    assert rows[lost_in_test, 1] == pytest.approx(expected)


def test_a_category_that_training_lacks_is_none_of_the_others(
    frame: pd.DataFrame, write: Write
) -> None:
    whole = load(f"csv:{write(frame)}")
    strange, absent = whole.test.index[:2].tolist()
    frame.loc[strange, "colour"] = "mauve"
    frame.loc[[absent, int(whole.train.index[0])], "colour"] = None
    data = load(f"csv:{write(frame, 'odd.csv')}")
    assert data.features[2:] == ("colour=blue", "colour=green", "colour=red", "colour is missing")
    rows, _ = every_row(data)
    assert rows[strange, 2:].tolist() == [0, 0, 0, 0]
    assert rows[absent, 2:].tolist() == [0, 0, 0, 1]


def test_numbers_can_name_categories_and_columns_can_go(frame: pd.DataFrame, write: Write) -> None:
    frame["ward"] = np.arange(ROWS) % 3
    path = write(frame[["ward", "height", "age", "kind"]])
    data = load(f"csv:{path}", {"categorical": ["ward"], "drop": ["age"]})
    assert data.features == ("ward=0", "ward=1", "ward=2", "height")
    by_colour = load(f"csv:{write(frame, 'colours.csv')}", {"label": "colour"})
    assert by_colour.classes == ("blue", "green", "red")
    assert "kind=tall" in by_colour.features


@pytest.mark.parametrize(
    ("values", "task", "expected"),
    [
        (np.linspace(0, 1, ROWS), "auto", "regression"),
        (np.arange(ROWS), "auto", "regression"),
        (np.arange(ROWS) % 20, "auto", "classification"),
        (np.arange(ROWS) % 3 + 0.5, "auto", "classification"),
        (np.arange(ROWS) % 3, "regression", "regression"),
        (np.arange(ROWS) % 2 == 0, "auto", "classification"),
    ],
)
def test_the_label_decides_the_task(
    frame: pd.DataFrame, write: Write, values: np.ndarray, task: str, expected: str
) -> None:
    data = load(f"csv:{write(frame.assign(target=values))}", {"task": task})
    assert data.task == expected
    _, labels = every_row(data)
    if expected == "regression":
        restored = labels * data.target_std + data.target_mean
        np.testing.assert_allclose(restored, values.astype(float), atol=1e-4)
    else:
        order = sorted(set(values.tolist()))
        assert data.classes == tuple(
            f"{value:g}" if not isinstance(value, bool) else str(value) for value in order
        )
        assert [order[label] for label in labels] == values.tolist()


def test_numbered_classes_stand_in_their_order(frame: pd.DataFrame, write: Write) -> None:
    data = load(f"csv:{write(frame.assign(target=np.arange(ROWS) % 12 - 1.0))}")
    assert data.classes == ("-1", *map(str, range(11)))


def test_the_file_can_say_how_it_is_split(frame: pd.DataFrame, write: Write) -> None:
    split = np.array((["train"] * 4 + ["Valid"] + ["test"]) * 10)
    path = write(frame.assign(part=split))
    data = load(f"csv:{path}", {"split": "part"})
    for word, part in (("train", data.train), ("Valid", data.validation), ("test", data.test)):
        assert sorted(part.index.tolist()) == np.flatnonzero(split == word).tolist()
    two = frame.assign(part=np.where(split == "test", "train", split))
    data = load(f"csv:{write(two, 'two.csv')}", {"split": "part"})
    assert sorted(data.test.index.tolist()) == np.flatnonzero(split == "Valid").tolist()
    assert [len(part) for part in (data.train, data.validation)] == [45, 5]
    assert "last column says how the rows are split" in complaint(path)
    halves = write(frame.assign(part=["a", "b"] * 30), "halves.csv")
    assert "split into a, b" in complaint(halves, split="part")


def test_a_subset_is_scaled_by_itself(frame: pd.DataFrame, write: Write) -> None:
    data = load(f"csv:{write(frame)}", {"subset": 20})
    assert len(data.train) == 20
    assert torch.equal(data.train.images[:, :2].max(0).values, torch.ones(2))


def test_columns_that_say_nothing_are_named_at_once(frame: pd.DataFrame, write: Write) -> None:
    said = complaint(write(frame.assign(one=1, also="x")[["one", "also", *frame.columns]]))
    assert "2 of 5 columns have the same value in every row: one, also" in said
    assert "drop: [one, also]" in said
    frame.insert(0, "empty", np.nan)
    said = complaint(write(frame, "empty.csv"))
    assert "1 of 4 columns has no value at all: empty" in said


def test_texts_of_each_rows_own_are_no_categories(frame: pd.DataFrame, write: Write) -> None:
    frame.insert(0, "name", [f"person {row}" for row in range(ROWS)])
    said = complaint(write(frame))
    assert "column 'name'" in said
    assert "drop: [name]" in said
    assert "60 different texts in 60 rows" in said


def test_a_stray_word_among_numbers_is_named_with_its_row(
    frame: pd.DataFrame, write: Write
) -> None:
    frame["age"] = frame["age"].astype(object)
    frame.loc[16, "age"] = "unknown"
    said = complaint(write(frame))
    assert "'unknown' among numbers" in said
    assert "column 'age', row 17" in said


def test_infinite_values_are_refused(frame: pd.DataFrame, write: Write) -> None:
    frame.loc[4, "height"] = np.inf
    assert "column 'height', row 5" in complaint(write(frame))


def test_labels_must_be_there_and_differ(frame: pd.DataFrame, write: Write) -> None:
    gaps = frame.copy()
    gaps.loc[[6, 9], "kind"] = None
    said = complaint(write(gaps))
    assert "2 of 60 rows have no label" in said
    assert "column 'kind', row 7" in said
    same = write(frame.assign(kind="tall"), "same.csv")
    assert "all rows have the label 'tall'" in complaint(same)
    rare = frame["kind"].where(frame.index != 12, "giant")
    part = np.where(frame.index % 4, "train", "test")
    rare_in_test = write(frame.assign(part=part, kind=rare), "rare.csv")
    said = complaint(rare_in_test, label="kind", split="part")
    assert "no training row has the class" in said
    assert "'giant'" in said
    assert "row 13" in said
    words = write(frame, "words.csv")
    assert "target of a regression cannot be" in complaint(words, task="regression")


@pytest.mark.parametrize("field", ["label", "split"])
def test_unknown_columns_are_named_with_those_that_there_are(
    frame: pd.DataFrame, write: Write, field: str
) -> None:
    said = complaint(write(frame), **{field: "heigth"})
    assert "there is no column 'heigth'" in said
    assert "height, age, colour, kind" in said
    assert "no column is left" in complaint(write(frame), drop=["height", "age", "colour"])
    assert "no column is left" in complaint(write(frame), label="kind", drop=["kind"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "too few"),
        ("a,b,a\n" + "1,2,x\n" * 12, "several columns have one name: 'a'"),
        (",a,b\n" + "1,2,x\n" * 12, "column 1 has no name"),
        ("1,2,3\n" * 12, "not the columns' names"),
        ("a;b\n" + "1;x\n" * 12, "separator: ';'"),
        ("a,b\n" + "1,x\n" * 12 + "1,2,x\n", "as many fields"),
        ("a,b\n" + "1,2,x\n" * 12, "as many fields"),
    ],
)
def test_files_that_are_no_tables(write: Write, text: str, said: str) -> None:
    assert said in complaint(write(text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("gr\xf6sse,kind\n1,a\n".encode("latin-1"))
    assert "not UTF-8" in complaint(latin)
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 100)[:-20])
    assert "cannot be read" in complaint(torn)


def test_semicolons_a_byte_order_mark_and_question_marks(frame: pd.DataFrame, write: Write) -> None:
    text = frame.to_csv(index=False, sep=";")
    lines = text.splitlines()
    lines[1] = "?;" + lines[1].partition(";")[2]
    path = write("\ufeff" + "\n".join(lines), "european.csv")
    data = load(f"csv:{path}", {"separator": ";"})
    assert data.features[:1] == ("height",)
    assert len(data.classes) == 2


def test_parquet_or_what_to_install(frame: pd.DataFrame, write: Write, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    try:
        frame.to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        assert "pip install pyarrow" in complaint(path)
        return
    assert load(f"csv:{path}").sha256 == load(f"csv:{write(frame)}").sha256


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False)), min_size=12, max_size=40
    ).filter(lambda values: len({value for value in values[:8] if value is not None}) > 1)
)
def test_features_are_always_numbers(values: list[float | None]) -> None:
    column = pd.Series(values, dtype="float64")
    rows, names = features_of(
        pd.DataFrame({"x": column}), by=np.arange(8), categorical=(), file="drawn"
    )
    assert np.isfinite(rows).all()
    assert len(names) == rows.shape[1] == 1 + column.iloc[:8].isna().any()


def test_asking_for_a_table_by_name_imports_no_torch() -> None:
    code = (
        "import sys; from robench.data import DATASETS; 'csv:x.csv' in DATASETS; "
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.data
def test_spambase(data_root: Path) -> None:
    _loaded.cache_clear()
    data = load("csv:tabular/spambase.csv.gz", root=data_root)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [3221, 460, 920]
    assert (data.classes, data.input_shape) == (("0", "1"), (57,))
    spam = data.train.labels.double().mean()
    assert float(spam) == pytest.approx(1813 / 4601, abs=1e-3)


@pytest.mark.data
def test_madelon_with_its_own_split(data_root: Path) -> None:
    params = {"label": "label", "split": "split"}
    data = load("csv:tabular/madelon.csv.gz", params, root=data_root)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1799, 200, 600]
    assert data.classes == ("-1", "1")
    assert data.test.labels.bincount().tolist() == [300, 300]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.bz2", "csv.xz", "csv.zip"])
def test_a_table_that_unpacks_into_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("robench.data.table_file._LARGEST_BYTES", 1 << 20)
    path = tmp_path / f"large.{ending}"
    pd.DataFrame({"a": [0.0] * 400_000, "target": [1] * 400_000}).to_csv(path, index=False)
    assert "the table is too large" in complaint(path, label="target")
