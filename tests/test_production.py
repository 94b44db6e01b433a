"""Production: whatever happens to the process, its repetition gives the same dataset."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.toy_dataset import SETTINGS, SHARDS, contents, jets, make, small, toy, truncate

from fivesigma import storage
from fivesigma.datasets import SCHEMA, Dataset, Shard, produce


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The toy dataset, made by one worker without disturbance; read only."""
    return toy(tmp_path_factory.mktemp("reference") / "toy")


@pytest.fixture
def dataset(reference, tmp_path):
    """A copy to damage."""
    return Dataset.open(shutil.copytree(reference.path, tmp_path / "toy"))


def test_number_of_workers_changes_nothing(reference, tmp_path):
    """Two workers, after two of the shards failed at first."""
    with pytest.raises(RuntimeError) as failure:
        toy(tmp_path / "d", workers=2, broken=(2, 5))
    assert "2 of 8 shards failed" in str(failure.value)
    assert "shard 2: Unpicklable: boom in shard 2" in str(failure.value)
    assert "repeat the command" in str(failure.value)
    with pytest.raises(ValueError, match="incomplete: 6 of 8 shards; repeat the generate command"):
        Dataset.open(tmp_path / "d")
    toy(tmp_path / "d", workers=2)
    assert contents(tmp_path / "d") == contents(reference.path)


def test_dead_worker_is_reported(reference, tmp_path):
    with pytest.raises(RuntimeError, match=r"worker process died .* of 8 shards are whole"):
        toy(tmp_path / "d", workers=2, deadly=(3,))
    toy(tmp_path / "d")
    assert contents(tmp_path / "d") == contents(reference.path)


def test_complete_dataset_is_returned_at_once(dataset):
    before = {path: path.stat().st_mtime_ns for path in dataset.path.glob("*/*")}
    again = toy(dataset.path, broken=range(SHARDS))  # would fail if it made any
    assert again.manifest == dataset.manifest
    assert before == {path: path.stat().st_mtime_ns for path in dataset.path.glob("*/*")}


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["jets", "jets.constituents"])
def test_damaged_shard_is_named_and_made_anew(dataset, reference, name, damage):
    path = dataset.path / name / "00003.parquet"
    damage(path)
    with pytest.raises(ValueError, match="00003.parquet is (truncated|changed|missing)"):
        dataset.verify()
    if damage is not flip:
        with pytest.raises(ValueError, match="00003.parquet is (truncated|missing).*repeat"):
            dataset.read()
        dataset.read(shards=[2, 4])
    toy(dataset.path, broken=set(range(SHARDS)) - {3})  # makes that one only
    assert contents(dataset.path) == contents(reference.path)


def test_other_settings_are_refused_and_named(dataset):
    other = {**SETTINGS, "pt": {"min": 500.0, "max": 800.0}, "tune": "Monash"}
    with pytest.raises(ValueError) as refusal:
        produce(dataset.path, make, SHARDS, kind="toy", settings=other)
    assert "pt.max: 700.0 there, 800.0 asked for" in str(refusal.value)
    assert 'tune: null there, "Monash" asked for' in str(refusal.value)
    assert "pt.min" not in str(refusal.value)
    assert "--overwrite" in str(refusal.value)
    with pytest.raises(ValueError, match="shards: 8 there, 5 asked for"):
        produce(dataset.path, make, 5, kind="toy", settings=SETTINGS)
    dataset.verify()


def test_other_schema_is_refused_or_overwritten(dataset, reference):
    for name in ("settings.json", "manifest.json"):
        path = dataset.path / name
        path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 0'))
    with pytest.raises(ValueError, match=f"schema version 0, expected {SCHEMA}"):
        toy(dataset.path)
    toy(dataset.path, overwrite=True)
    assert contents(dataset.path) == contents(reference.path)


def test_more_shards_extend_a_dataset(dataset):
    make_new = partial(make, broken=range(SHARDS))
    longer = produce(dataset.path, make_new, SHARDS + 1, kind="toy", settings=SETTINGS)
    assert longer.shards[:SHARDS] == dataset.shards
    assert longer.counts["jets"] == (SHARDS + 1) * 40


def test_overwrite_removes_the_dataset_and_nothing_else(dataset):
    note = dataset.path / "jets" / "note.txt"
    note.write_text("mine")
    dataset.write("scores", 0, jets(0))
    (dataset.path / "jets" / ".00001.parquet.0123abcd.tmp").write_text("of a dead run")
    small(dataset.path, [jets(0)], overwrite=True)
    assert sorted(contents(dataset.path)) == [
        *("jets.constituents/00000.parquet", "jets/00000.parquet", "jets/note.txt"),
        *("manifest.json", "settings.json", "shards/00000.json"),
    ]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.tex", "manifest.json"])
def test_folder_of_others_is_left_alone(tmp_path, name, overwrite):
    (tmp_path / "jets").mkdir()
    (tmp_path / "jets" / "00000.parquet").write_text("theirs")
    (tmp_path / name).write_text('{"schema": 1, "name": "a web page"}')
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="is no dataset; choose another folder"):
        small(tmp_path, [jets(0)], overwrite=overwrite)
    assert contents(tmp_path) == before
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("name", ["../jets", "a/b", "", ".hidden", "shards"])
def test_names_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(RuntimeError, match="collection name"):
        produce(tmp_path / "d", lambda _: Shard({name: jets(0)}), 1, kind="", settings={})


def test_bad_arguments_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="shards: got 0"):
        produce(tmp_path / "d", make, 0, kind="", settings={})
    with pytest.raises(ValueError, match="no JSON form"):
        produce(tmp_path / "d", make, 1, kind="", settings={"path": Path()})
    assert not (tmp_path / "d").exists()
    with pytest.raises(ValueError, match="workers: got 0"):
        produce(tmp_path / "d", make, 1, kind="", settings={}, workers=0)


def test_settings_are_free_until_a_shard_is_whole(tmp_path):
    with pytest.raises(RuntimeError, match="1 of 1 shards failed"):
        produce(tmp_path / "d", partial(make, broken=(0,)), 1, kind="", settings={"pt": -1})
    assert produce(tmp_path / "d", make, 1, kind="", settings={"pt": 1}).counts["jets"] == 40


def test_full_disk_leaves_what_is_whole(reference, tmp_path, monkeypatch):
    calls = []

    def fsync(_):
        calls.append(None)
        if len(calls) > 10:  # the settings, four files a shard, one more
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", fsync)
    with pytest.raises(OSError, match="2 of 8 shards are whole: make room") as failure:
        toy(tmp_path / "d")
    assert failure.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.tmp"))
    made = {name: data for name, data in contents(tmp_path / "d").items() if "/0" in name}
    assert {name for name in made if name.startswith("shards")} == {
        "shards/00000.json",
        "shards/00001.json",
    }
    assert made.items() <= contents(reference.path).items()
    toy(tmp_path / "d")
    assert contents(tmp_path / "d") == contents(reference.path)


def test_progress_counts_what_is_whole(tmp_path):
    seen = []

    def progress(done, total, record):
        seen.append((done, total, record["index"], "error" in record))

    options = {"kind": "toy", "settings": SETTINGS, "progress": progress}
    with pytest.raises(RuntimeError, match="1 of 3"):
        produce(tmp_path / "d", partial(make, broken=(1,)), 3, **options)
    assert seen == [(1, 3, 0, False), (1, 3, 1, True), (2, 3, 2, False)]
    seen.clear()
    produce(tmp_path / "d", make, 3, **options)
    assert seen == [(3, 3, 1, False)]


def test_one_process_at_a_time(dataset):
    with (
        storage.locked(dataset.path),
        pytest.raises(ValueError, match=f"process {os.getpid()} is writing"),
    ):
        toy(dataset.path)
    (dataset.path / ".lock").write_text("123456789\n")  # of a process that died
    toy(dataset.path)


def running(pid):
    try:  # a zombie has ended: in a container nobody may have buried it
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def whole(folder):
    return len(list(folder.glob("shards/*.json")))


def start_toy(folder, log, seconds):
    """Produce the toy in a session of its own, as a terminal would start it."""
    command = [sys.executable, "-m", "helpers.toy_dataset", folder, str(seconds), log]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def test_killed_production_is_finished_by_its_repetition(reference, tmp_path):
    """Ctrl-C and SIGKILL, at random moments after the first shards, then the command again."""
    folder, log = tmp_path / "d", tmp_path / "log"
    rng = np.random.default_rng()
    for kill, sign in [(os.killpg, signal.SIGINT), (os.kill, signal.SIGKILL)]:
        before = whole(folder)
        process = start_toy(folder, log, seconds=0.3)
        wait_for(lambda before=before: whole(folder) > before)
        time.sleep(rng.uniform(0, 0.3))
        kill(process.pid, sign)
        _, text = process.communicate(timeout=60)
        assert process.returncode in (-sign, 128 + sign), text
        assert text.count("Traceback") <= 1  # the parent's; none of its workers'
        workers = {int(pid) for pid in log.read_text().split()}
        if sys.platform == "linux":
            wait_for(lambda pids=workers: not any(map(running, pids)), seconds=15.0)
    assert whole(folder) < SHARDS
    toy(folder)
    assert contents(folder) == contents(reference.path)


def test_cluster_needs_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"pip install 'fivesigma\[dask\]'"):
        produce(tmp_path / "d", make, 1, kind="", settings={}, cluster="tcp://127.0.0.1:1")


def test_cluster_makes_the_same(reference, tmp_path, monkeypatch):
    """A stand-in with the face of Dask's client and executor."""

    class Executor(ThreadPoolExecutor):
        def shutdown(self, wait=True):
            super().shutdown(wait=wait)

    class Client:
        def __init__(self, address):
            assert address == "tcp://127.0.0.1:1"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def get_executor(self, pure):
            assert not pure
            return Executor(2)

    monkeypatch.setitem(sys.modules, "distributed", types.SimpleNamespace(Client=Client))
    options = {"kind": "toy", "settings": SETTINGS, "cluster": "tcp://127.0.0.1:1"}
    produce(tmp_path / "d", make, SHARDS, **options)
    assert contents(tmp_path / "d") == contents(reference.path)
