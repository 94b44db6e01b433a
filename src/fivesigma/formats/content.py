"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from typing import BinaryIO

__all__ = ["check_unpacked", "container_of"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_PLAIN = (
    (b"root", "root"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "feather"),
    (b"FEA1", "feather"),
    (b"\x93NUMPY", "npy"),
)
#: more unpacked bytes than these, each so many times those in the file, are no data but a bomb
_MUCH, _MOST_RATIO = 50e6, 250
#: how much of a text is looked at
_HEAD = 65536


def container_of(path: str, file: BinaryIO) -> str:
    """The container that a file is: root, hdf5, parquet, feather, npy, npz, csv, lhe or hepmc.

    Args:
        path: for messages.
        file: opened for reading; left at its beginning.

    Raises:
        ValueError: empty, or nothing that can be read; says what it seems to be.
    """
    head = file.read(_HEAD)
    try:
        found = _kind(path, head, file)
    finally:
        file.seek(0)
    return found


def _kind(path: str, head: bytes, file: BinaryIO) -> str:
    if not head:
        message = f"{path}: is empty"
        raise ValueError(message)
    for magic, name in _PLAIN:
        if head.startswith(magic):
            return name
    if _is_hdf5(head, file):
        return "hdf5"
    if head.startswith(b"PK"):
        return _zip(path, file)
    if head.startswith(b"\x1f\x8b"):
        head = _unzipped(path, file)
    return _text(path, head)


def check_unpacked(unpacked: int, packed: int) -> None:
    """Refuse what would keep a reader busy for hours: text shrinks by gzip 3 to 30 times.

    Args:
        unpacked: bytes so far.
        packed: bytes of the file that they are of.

    Raises:
        ValueError: far more than text gives.
    """
    if unpacked > _MUCH and unpacked > _MOST_RATIO * packed:
        message = f"{packed} bytes unpack to more than {unpacked}; no data but a bomb, refused"
        raise ValueError(message)


def _is_hdf5(head: bytes, file: BinaryIO) -> bool:
    """An HDF5 file may begin with a block of a user's own, of 512, 1024, 2048 ... bytes."""
    return any(head[at : at + 8] == _HDF5 for at in (0, 512, 1024, 2048, 4096, 8192))


def _zip(path: str, file: BinaryIO) -> str:
    file.seek(0)
    try:
        names = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        message = f"{path}: a damaged zip archive ({error})"
        raise ValueError(message) from None
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    message = (
        f"{path}: a zip archive of {len(names)} files, not of NumPy arrays (npz); "
        "unpack it and give the files inside"
    )
    raise ValueError(message)


def _unzipped(path: str, file: BinaryIO) -> bytes:
    file.seek(0)
    try:
        return gzip.GzipFile(fileobj=file).read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path}: damaged gzip data ({error})"
        raise ValueError(message) from None


def _text(path: str, head: bytes) -> str:
    if head.startswith(b"\x80") and b"." in head[-64:] + head[:64]:
        message = f"{path}: looks like a pickle, which can run any code when read; refused"
        raise ValueError(message)
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            message = f"{path}: neither text nor a known format (first bytes {head[:8].hex()})"
            raise ValueError(message) from None
        text = head[: error.start].decode("utf-8-sig")
    if "<LesHouchesEvents" in text[:4096]:
        return "lhe"
    if text.lstrip().startswith("HepMC::"):
        return "hepmc"
    if "\0" in text or text.lstrip()[:1] in ("{", "[", "<"):
        message = f"{path}: not a table of numbers; it begins with {text.strip()[:20]!r}"
        raise ValueError(message)
    return "csv"
