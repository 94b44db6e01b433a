"""`simulate`: the same signals for any number of workers, resumed, with pile-up of a library."""

import shutil

import awkward as ak
import pytest

from fivesigma.datasets import Dataset
from fivesigma.events import with_pileup
from fivesigma.workflows.forecast import Forecast
from fivesigma.workflows.generate import generate
from fivesigma.workflows.reconstruct import reconstruct
from fivesigma.workflows.simulate import Mixing, simulate


@pytest.fixture(scope="module")
def collisions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collisions") / "dy"
    return generate(folder, process="drell-yan", events=8, shard_size=4, workers=1,
                    quiet=True)  # fmt: skip


@pytest.fixture
def events(collisions, tmp_path):
    return shutil.copytree(collisions.path, tmp_path / "dy")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library") / "minbias"
    return simulate(folder, process="minimum-bias", events=12, shard_size=4, library=True,
                    workers=1, quiet=True)  # fmt: skip


NAMES = ("hits", "cells", "segments")


def checksums(dataset):
    return [dataset.checksums(name) for name in NAMES]


def test_workers_do_not_matter_and_what_is_missing_is_made(events, collisions, tmp_path):
    one = simulate(events, workers=1, quiet=True)
    assert one.counts["hits"] == 8
    other = shutil.copytree(collisions.path, tmp_path / "again")
    two = simulate(other, workers=2, quiet=True)
    assert checksums(one) == checksums(two)
    (two.path / "cells" / "00001.parquet").unlink()
    again = simulate(other, workers=1, quiet=True)
    again.verify()
    assert checksums(again) == checksums(one)


def test_pile_up_comes_from_a_library(events, pool):
    assert {"hits", "deposits", "segments", "pileup"} < set(pool.counts)
    data = simulate(events, pileup=Mixing(pool.path, 10.0), workers=1, quiet=True)
    quiet = ak.mean(ak.num(pool.read("hits")))
    own = ak.num(data.read("truth"))
    hits = data.read("hits")
    strange = ak.sum((hits.truth < 0) | (hits.truth >= own), axis=1)
    assert ak.mean(strange) > 3 * quiet
    every = with_pileup(data.read("truth"), data.read("pileup"))
    assert ak.max(every.vertex) > 5
    tracks = reconstruct(events, workers=1, quiet=True).read("tracks")
    assert ak.sum(every[tracks.truth].vertex > 0) > 3 * len(own)
    assert data.manifest["stages"]["simulate"]["settings"]["pileup"]["mean"] == 10.0


def test_other_settings_are_told_and_overwritten_when_asked(events):
    simulate(events, workers=1, quiet=True)
    with pytest.raises(ValueError, match=r"detector: \"atlas\" there, \"cms\" asked for"):
        simulate(events, detector="cms", workers=1, quiet=True)
    data = simulate(events, detector="cms", workers=1, quiet=True, overwrite=True)
    assert data.manifest["stages"]["simulate"]["settings"]["detector"] == "cms"


def test_a_dry_run_tells_time_and_size(events):
    expected = simulate(events, workers=1, dry_run=True, quiet=True)
    assert isinstance(expected, Forecast)
    assert expected.units == 8
    assert expected.bytes > 10_000
    assert "hits" not in Dataset.open(events).counts


def test_what_cannot_work_is_said(events, pool, tmp_path):
    with pytest.raises(ValueError, match="'trackml' has no signals; choose atlas or cms"):
        simulate(events, detector="trackml", quiet=True)
    with pytest.raises(ValueError, match="give --library or --pileup"):
        simulate(events, library=True, pileup=Mixing(pool.path), quiet=True)
    with pytest.raises(ValueError, match="is no library; make it with"):
        simulate(events, pileup=Mixing(events), quiet=True)
    with pytest.raises(ValueError, match="is a library of atlas, asked for cms"):
        simulate(events, detector="cms", pileup=Mixing(pool.path), quiet=True)
    with pytest.raises(ValueError, match="mean -1: expected a finite number >= 0"):
        Mixing(pool.path, -1.0)
    with pytest.raises(FileNotFoundError, match="no dataset at"):
        simulate(tmp_path / "none", quiet=True)


def test_what_is_yet_to_be_generated_is_told_without_being_made(tmp_path):
    expected = simulate(tmp_path / "new", process="drell-yan", events=4000, shard_size=100,
                        workers=1, dry_run=True, quiet=True)  # fmt: skip
    assert isinstance(expected, Forecast)
    assert expected.units == 4000
    assert not (tmp_path / "new").exists()
    few = simulate(tmp_path / "few", process="drell-yan", events=12, shard_size=12, workers=1,
                   quiet=True)  # fmt: skip
    size = sum(path.stat().st_size for path in few.path.rglob("*.parquet")) / 12
    # 11 and 12 events of sizes that differ by a third
    assert expected.bytes / 4000 == pytest.approx(size, rel=0.4)
