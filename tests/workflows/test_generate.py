"""The verb `generate`: what a sample holds, and that nothing leaks into it."""

import math

import awkward as ak
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fivesigma.datasets import Dataset, split_of
from fivesigma.events import FIELDS
from fivesigma.generation.pileup import PileUp
from fivesigma.generation.pythia import Generation
from fivesigma.workflows.chain import Events, Jets
from fivesigma.workflows.forecast import Forecast, require_space
from fivesigma.workflows.generate import generate
from fivesigma.workflows.recipes import RECIPES, Recipe, Sample

JETS, SHARD = 300, 75  # as in conftest.py


def promised(collection):
    """The fields of a collection but those that `reconstruct` alone gives."""
    return {name: field for name, field in FIELDS[collection].items()
            if not field.meaning.endswith("at signal level")}  # fmt: skip


@pytest.fixture(scope="module")
def jets(sample):
    return sample.read("jets")


def test_a_sample_has_the_jets_asked_for(sample, jets):
    label = ak.to_numpy(jets.label)
    assert sample.classes == ["top", "qcd"]
    assert len(sample.shards) == 2 * JETS // SHARD
    for index in range(2):
        assert JETS <= np.count_nonzero(label == index) <= JETS + JETS // SHARD


def test_all_promised_fields_are_there_and_finite(jets):
    assert set(promised("jets")) <= set(jets.fields)
    assert set(FIELDS["constituents"]) <= set(jets.constituents.fields)
    for name, field in promised("jets").items():
        values = ak.to_numpy(jets[name])
        assert values.dtype == np.dtype(field.dtype), name
        assert np.isfinite(values).all(), name


def test_the_recipe_s_cuts_hold(jets):
    assert ak.all((jets.pt > 550) & (jets.pt < 650) & (abs(jets.eta) < 2))
    assert ak.max(ak.num(jets.constituents)) <= 200
    pt = jets.constituents.pt
    assert ak.all(pt[:, 1:] <= pt[:, :-1])


def test_jets_are_the_sums_of_their_constituents(jets):
    for name in ("px", "py", "pz", "E"):
        total = ak.sum(getattr(jets.constituents, name), axis=1)
        np.testing.assert_allclose(total, getattr(jets, name), rtol=2e-4, atol=0.2)


@pytest.mark.parametrize("name", ["pt", "eta"])
def test_kinematics_alone_do_not_tell_the_classes_apart(jets, name):
    values = ak.to_numpy(jets[name])
    values = abs(values) if name == "eta" else values
    area = roc_auc_score(ak.to_numpy(jets.label) == 0, values)
    error = np.sqrt((2 * JETS + 1) / (12 * JETS**2))  # of the AUC of a useless score
    assert max(area, 1 - area) <= 0.55 + 2 * error


def test_both_jets_of_an_event_are_in_one_split(jets):
    event = ak.to_numpy(jets.event)
    numbers, counts = np.unique(event, return_counts=True)
    assert np.count_nonzero(counts > 1) > 5
    split = split_of(event)
    for number in numbers[counts > 1]:
        assert len(set(split[event == number])) == 1


def test_event_numbers_of_different_shards_differ(sample):
    seen: set[int] = set()
    for shard in sample.shards:
        numbers = set(ak.to_numpy(sample.read("jets", ["event"], [shard["index"]]).event).tolist())
        assert not numbers & seen
        seen |= numbers


def test_the_manifest_tells_cross_sections(sample):
    processes = sample.manifest["processes"]
    assert set(processes) == {"ttbar-hadronic", "qcd"}
    for entry in processes.values():
        assert entry["cross_section_pb"] > 0
        assert 0 < entry["cross_section_error_pb"] < 0.2 * entry["cross_section_pb"]
        assert entry["n_generated"] >= JETS / 2
        assert entry["sum_of_weights"] == pytest.approx(entry["n_generated"])
    assert (
        processes["qcd"]["cross_section_pb"]
        > 100 * processes["ttbar-hadronic"]["cross_section_pb"]
    )


def test_a_shard_depends_on_its_number_alone(sample):
    task = Jets(RECIPES["top-tagging"], None, seed=5, shard_size=SHARD)
    again = task(3).collections["jets"]
    assert ak.array_equal(
        again, sample.read("jets", shards=[3]), equal_nan=True, check_parameters=False
    )


def test_repeating_the_command_changes_nothing(sample):
    before = sample.manifest
    again = generate(
        sample.path, recipe="top-tagging", jets=JETS, shard_size=SHARD, seed=5, workers=1,
        quiet=True,
    )  # fmt: skip
    assert again.manifest == before


def test_other_settings_are_refused_for_the_same_folder(sample):
    with pytest.raises(ValueError, match="seed"):
        generate(
            sample.path, recipe="top-tagging", jets=JETS, shard_size=SHARD, seed=6, workers=1,
            quiet=True,
        )  # fmt: skip
    assert Dataset.open(sample.path).manifest == sample.manifest


def test_two_workers_make_the_same_bytes(sample, tmp_path):
    two = generate(
        tmp_path / "two", recipe="top-tagging", jets=SHARD, shard_size=SHARD, seed=5, workers=2,
        quiet=True,
    )  # fmt: skip
    for shard, other in zip(two.shards, sample.shards, strict=False):
        assert shard["checksums"] == other["checksums"]


def test_events_of_a_process(tmp_path):
    made = generate(
        tmp_path / "d", process="ttbar", events=25, shard_size=10, detector="cms", workers=1,
        generation=Generation(mpi=False), quiet=True,
    )  # fmt: skip
    assert made.counts == {"event": 25, "truth": 25, "particles": 25}
    assert len(set(ak.to_numpy(made.read("event").event))) == 25
    particles = made.read("particles")
    assert set(promised("particles")) <= set(particles.fields)


def test_ranges_may_be_open(tmp_path):
    ends = {"pt_hat": (500.0, math.inf)}
    made = generate(tmp_path, process="qcd", events=3, generation=Generation(**ends), quiet=True)
    assert made.counts["event"] == 3
    assert made.manifest["settings"]["generation"]["pt_hat"] == [500.0, "inf"]
    again = generate(tmp_path, process="qcd", events=3, generation=Generation(**ends), quiet=True)
    assert again.counts == made.counts


def test_pile_up_adds_particles():
    quiet = Events(Generation("ttbar", mpi=False), "cms", None, 3, 6, 6)
    minimum = Generation("ttbar", mpi=False, extra=("Diffraction:mMinPert = 1e5",))
    busy = Events(minimum, "cms", PileUp(mean=8, pool=30), 3, 6, 6)
    count = [ak.mean(ak.num(task(0).collections["particles"])) for task in (quiet, busy)]
    assert count[1] > 1.5 * count[0]


def test_without_a_detector_jets_are_of_stable_particles():
    recipe = Recipe(
        samples=(Sample("g", "gluons", ("g",)), Sample("q", "light-quarks", ("q",))),
        generation=Generation(energy=14000.0, pt_hat=(500.0, 600.0), mpi=False),
        detector=None,
    )
    jets = Jets(recipe, None, 1, 20)(0).collections["jets"]
    assert set(np.unique(ak.to_numpy(ak.flatten(jets.constituents.pdg_id)))) <= {
        11,
        13,
        22,
        130,
        211,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "top-taging"}, "unknown recipe 'top-taging'; choose from top-tagging"),
        ({"process": "tbar"}, "unknown process 'tbar'"),
        ({"process": "qcd", "detector": "alice"}, "unknown detector 'alice'"),
        ({}, "either --recipe"),
        ({"recipe": "top-tagging", "process": "qcd"}, "either --recipe"),
        ({"recipe": "top-tagging", "jets": 0}, "at least 1"),
        ({"process": "qcd", "extra": ("HardQCD:alll = on",)}, "HardQCD:alll"),
        ({"process": "missing.cmnd"}, "missing.cmnd"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_generated(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "d", quiet=True, **options)
    assert not (tmp_path / "d").exists()


def test_a_dry_run_tells_time_and_size_and_writes_nothing(tmp_path):
    small, large = (
        generate(
            tmp_path / "d", recipe="top-tagging", jets=jets, workers=1, dry_run=True, quiet=True
        )
        for jets in (2000, 20_000)
    )
    assert not (tmp_path / "d").exists()
    assert large.bytes / small.bytes == pytest.approx(10, rel=0.2)
    # 1.1 kB a jet of 50 constituents with 10 numbers each
    assert 0.5e3 < large.bytes / large.units < 4e3
    assert "min" in str(small)


def test_more_than_the_disk_holds_is_refused(tmp_path):
    with pytest.raises(ValueError, match="GB are free"):
        require_space(tmp_path / "d" / "e", Forecast(1.0, 10**18, 1, 1))
