"""Files behind addresses (https://, root://, s3://): read in pieces, patient with hiccups.

`open_remote` gives a file object for uproot, h5py, pyarrow or plain reading. Only the ranges that
are read cross the network: small reads through a cache of blocks, large ones in one request each.

http(s) goes through the standard library, which needs no extra package and no event loop, and
lets us look at an answer's status before its body: a server that ignores ranges is noticed before
a large file is downloaded. All other schemes go through fsspec.
"""

from __future__ import annotations

import base64
import http.client
import io
import re
import ssl
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from http import HTTPStatus
from typing import Any, NoReturn, Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import fsspec

__all__ = ["RemoteFile", "is_remote", "open_remote"]

_BLOCK = 256 * 1024  # bytes
_CACHED_BLOCKS = 32
_READ_AHEAD = 4  # blocks in one request, once reading has proved sequential
_WHOLE = 32 * 1024**2  # bytes: up to here a file from a server without ranges is read as a whole
_BACK_OFF = (0.2, 0.5, 1.0)  # s before the second, third, later attempts
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_CLOSED_TO_US = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


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
        message = f"got {_shown(url)!r}, expected an address such as https://host/events.root"
        raise ValueError(message)
    if attempts < 1 or timeout <= 0:
        message = f"got attempts={attempts}, timeout={timeout}; expected at least 1, and over 0 s"
        raise ValueError(message)
    web = urlsplit(url).scheme in ("http", "https")
    source = _WebSource(url, timeout) if web else _FsspecSource(url, timeout)
    return RemoteFile(source, _shown(url), attempts)


class RemoteFile(io.RawIOBase):
    """A file behind an address, read-only; for one thread at a time.

    Attributes:
        name: the address, without credentials.
        size: of the file [bytes].
        bytes_read: what came over the network in complete answers [bytes].
        requests: how many requests were made, failed ones included.
    """

    def __init__(self, source: _Source, name: str, attempts: int) -> None:
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
            except _HiccupError as error:
                reason = str(error)
                continue
            self.bytes_read += len(data)
            return data
        parts = urlsplit(self.name)
        file = parts.path.rsplit("/", 1)[-1] or self.name
        tries = f"{self._attempts} attempt{'s' if self._attempts > 1 else ''}"
        message = f"cannot read {file} from {parts.netloc}: no answer after {tries} ({reason})"
        raise ConnectionError(message)


class _HiccupError(Exception):
    """A request that failed for a reason that may pass; its text is the reason."""


class _Source(Protocol):
    """Where ranges come from; `size` [bytes] is known after the first request."""

    size: int | None

    def request(self, start: int, stop: int) -> bytes:
        """One attempt at all bytes of the file from `start` to before `stop`."""


class _WebSource:
    """Ranges of a file on an HTTP server."""

    def __init__(self, url: str, timeout: float) -> None:
        self.size: int | None = None
        self._name = _shown(url)
        self._timeout = timeout
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if not re.fullmatch(r"(\[[^\]]+\]|[^:\[\]\s]+)(:\d{1,5})?", host):
            message = f"{self._name}: expected an address such as https://host:443/events.root"
            raise ValueError(message)
        safe = "/%:=&?~+!$,;'@()*[]"
        path, query = quote(parts.path, safe), quote(parts.query, safe)
        self._url = urlunsplit((parts.scheme, host, path, query, ""))
        self._authorization = ""
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._authorization = f"Basic {base64.b64encode(login.encode()).decode()}"

    def request(self, start: int, stop: int) -> bytes:
        """One attempt, see `_Source`; the whole file if it is small and there are no ranges."""
        request = urllib.request.Request(self._url, headers={"Range": f"bytes={start}-{stop - 1}"})
        if self._authorization:  # not for the host of a redirection
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                if answer.status == HTTPStatus.PARTIAL_CONTENT:
                    return self._part(answer, start, stop)
                return self._all(answer, start, stop)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start == 0:
                return b""  # an empty file has no ranges
            self._refused(error.code, f"{error.code} {error.reason}")
        except (OSError, http.client.HTTPException) as error:
            self._failed(error)

    def _part(self, answer: http.client.HTTPResponse, start: int, stop: int) -> bytes:
        given = answer.headers.get("Content-Range", "")
        match = re.match(r"bytes (\d+)-\d+/(\d+)", given)
        if match is None or int(match[1]) != start:
            message = (
                f"{self._name}: got Content-Range {given!r}, expected bytes {start}-{stop - 1} "
                "and the size of the file; copy the file to this machine first"
            )
            raise ValueError(message)
        self._set_size(int(match[2]))
        length = min(stop, int(match[2])) - start
        return _complete(answer.read(length), length)

    def _all(self, answer: http.client.HTTPResponse, start: int, stop: int) -> bytes:
        """The body of an answer that ignores the range."""
        length = answer.length  # None if the server does not say
        too_large = length is not None and length > _WHOLE
        data = b"" if too_large else answer.read(_WHOLE + 1)
        if too_large or len(data) > _WHOLE:
            message = (
                f"{self._name}: the server does not serve ranges, and the file is larger than "
                f"{_WHOLE // 1024**2} MB; copy the file to this machine first"
            )
            raise ValueError(message)
        _complete(data, len(data) if length is None else length)
        first = self.size is None
        self._set_size(len(data))
        return data if first else data[start:stop]

    def _set_size(self, size: int) -> None:
        if self.size not in (None, size):
            message = (
                f"{self._name} changed from {self.size} to {size} bytes while it was read; "
                "open it again"
            )
            raise ValueError(message)
        self.size = size

    def _refused(self, code: int, status: str) -> NoReturn:
        if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _PASSING:
            raise _HiccupError(status) from None
        if code in _GONE:
            message = f"{self._name}: the server has no such file ({status}); check the address"
            raise FileNotFoundError(message) from None
        if code in _CLOSED_TO_US:
            message = f"{self._name}: the server refuses access ({status}); check your rights"
            raise ValueError(message) from None
        message = f"{self._name}: the server refuses the request ({status}); check the address"
        raise ValueError(message) from None

    def _failed(self, error: Exception) -> NoReturn:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"{self._name}: the server's certificate is not trusted ({_reason(cause)})"
            raise ValueError(message) from None
        raise _HiccupError(_reason(cause)) from None


class _FsspecSource:
    """Ranges of a file on what fsspec, or a package that extends it, can read."""

    def __init__(self, url: str, timeout: float) -> None:
        self.size: int | None = None
        self._name = _shown(url)
        # the one argument for it that is known; others have their own limits and configuration
        root = urlsplit(url).scheme == "root"
        options = {"timeout": max(1, round(timeout))} if root else {}
        try:
            self._system, self._path = fsspec.core.url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            message = (
                f"cannot read {self._name}: {_reason(error)}; install what reads such addresses, "
                "for root:// with `pip install 'fivesigma[remote]'`"
            )
            raise ValueError(message) from None

    def request(self, start: int, stop: int) -> bytes:
        """One attempt, see `_Source`."""
        try:
            if self.size is None:
                self.size = self._system.size(self._path)
            length = min(stop, self.size or 0) - start
            if length <= 0:
                return b""
            data = self._system.cat_file(self._path, start=start, end=start + length)
        except Exception as error:  # each of the packages has errors of its own
            self._failed(error)
        return _complete(data, length)

    def _failed(self, error: Exception) -> NoReturn:
        reason = _reason(error)
        if isinstance(error, FileNotFoundError) or "no such file" in reason.lower():
            message = f"{self._name}: the server has no such file; check the address"
            raise FileNotFoundError(message) from None
        final = isinstance(error, PermissionError) or "[3010]" in reason  # XRootD: not authorised
        if isinstance(error, OSError) and not final:
            raise _HiccupError(reason) from None
        message = f"cannot read {self._name}: {reason}; check the address and your rights"
        raise ValueError(message) from None


def _complete(data: bytes, length: int) -> bytes:
    if len(data) != length:
        reason = f"{len(data)} of {length} bytes came"
        raise _HiccupError(reason)
    return data


def _reason(error: BaseException | str) -> str:
    """What an error says, on one line without credentials."""
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    line = _shown(" ".join(text.split()))
    return line[:1].lower() + line[1:]


def _shown(text: str) -> str:
    """An address, or a text with addresses, without passwords and tokens."""
    return re.sub(r"(?<=://)[^/\s]*@", "", re.sub(r"\?\S+", "", text))
