from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from robench.data.image_source import open_source
from robench.errors import DataError

COUNTS = {"cat": 3, "dog/small": 2}
Tree = Callable[..., Path]
Pack = Callable[[Path], Path]


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_every_form_gives_the_same_files(tree: Tree, as_tar: Pack, as_zip: Pack, form: str) -> None:
    top = tree(COUNTS)
    (top / ".DS_Store").write_bytes(b"x")
    (top / "cat" / "._000.png").write_bytes(b"x")
    (top / "__MACOSX").mkdir()
    source = open_source({"folder": lambda path: path, "tar": as_tar, "zip": as_zip}[form](top))
    files, folders = source.names()
    assert [str(file) for file in files] == [
        "cat/000.png",
        "cat/001.png",
        "cat/002.png",
        "dog/small/000.png",
        "dog/small/001.png",
    ]
    assert [str(folder) for folder in folders] == ["cat", "dog", "dog/small"]
    read = dict(source.contents(files[1:3]))
    assert read == {file: (top / file).read_bytes() for file in files[1:3]}


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_the_fingerprint_changes_with_any_file(
    tree: Tree, as_tar: Pack, as_zip: Pack, form: str
) -> None:
    top = tree(COUNTS)
    packed = {"folder": lambda path: path, "tar": as_tar, "zip": as_zip}[form]
    before = open_source(packed(top)).fingerprint()
    assert open_source(packed(top)).fingerprint() == before or form == "tar"  # gzip keeps a time
    changed = top / "cat" / "000.png"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    status = changed.stat()
    changed.write_bytes(bytes(content))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert open_source(packed(top)).fingerprint() != before


@pytest.mark.parametrize("member", ["../outside.png", "cat/../../outside.png", "/etc/outside.png"])
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_members_that_point_outside_are_refused(tmp_path: Path, form: str, member: str) -> None:
    archive = tmp_path / f"bad.{form}"
    if form == "tar":
        with tarfile.open(archive, "w") as tar:
            tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    else:
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(member, b"")
    with pytest.raises(DataError, match="points outside it") as caught:
        open_source(archive).names()
    assert member in str(caught.value)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("cat/1.png")
    link.type = kind
    link.linkname = "/etc/passwd"
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(link)
    with pytest.raises(DataError, match=r"no file: 'cat/1\.png'"):
        open_source(tmp_path / "bad.tar").names()


def read_whole(archive: Path) -> None:
    source = open_source(archive)
    list(source.contents(source.names()[0]))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("form", [".tar", ".tar.gz", ".zip"])
def test_an_archive_that_is_cut_off_is_named(
    tree: Tree, as_tar: Pack, as_zip: Pack, form: str, share: float
) -> None:
    top = tree({"cat": 20, "dog": 20}, size=(12, 12))
    whole = as_zip(top) if form == ".zip" else as_tar(top)
    content = whole.read_bytes()
    if form == ".tar":
        content = gzip.decompress(content).rstrip(b"\0")  # without the padding after the end
    cut = top.with_name(f"cut{form}")
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        read_whole(cut)
    assert str(cut) in str(caught.value)


def test_a_tar_cut_off_between_two_members_is_named(tree: Tree, as_tar: Pack) -> None:
    # tarfile itself takes this for a complete archive of fewer members.
    content = gzip.decompress(as_tar(tree({"cat": 3})).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        second = tar.getmembers()[1]
    cut = Path(os.fspath(tree({}))).with_name("cut.tar")
    cut.write_bytes(content[: second.offset])
    with tarfile.open(cut) as tar:
        assert len(tar.getmembers()) == 1
    with pytest.raises(DataError, match=r"cut\.tar cannot be read: it is cut off"):
        open_source(cut).names()


def test_a_damaged_member_of_a_zip_is_named(tree: Tree, as_zip: Pack) -> None:
    archive = as_zip(tree(COUNTS))
    with zipfile.ZipFile(archive) as packed:
        member = packed.getinfo("cat/001.png")
    content = bytearray(archive.read_bytes())
    content[member.header_offset + 30 + len(member.filename) + 50] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"cat/001\.png in pictures\.zip cannot be read"):
        list(open_source(archive).contents([PurePosixPath("cat/001.png")]))


def test_a_file_that_cannot_be_read_is_named(tree: Tree) -> None:
    top = tree(COUNTS)
    (top / "cat" / "broken.png").symlink_to(top / "gone.png")
    source = open_source(top)
    with pytest.raises(DataError, match=r"broken\.png cannot be read"):
        list(source.contents(source.names()[0]))


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder or archive 'gone\.zip'"):
        open_source(tmp_path / "gone.zip")
    (tmp_path / "text.tar.gz").write_text("not an archive")
    with pytest.raises(DataError, match=r"text\.tar\.gz is no archive"):
        open_source(tmp_path / "text.tar.gz")


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_a_file_that_unpacks_into_too_much_is_refused(
    tree: Tree, as_tar: Pack, as_zip: Pack, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(COUNTS)
    (top / "cat" / "bomb.png").write_bytes(bytes(1 << 21))
    monkeypatch.setattr("robench.data.image_source.LARGEST_FILE_BYTES", 1 << 20)
    source = open_source({"folder": lambda path: path, "tar": as_tar, "zip": as_zip}[form](top))
    files, _ = source.names()
    with pytest.raises(DataError, match=r"bomb.png in .* is too large for an image") as caught:
        list(source.contents(files))
    assert caught.value.allowed == "up to 1 MiB, unpacked"


def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(tree: Tree) -> None:
    top = tree(COUNTS)
    os.mkfifo(top / "cat" / "pipe.png")
    source = open_source(top)
    with pytest.raises(DataError, match=r"cat/pipe.png in pictures is no ordinary file"):
        list(source.contents(source.names()[0]))
