"""`reconstruct`: the same objects for any number of workers, resumed; what cannot work is said."""

import shutil

import awkward as ak
import pytest

from fivesigma.events import FIELDS
from fivesigma.reconstruction.classical import COLLECTIONS
from fivesigma.workflows.generate import generate
from fivesigma.workflows.reconstruct import reconstruct
from fivesigma.workflows.simulate import simulate


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals") / "ttbar"
    return simulate(folder, process="ttbar", events=6, shard_size=3, workers=1, quiet=True)


@pytest.fixture
def data(simulated, tmp_path):
    return shutil.copytree(simulated.path, tmp_path / "ttbar")


def checksums(dataset):
    return [dataset.checksums(name) for name in COLLECTIONS]


def test_workers_do_not_matter_and_what_is_missing_is_made(data, tmp_path):
    other = shutil.copytree(data, tmp_path / "again")
    one = reconstruct(data, workers=1, quiet=True)
    assert all(one.counts[name] == 6 for name in COLLECTIONS)
    two = reconstruct(other, workers=2, quiet=True)
    assert checksums(one) == checksums(two)
    (two.path / "jets" / "00001.parquet").unlink()
    again = reconstruct(other, workers=1, quiet=True)
    again.verify()
    assert checksums(again) == checksums(one)


def test_objects_are_those_of_the_table_and_make_sense(data):
    found = reconstruct(data, workers=1, quiet=True)
    for name in ("particles", "electrons", "muons", "photons", "taus", "met"):
        assert set(found.read(name).fields) == set(FIELDS[name])
    assert set(found.read("jets").fields) < set(FIELDS["jets"])
    truth, particles, jets = (found.read(name) for name in ("truth", "particles", "jets"))
    seen = (truth.status > 0) & (abs(truth.eta) < 2.4)
    for number in (12, 14, 16):
        seen = seen & (abs(truth.pdg_id) != number)
    inside = particles[abs(particles.eta) < 2.4]
    # particles are not calibrated as jets are: soft ones and those without a track are missing
    assert 0.75 < ak.sum(inside.pt) / ak.sum(truth.pt[seen]) < 1.05
    assert ak.all(ak.num(jets) >= 2)
    assert ak.all(jets.pt[:, :-1] >= jets.pt[:, 1:])


def test_other_settings_are_told(data):
    reconstruct(data, workers=1, quiet=True)
    with pytest.raises(ValueError, match="seed: 1 there, 2 asked for"):
        reconstruct(data, seed=2, workers=1, quiet=True)


def test_what_cannot_work_is_said(tmp_path):
    plain = generate(tmp_path / "plain", process="drell-yan", events=2, workers=1, quiet=True)
    with pytest.raises(ValueError, match="has no signals; make them with `fivesigma simulate`"):
        reconstruct(plain.path, quiet=True)
    pool = simulate(tmp_path / "pool", process="minimum-bias", events=2, library=True, workers=1,
                    quiet=True)  # fmt: skip
    with pytest.raises(ValueError, match="is a library of pile-up"):
        reconstruct(pool.path, quiet=True)
