"""Ranges of bytes of files behind addresses, one attempt each.

http(s) goes through the standard library, which needs no extra package and no event loop, and
lets us look at an answer's status before its body: a server that ignores ranges is noticed before
a large file is downloaded. All other schemes go through fsspec.
"""

from __future__ import annotations

import base64
import http.client
import re
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import NoReturn, Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import fsspec

__all__ = ["FsspecRanges", "HiccupError", "Ranges", "WebRanges", "shown"]

_WHOLE = 32 * 1024**2  # bytes: up to here a file from a server without ranges is read as a whole
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_CLOSED_TO_US = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class HiccupError(Exception):
    """A request that failed for a reason that may pass; its text is the reason."""


class Ranges(Protocol):
    """Where ranges come from; `size` [bytes] is known after the first request."""

    size: int | None

    def request(self, start: int, stop: int) -> bytes:
        """One attempt at all bytes of the file from `start` to before `stop`."""


class WebRanges:
    """Ranges of a file on an HTTP server."""

    def __init__(self, url: str, timeout: float) -> None:
        self.size: int | None = None
        self._name = shown(url)
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
        """One attempt, see `Ranges`; the whole file if it is small and there are no ranges."""
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
            raise HiccupError(status) from None
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
        raise HiccupError(_reason(cause)) from None


class FsspecRanges:
    """Ranges of a file on what fsspec, or a package that extends it, can read."""

    def __init__(self, url: str, timeout: float) -> None:
        self.size: int | None = None
        self._name = shown(url)
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
        """One attempt, see `Ranges`."""
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
            raise HiccupError(reason) from None
        message = f"cannot read {self._name}: {reason}; check the address and your rights"
        raise ValueError(message) from None


def _complete(data: bytes, length: int) -> bytes:
    if len(data) != length:
        reason = f"{len(data)} of {length} bytes came"
        raise HiccupError(reason)
    return data


def _reason(error: BaseException | str) -> str:
    """What an error says, on one line without credentials."""
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    line = shown(" ".join(text.split()))
    return line[:1].lower() + line[1:]


def shown(text: str) -> str:
    """An address, or a text with addresses, without passwords and tokens."""
    return re.sub(r"(?<=://)[^/\s]*@", "", re.sub(r"\?\S+", "", text))
