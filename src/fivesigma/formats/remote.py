"""Files behind addresses (https://, root://, s3://): read in pieces, patient with hiccups.

`open_remote` gives a file object for uproot, h5py, pyarrow or plain reading. Only the ranges that
are read cross the network: small reads through a cache of blocks, large ones in one request each.
"""

from __future__ import annotations

import io
import re
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit

from fivesigma.formats.ranges import FsspecRanges, HiccupError, Ranges, WebRanges, shown

__all__ = ["RemoteFile", "is_remote", "open_remote"]

_BLOCK = 256 * 1024  # bytes
_CACHED_BLOCKS = 32
_READ_AHEAD = 4  # blocks in one request, once reading has proved sequential
_BACK_OFF = (0.2, 0.5, 1.0)  # s before the second, third, later attempts


def is_remote(path: str) -> bool:
    """Whether a path is an address with a scheme, and not a file on this machine."""
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", path, re.IGNORECASE)
    return scheme is not None and scheme[1].lower() != "file"


def open_remote(url: str, *, attempts: int = 4, timeout: float = 20.0) -> RemoteFile:
    """Open a file behind an address for reading.

    Args:
        url: e.g. "https://host/events.root" or "root://host//store/events.root".
        attempts: how often a request is made before the file is given up.
        timeout: how long a silent server is waited for in each attempt [s].

    Raises:
        ValueError: no address, a package is missing, the server refuses access or serves no
            ranges of a large file.
        FileNotFoundError: the server has no such file.
        ConnectionError: no answer after all attempts.
    """
    if not is_remote(url):
        message = f"got {shown(url)!r}, expected an address such as https://host/events.root"
        raise ValueError(message)
    if attempts < 1 or timeout <= 0:
        message = f"got attempts={attempts}, timeout={timeout}; expected at least 1, and over 0 s"
        raise ValueError(message)
    web = urlsplit(url).scheme in ("http", "https")
    source = WebRanges(url, timeout) if web else FsspecRanges(url, timeout)
    return RemoteFile(source, shown(url), attempts)


class RemoteFile(io.RawIOBase):
    """A file behind an address, read-only; for one thread at a time.

    Attributes:
        name: the address, without credentials.
        size: of the file [bytes].
        bytes_read: what came over the network in complete answers [bytes].
        requests: how many requests were made, failed ones included.
    """

    def __init__(self, source: Ranges, name: str, attempts: int) -> None:
        super().__init__()
        self.name = name
        self.bytes_read = 0
        self.requests = 0
        self._source = source
        self._attempts = attempts
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = 1  # the block after those of the last request
        self._ahead = 1  # blocks
        first = self._fetch(0, _BLOCK)
        self.size = source.size or 0
        self._whole = first if len(first) == self.size else None
        self._blocks[0] = first

    def __repr__(self) -> str:
        return f"<RemoteFile {self.name}>"

    def readable(self) -> bool:
        """Always, unless closed."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """Always, unless closed."""
        self._check_open()
        return True

    def tell(self) -> int:
        """The position from which `read` reads [bytes]."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, also beyond the end, and return it [bytes]."""
        self._check_open()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}.get(whence)
        if start is None or start + offset < 0:
            message = (
                f"seek({offset}, {whence}): expected a position in the file, whence 0, 1 or 2"
            )
            raise ValueError(message)
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read exactly `size` bytes, fewer only at the end of the file; all if negative or None.

        Raises:
            ConnectionError: no answer after all attempts.
            ValueError: the file is closed, or it has changed on the server.
        """
        self._check_open()
        stop = self.size if size is None or size < 0 else min(self._position + size, self.size)
        data = self._range(self._position, stop) if stop > self._position else b""
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """Read from the position to the end of the file."""
        return self.read()

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the file goes and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file and free its cache; no connection stays open between reads anyway."""
        if not self.closed:
            self._blocks.clear()
            self._whole = None
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            message = f"{self.name} is closed; open it again to read"
            raise ValueError(message)

    def _range(self, start: int, stop: int) -> bytes:
        if self._whole is not None:
            return self._whole[start:stop]
        if stop - start > _BLOCK:  # large reads exactly: rounding to blocks would add to them
            return self._fetch(start, stop)
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        data = b"".join([self._block(index, last) for index in range(first, last + 1)])
        return data[start - first * _BLOCK : stop - first * _BLOCK]

    def _block(self, index: int, last: int) -> bytes:
        """One block; if it is missing, those up to `last` come with the same request."""
        if index not in self._blocks:
            self._ahead = min(2 * self._ahead, _READ_AHEAD) if index == self._next else 1
            self._next = max(index + self._ahead, last + 1)
            data = self._fetch(index * _BLOCK, min(self._next * _BLOCK, self.size))
            for offset in range(0, len(data), _BLOCK):
                self._blocks[index + offset // _BLOCK] = data[offset : offset + _BLOCK]
            while len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(index)
        return self._blocks[index]

    def _fetch(self, start: int, stop: int) -> bytes:
        """Request a range, again after a pause where that may help."""
        for attempt in range(self._attempts):
            if attempt:
                time.sleep(_BACK_OFF[min(attempt, len(_BACK_OFF)) - 1])
            self.requests += 1
            try:
                data = self._source.request(start, stop)
            except HiccupError as error:
                reason = str(error)
                continue
            self.bytes_read += len(data)
            return data
        parts = urlsplit(self.name)
        file = parts.path.rsplit("/", 1)[-1] or self.name
        tries = f"{self._attempts} attempt{'s' if self._attempts > 1 else ''}"
        message = f"cannot read {file} from {parts.netloc}: no answer after {tries} ({reason})"
        raise ConnectionError(message)
