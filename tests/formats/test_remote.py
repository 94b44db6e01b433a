"""Remote files: only what is read crosses the network, and a hiccup does not end an analysis."""

import base64
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import h5py
import numpy as np
import pytest
import uproot

from fivesigma.formats import remote
from fivesigma.formats.remote import is_remote, open_remote

BLOCK = 256 * 1024


class Handler(BaseHTTPRequestHandler):
    """Serves the server's `content`; `before` may answer in its place."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        server.authorizations.append(self.headers.get("Authorization"))
        if server.before(self, len(server.asked)):
            return
        data, size = server.content, len(server.content)
        if not server.ranges or not size:
            self.answer(200, data)
            return
        start, stop = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", server.asked[-1]).groups())
        data = data[start : stop + 1]
        self.answer(206, data, f"bytes {start}-{start + len(data) - 1}/{size}")

    def answer(self, status, data=b"", content_range=None, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        try:
            self.wfile.write(data)
            self.server.sent += len(data)
        except OSError:  # the reader has seen enough
            pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@contextmanager
def serve(
    content: bytes,
    before: Callable[[Handler, int], bool] = lambda *_: False,
    ranges: bool = True,
) -> Iterator[ThreadingHTTPServer]:
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.content, server.before, server.ranges = content, before, ranges
    server.asked, server.authorizations, server.sent = [], [], 0
    server.host = f"127.0.0.1:{server.server_port}"
    server.url = f"http://{server.host}/data/events.root"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refuse(status: int, times: int = 1000) -> Callable[[Handler, int], bool]:
    def before(handler, request):
        if request <= times:
            handler.answer(status)
        return request <= times

    return before


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(remote, "_BACK_OFF", (0.01, 0.02))


@pytest.fixture(scope="module")
def content() -> bytes:
    return np.random.default_rng(1).bytes(5_000_000)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> tuple[bytes, dict[str, np.ndarray]]:
    """A ROOT file of 30 branches that do not compress, and what is in them."""
    rng = np.random.default_rng(2)
    branches = {f"x{i}": rng.normal(size=100_000) for i in range(30)}
    path = tmp_path_factory.mktemp("remote") / "events.root"
    with uproot.recreate(path, compression=None) as file:
        file.mktree("Events", {name: np.float64 for name in branches})
        for start in range(0, 100_000, 25_000):
            stop = start + 25_000
            file["Events"].extend({name: x[start:stop] for name, x in branches.items()})
    return path.read_bytes(), branches


@pytest.mark.parametrize(
    "path", ["http://a/b.root", "HTTPS://a/b", "root://a//b", "s3://a/b", "memory://b"]
)
def test_addresses_are_remote(path):
    assert is_remote(path)


@pytest.mark.parametrize("path", ["b.root", "/a/b.root", "file:///a/b", "C:\\b", "a/b://c", "://"])
def test_paths_are_not_remote(path):
    assert not is_remote(path)
    with pytest.raises(ValueError, match="expected an address"):
        open_remote(path)


def test_a_branch_costs_its_share_of_the_file(tree):
    data, branches = tree
    assert len(data) > 20e6
    with serve(data) as server, open_remote(server.url) as file:
        with uproot.open(file) as root:
            np.testing.assert_array_equal(root["Events"]["x7"].array(library="np"), branches["x7"])
        assert file.bytes_read == server.sent < 0.15 * len(data)
        assert file.requests == len(server.asked) < 15


def test_hdf5_reads_through_it(tmp_path):
    jets = np.random.default_rng(3).normal(size=(2_000, 40, 4))
    with h5py.File(tmp_path / "jets.h5", "w") as file:
        file["jets"] = jets
    with (
        serve((tmp_path / "jets.h5").read_bytes()) as server,
        open_remote(server.url) as raw,
        h5py.File(raw) as file,
    ):
        np.testing.assert_array_equal(file["jets"][500:510], jets[500:510])
        assert server.sent < 0.5 * jets.nbytes


def test_any_reading_equals_a_local_file(content):
    rng = np.random.default_rng(4)
    with serve(content) as server, open_remote(server.url) as file:
        assert (file.size, file.name) == (len(content), server.url)
        assert file.readable() and file.seekable() and not file.writable()
        for size in (10, 10, BLOCK - 5, BLOCK, BLOCK + 1, 3 * BLOCK):
            start = int(rng.integers(len(content)))
            assert file.seek(start) == start
            assert file.read(size) == content[start : start + size]
            assert file.tell() == min(start + size, len(content))
        assert file.seek(-7, 2) == len(content) - 7
        buffer = np.zeros(5, np.int16)
        assert file.readinto(buffer) == 7
        assert buffer.tobytes() == content[-7:] + bytes(3)
        assert (file.read(3), file.readinto(buffer), file.seek(10, 1)) == (b"", 0, file.size + 10)
        assert file.read() == b""
        file.seek(1)
        assert file.readall() == content[1:]
        with pytest.raises(ValueError, match="seek"):
            file.seek(-1)
    with pytest.raises(ValueError, match="is closed"):
        file.read(1)


def test_small_steps_through_a_file_take_few_requests(content):
    with serve(content) as server, open_remote(server.url) as file:
        pieces = list(iter(lambda: file.read(10_000), b""))
        assert b"".join(pieces) == content
        assert file.bytes_read == len(content)
        assert file.requests <= 8


def test_what_was_read_is_not_requested_again(content):
    with serve(content) as server, open_remote(server.url) as file:
        for _ in range(3):
            for start in (100, 4_000_000, 3_000_000):
                file.seek(start)
                file.read(1000)
        assert len(server.asked) == 3


def test_the_cache_stays_small(content):
    with serve(content * 4) as server, open_remote(server.url) as file:
        for start in range(0, file.size, 2 * BLOCK):
            file.seek(start)
            assert file.read(4) == (content * 4)[start : start + 4]
        assert sum(map(len, file._blocks.values())) <= 32 * BLOCK


def test_an_empty_file_is_empty():
    with serve(b"") as server, open_remote(server.url) as file:
        assert (file.size, file.read()) == (0, b"")
    with serve(b"", refuse(416)) as server, open_remote(server.url) as file:
        assert (file.size, file.read()) == (0, b"")


def drop(handler: Handler, request: int) -> bool:
    if request <= 2:
        handler.connection.shutdown(socket.SHUT_RDWR)
    return request <= 2


def cut(handler: Handler, request: int) -> bool:
    if request <= 2:
        handler.answer(206, b"short", f"bytes 0-{BLOCK - 1}/5000000", length=BLOCK)
    return request <= 2


@pytest.mark.parametrize("before", [refuse(503, 2), refuse(429, 2), drop, cut])
def test_two_failures_are_survived(before, content):
    with serve(content, before) as server, open_remote(server.url) as file:
        assert file.requests == 3
        assert file.read(100) == content[:100]


def test_a_failure_amid_the_file_is_survived(content):
    def before(handler, request):
        if request == 2:
            handler.answer(500)
        return request == 2

    with serve(content, before) as server, open_remote(server.url) as file:
        file.seek(2_000_000)
        assert file.read(600_000) == content[2_000_000:2_600_000]


def test_a_dead_host_is_one_line():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ConnectionError) as caught:
        open_remote(f"http://me:secret@{host}/data/events.root?token=abc")
    expected = f"cannot read events.root from {host}: no answer after 4 attempts"
    assert str(caught.value) == f"{expected} (connection refused)"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_host_that_fails_always_is_given_up(content):
    with serve(content, refuse(503)) as server:
        with pytest.raises(ConnectionError, match=r"after 3 attempts \(503 Service Unavailable\)"):
            open_remote(server.url, attempts=3)
        assert len(server.asked) == 3


def test_a_silent_host_is_given_up_in_time(content):
    release = threading.Event()
    with serve(content, lambda *_: release.wait(10)) as server:
        begin = time.monotonic()
        with pytest.raises(ConnectionError, match=r"after 2 attempts \(timed out\)"):
            open_remote(server.url, attempts=2, timeout=0.2)
        assert time.monotonic() - begin < 5
        release.set()


def test_a_slow_host_is_waited_for(content):
    with serve(content, lambda *_: time.sleep(0.2)) as server, open_remote(server.url) as file:
        assert file.requests == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, FileNotFoundError), (401, ValueError), (403, ValueError), (400, ValueError)],
)
def test_a_refusal_is_final(status, error, content):
    with serve(content, refuse(status)) as server:
        with pytest.raises(error, match=rf"{server.url}: .*{status}") as caught:
            open_remote(server.url)
        assert len(server.asked) == 1
        assert "\n" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_a_large_file_without_ranges_is_not_downloaded():
    with serve(bytes(33 * 1024**2), ranges=False) as server:
        with pytest.raises(ValueError, match="does not serve ranges.*copy the file"):
            open_remote(server.url)
        assert len(server.asked) == 1


def test_a_small_file_without_ranges_is_read_once(content):
    with serve(content, ranges=False) as server, open_remote(server.url) as file:
        file.seek(1_000_000)
        assert file.read() == content[1_000_000:]
        assert file.bytes_read == len(content)
        assert len(server.asked) == 1


def test_a_file_that_changes_is_noticed(content):
    with serve(content) as server, open_remote(server.url) as file:
        server.content = content[:-1]
        file.seek(1_000_000)
        with pytest.raises(ValueError, match="changed from 5000000 to 4999999 bytes"):
            file.read(10)


def test_credentials_are_sent_and_never_shown(content):
    with serve(content) as server:
        url = server.url.replace("//", "//me:p%40ss@") + "?token=abc"
        with open_remote(url) as file:
            assert (file.name, repr(file)) == (server.url, f"<RemoteFile {server.url}>")
        assert base64.b64decode(server.authorizations[0].split()[1]) == b"me:p@ss"
        server.before = refuse(403)
        with pytest.raises(ValueError) as caught:
            open_remote(url)
        assert "ss@" not in str(caught.value) and "abc" not in str(caught.value)


def test_names_with_spaces_are_found(content):
    with serve(content) as server, open_remote(server.url + " of März") as file:
        assert file.size == len(content)


def test_other_schemes_go_through_fsspec(content):
    fsspec.filesystem("memory").pipe_file("/remote/events.root", content)
    with open_remote("memory://remote/events.root") as file:
        file.seek(2_000_000)
        assert file.read(50) == content[2_000_000:2_000_050]
        assert (file.size, file.bytes_read) == (len(content), 2 * BLOCK)
    with pytest.raises(FileNotFoundError, match="memory://remote/none.root: .*no such file"):
        open_remote("memory://remote/none.root")


def test_fsspec_hiccups_are_survived(content, monkeypatch):
    system = fsspec.filesystem("memory")
    system.pipe_file("/remote/events.root", content)
    cat, failures = system.cat_file, [TimeoutError("late"), None, OSError("[ERROR] Socket error")]

    def flaky(path, start=None, end=None):
        failure = failures.pop() if failures else None
        if failure is not None:
            raise failure
        return cat(path, start=start, end=end - 1 if failures else end)

    monkeypatch.setattr(system, "cat_file", flaky)
    with open_remote("memory://remote/events.root") as file:
        assert file.requests == 4
        assert file.read(9) == content[:9]


def test_a_missing_package_is_named(monkeypatch):
    error = ImportError("`fsspec-xrootd` is needed")

    def missing(*_, **__):
        raise error

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ValueError, match=r"pip install 'fivesigma\[remote\]'"):
        open_remote("root://me:secret@host//events.root")


def test_an_unknown_scheme_is_named():
    with pytest.raises(ValueError, match="cannot read nope://a/b: protocol not known: nope"):
        open_remote("nope://a/b")


@pytest.mark.parametrize("url", ["http:///events.root", "http://host:port/x", "https://a b/x"])
def test_a_malformed_address_is_named(url):
    with pytest.raises(ValueError, match="expected an address such as"):
        open_remote(url)


def test_limits_are_checked():
    with pytest.raises(ValueError, match="attempts=0"):
        open_remote("http://host/x", attempts=0)
