from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import pytest

from robench.errors import PluginError, UnknownNameError
from robench.registry import Family, Registry


def accept_classes(value: object) -> str | None:
    return None if isinstance(value, type) else "it is not a class"


class Here:
    """A class of this file.

    With a second paragraph that no list shows.
    """


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[type]:
    monkeypatch.setitem(sys.modules, "registry_under_test", sys.modules[__name__])
    return Registry(
        "thing",
        group="robench.nothing",
        builtins={
            "here": "registry_under_test:Here",
            "lost": "no_such_module:Thing",
            "wrong": "registry_under_test:accept_classes",
        },
        accept="registry_under_test:accept_classes",
    )


def test_names_are_known_before_anything_is_imported(registry: Registry[type]) -> None:
    assert registry.names() == ("here", "lost", "wrong")
    assert "no_such_module" not in sys.modules


def test_an_object_is_imported_on_first_use(registry: Registry[type]) -> None:
    assert registry.get("here") is Here
    path, _, line = registry.origin("here").rpartition(":")
    assert Path(path) == Path(__file__)
    assert Path(path).read_text().splitlines()[int(line) - 1] == "class Here:"


def test_an_unknown_name_shows_the_nearest(registry: Registry[type]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'here'") as caught:
        registry.get("her", where="suite.yaml:3")
    assert "suite.yaml:3" in str(caught.value)
    assert "here, lost, wrong" in str(caught.value)


def test_what_cannot_be_imported_says_so(registry: Registry[type]) -> None:
    with pytest.raises(PluginError, match="cannot be imported: ModuleNotFoundError"):
        registry.get("lost")


def test_what_is_of_another_kind_is_refused(registry: Registry[type]) -> None:
    with pytest.raises(PluginError, match="it is not a class"):
        registry.get("wrong")
    with pytest.raises(PluginError, match="it is not a class"):
        registry.add("new", 3, source="here")


def test_a_taken_name_is_refused_and_names_both(registry: Registry[type]) -> None:
    registry.add("mine", Here, source="a.py")
    registry.add("mine", Here, source="a.py")  # the same file again is no clash
    with pytest.raises(PluginError, match="'mine' is taken") as caught:
        registry.add("mine", Here, source="b.py")
    assert "b.py" in str(caught.value)
    assert "a.py" in str(caught.value)
    with pytest.raises(PluginError, match="'here' is taken"):
        registry.add("here", Here, source="b.py")


def test_entry_points_of_installed_packages_are_found(registry, monkeypatch) -> None:
    point = importlib.metadata.EntryPoint("theirs", "registry_under_test:Here", "robench.nothing")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [point])
    assert "theirs" in registry
    assert registry.get("theirs") is Here


def test_the_summary_is_the_first_line(registry: Registry[type]) -> None:
    registry.get("here")
    assert registry.summary("here") == "A class of this file."


# -- families -------------------------------------------------------------------------------------

made: list[str] = []


def sized(size: str, *, where: str | None = None) -> object:
    """Things of any size.

    With a second paragraph.
    """
    made.append(size)
    if size == "none":
        raise UnknownNameError("size", size, ["One", "Two"], where=where)
    return Here if size != "function" else accept_classes


def sizes() -> tuple[str, ...]:
    return ("one", "two", "three")


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> Registry[type]:
    monkeypatch.setitem(sys.modules, "registry_under_test", sys.modules[__name__])
    module = importlib.machinery.ModuleSpec("registry_under_test", None, origin=__file__)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: module if name == "registry_under_test" else find_spec(name),
    )
    made.clear()
    return Registry(
        "thing",
        group="robench.nothing",
        builtins={"here": "registry_under_test:Here", "one": "registry_under_test:Here"},
        accept="registry_under_test:accept_classes",
        families={
            "open": "registry_under_test:sized",
            "sized": Family("registry_under_test:sized", "registry_under_test:sizes"),
        },
    )


def test_a_family_makes_its_members_when_they_are_asked_for_and_once(families) -> None:
    assert families.names() == ("here", "one")
    assert "sized:one" in families
    assert made == []
    assert families.get("sized:one") is Here
    assert families.get("sized:one") is Here
    assert made == ["one"]
    assert families.names() == ("here", "one")
    assert families.origin("sized:one") == families.origin("here")


def test_what_stands_after_the_colon_is_kept_letter_for_letter(families) -> None:
    name = "open:/Data/My File: 2.csv"
    assert name in families
    families.get(name)
    assert made == ["/Data/My File: 2.csv"]


def test_a_family_is_listed_by_its_form_with_its_summary(families) -> None:
    assert families.families() == ("open:<size>", "sized:<size>")
    assert families.summary("open:<size>") == "Things of any size."
    assert families.summary("sized:two") == "Things of any size."
    assert made == []


def test_an_unknown_member_shows_the_nearest(families) -> None:
    assert "sized:on" not in families
    for ask in (families.get, families.check):
        with pytest.raises(UnknownNameError, match="no thing 'sized:on'") as caught:
            ask("sized:on", where="suite.yaml:7")
        assert caught.value.where == "suite.yaml:7"
        assert caught.value.allowed == "sized:one, … (3 in all)"
        assert caught.value.hint == "did you mean 'sized:one'?"
    with pytest.raises(UnknownNameError, match="no thing 'sized:xyz'") as caught:
        families.get("sized:xyz")
    assert caught.value.allowed == "sized:one, sized:three, sized:two, … (3 in all)"
    assert made == []


def test_an_open_family_tells_itself_what_it_does_not_know(families) -> None:
    families.check("open:none")
    with pytest.raises(UnknownNameError, match="no size 'none'") as caught:
        families.get("open:none", where="suite.yaml:7")
    assert caught.value.where == "suite.yaml:7"


def test_an_unknown_family_shows_the_known_ones(families) -> None:
    assert "size:one" not in families
    with pytest.raises(UnknownNameError, match="no family of things 'size'") as caught:
        families.get("size:one")
    assert caught.value.allowed == "open, sized"
    assert "'sized'" in str(caught.value.hint)


def test_a_prefix_alone_and_a_member_without_its_prefix_are_unknown_names(families) -> None:
    with pytest.raises(UnknownNameError, match="no thing 'sized:'") as caught:
        families.get("sized:")
    assert caught.value.allowed == "here, one, open:<size>, sized:<size>"
    with pytest.raises(UnknownNameError, match="no thing 'three'") as caught:
        families.get("three")
    assert "sized:three" in str(caught.value.allowed)


def test_a_colon_means_nothing_where_there_are_no_families(registry: Registry[type]) -> None:
    with pytest.raises(UnknownNameError, match="no thing 'sized:one'"):
        registry.get("sized:one")


def test_a_member_of_another_kind_is_refused(families) -> None:
    with pytest.raises(PluginError, match="'open:function' is not a thing: it is not a class"):
        families.get("open:function")
