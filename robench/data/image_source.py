"""Image files in a folder or an archive, read in place: nothing is ever unpacked to disk."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from robench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LARGEST_FILE_BYTES", "Source", "open_source"]

LARGEST_FILE_BYTES = 1 << 28
"""The largest image file that is read: an archive of a few kilobytes can hold one of many GiB."""
_DAMAGE = (EOFError, OSError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""What archive readers raise on archives that are cut off, encrypted or overwritten."""


class Source(ABC):
    """A tree of files.

    Args:
        path: the folder or archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def names(self) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
        """Files and folders, sorted, relative to the top; hidden ones are left out.

        Raises:
            DataError: the archive is damaged, or holds members that point outside it.
        """

    @abstractmethod
    def contents(self, wanted: Collection[PurePosixPath]) -> Iterator[tuple[PurePosixPath, bytes]]:
        """Each wanted file with its content, in the order that is quickest to read.

        Raises:
            DataError: a file cannot be read; names it.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal hash that changes when any file changes."""


def open_source(path: Path) -> Source:
    """The source at a path: a folder, or a zip or tar archive, compressed or not.

    Raises:
        DataError: there is nothing at the path, or something else.
    """
    if path.is_dir():
        return _FolderSource(path)
    if not path.is_file():
        raise DataError(f"there is no folder or archive {path.name!r}", where=str(path))
    if zipfile.is_zipfile(path):
        return _ZipSource(path)
    with _damage_named(path):
        if tarfile.is_tarfile(path):
            return _TarSource(path)
    raise DataError(
        f"{path.name} is no archive, or its beginning is damaged",
        where=str(path),
        allowed="a folder, .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz",
    )


class _FolderSource(Source):
    def names(self) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
        files: list[PurePosixPath] = []
        folders: list[PurePosixPath] = []
        for path in sorted(self.path.rglob("*")):
            name = PurePosixPath(path.relative_to(self.path).as_posix())
            if not _is_hidden(name):
                (folders if path.is_dir() else files).append(name)
        return files, folders

    def contents(self, wanted: Collection[PurePosixPath]) -> Iterator[tuple[PurePosixPath, bytes]]:
        for name in wanted:
            path = self.path / name
            if path.exists() and not path.is_file():
                raise DataError(
                    f"{name} in {self.path.name} is no ordinary file",
                    where=str(path),
                    allowed="image files; no pipes, sockets or devices",
                )
            with _damage_named(path), path.open("rb") as file:
                content = _bounded(file, str(name), self.path)
            yield name, content

    def fingerprint(self) -> str:
        """Over names, sizes and times: to read every file would take as long as to decode it."""
        digest = hashlib.sha256()
        for name in self.names()[0]:
            status = (self.path / name).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()


class _ArchiveSource(Source):
    def fingerprint(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _checked(self, member: str) -> PurePosixPath:
        name = PurePosixPath(member)
        if name.is_absolute() or ".." in name.parts:
            raise DataError(
                f"{self.path.name} has a member that points outside it: {member!r}",
                where=str(self.path),
                hint="do not trust this archive; if it is yours, pack it again from its folder",
            )
        return name


class _TarSource(_ArchiveSource):
    def names(self) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
        files: list[PurePosixPath] = []
        folders: list[PurePosixPath] = []
        for member, name in self._members():
            if not _is_hidden(name):
                (folders if member.isdir() else files).append(name)
        return sorted(set(files)), sorted(set(folders))

    def contents(self, wanted: Collection[PurePosixPath]) -> Iterator[tuple[PurePosixPath, bytes]]:
        chosen = set(wanted)
        with _damage_named(self.path), tarfile.open(self.path) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                file = tar.extractfile(member) if name in chosen else None
                if file is not None:
                    yield name, _bounded(file, member.name, self.path)

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
        with _damage_named(self.path), tarfile.open(self.path) as tar:
            for member in tar:
                name = self._checked(member.name)
                if not (member.isdir() or member.isreg()):
                    raise DataError(
                        f"{self.path.name} has a member that is no file: {member.name!r}",
                        where=str(self.path),
                        allowed="files and folders; no links, no devices",
                    )
                yield member, name
            _check_end(tar)


class _ZipSource(_ArchiveSource):
    def names(self) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
        files: list[PurePosixPath] = []
        folders: list[PurePosixPath] = []
        with _damage_named(self.path), zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                name = self._checked(member.filename)
                if not _is_hidden(name):
                    (folders if member.is_dir() else files).append(name)
        return sorted(set(files)), sorted(set(folders))

    def contents(self, wanted: Collection[PurePosixPath]) -> Iterator[tuple[PurePosixPath, bytes]]:
        chosen = set(wanted)
        with _damage_named(self.path), zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                name = PurePosixPath(member.filename)
                if name in chosen:
                    with _damage_named(self.path, member.filename), archive.open(member) as file:
                        content = _bounded(file, member.filename, self.path)
                    yield name, content


def _bounded(file: IO[bytes], name: str, path: Path) -> bytes:
    """All that a file holds; what archives say of the size of a member is not believed."""
    content = file.read(LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        raise DataError(
            f"{name} in {path.name} is too large for an image",
            where=str(path),
            allowed=f"up to {LARGEST_FILE_BYTES >> 20} MiB, unpacked",
            hint="make it smaller, or take it out",
        )
    return content


def _check_end(tar: tarfile.TarFile) -> None:
    """Tarfile takes a damaged or missing header for the end: see that the end is really there.

    Reading on to the end also makes the decompressor compare its checksum.
    """
    rest = tar.fileobj
    if rest is None:
        raise tarfile.ReadError("it was closed while it was read")
    rest.seek(tar.offset)
    if rest.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is cut off or damaged in the middle")
    while rest.read(1 << 20):
        pass


def _is_hidden(name: PurePosixPath) -> bool:
    """What desktops leave behind in folders and archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.parts)


@contextmanager
def _damage_named(path: Path, member: str = "") -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        inside = f"{member} in " if member else ""
        raise DataError(
            f"{inside}{path.name} cannot be read: {error}",
            where=str(path),
            hint="fetch or pack it again",
        ) from error
