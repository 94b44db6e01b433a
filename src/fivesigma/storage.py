"""Files that are whole or not there: atomic writing, JSON, checksums, and the lock of a folder.

Every file is written under a temporary name, flushed to disk and renamed: what bears its final
name is whole, whenever the process or the machine died.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = [
    "canonical",
    "check_file",
    "locked",
    "read_json",
    "remove_temporaries",
    "temporary_of",
    "write_file",
    "write_json",
]


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write a file as a whole or not at all; makes the folder it is in."""
    temporary = temporary_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_of(path: Path) -> Path:
    """A name beside a file for what will become it.

    Raises:
        ValueError: the file is a symbolic link, which could lead anywhere.
    """
    if path.is_symlink():
        message = f"{path} is a symbolic link; give the file that it points to"
        raise ValueError(message)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def remove_temporaries(folder: Path) -> None:
    """Remove what killed writers left in a folder and its sub-folders."""
    for pattern in (".*.tmp", "*/.*.tmp"):
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def check_file(path: Path, size: int, checksum: str | None = None) -> None:
    """Compare a file with what was recorded when it was written.

    Args:
        path: the file.
        size: in bytes.
        checksum: SHA-256 in hexadecimal; None compares the size only, which costs nothing.

    Raises:
        ValueError: the file is missing, truncated or changed.
    """
    if not path.is_file():
        wrong = "is missing"
    elif (got := path.stat().st_size) != size:
        wrong = f"is truncated or changed: {got} bytes, expected {size}"
    elif checksum is not None and _checksum(path) != checksum:
        wrong = "is changed: its SHA-256 checksum is not the one recorded"
    else:
        return
    message = f"{path} {wrong}; repeat the command that made it: only what is damaged is made anew"
    raise ValueError(message)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    message = f"{value!r} has no JSON form; expected numbers, text, lists and dicts of these"
    raise ValueError(message)


def canonical(content: Any) -> str:
    """The one JSON text of a content, whatever the order of its keys.

    Raises:
        ValueError: something in it has no JSON form (NaN has none either).
    """
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain_number
    )


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, as a whole or not at all.

    Raises:
        ValueError: something in it has no JSON form.
    """
    text = json.dumps(
        content, indent=1, ensure_ascii=False, allow_nan=False, default=_plain_number
    )
    write_file(path, f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path} is damaged ({error}); repeat the command that made it"
        raise ValueError(message) from None
    if not isinstance(content, dict):
        message = f"{path}: expected a JSON object, got {type(content).__name__}"
        raise ValueError(message)
    return content


@contextmanager
def locked(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder: one process at a time writes into it.

    The system frees the lock of a process that dies, so no lock is ever stale. The file `.lock`
    stays; the process number in it is for the message to others.

    Args:
        folder: made if it is not there.
        wait: how long to wait for another process [s].

    Raises:
        ValueError: another process holds the lock; or the folder holds symbolic links, through
            which files elsewhere could be changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    links = sorted(path.name for path in folder.iterdir() if path.is_symlink())
    if links:
        message = (
            f"{folder}: {', '.join(links)} is a symbolic link, and nothing is written through "
            "links; remove it, or choose another folder"
        )
        raise ValueError(message)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "r+", encoding="ascii") as file:  # noqa: PTH123 (a descriptor)
        deadline = time.monotonic() + wait
        while not _lock(file):
            if time.monotonic() >= deadline:
                file.seek(0)
                message = (
                    f"{folder}: process {file.read().strip()} is writing into it; "
                    "wait until it ends, or choose another folder"
                )
                raise ValueError(message)
            time.sleep(0.02)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(file: IO[str]) -> bool:
    import fcntl  # not on Windows, where datasets can still be read

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # some file systems of computing centres have no locks: better none there than no dataset
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
    return True
