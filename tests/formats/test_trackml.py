"""TrackML's files: tables with units, and one event joined by the numbers of its hits."""

import gzip
import shutil

import awkward as ak
import numpy as np
import pytest

from fivesigma.formats import open_file
from fivesigma.formats.layouts.trackml import read_event

HITS = "hit_id,x,y,z,volume_id,layer_id,module_id\n3,30,40,-100.5,8,2,1\n7,0,-72,10,8,4,2\n"
TRUTH = "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight\n7,0,0,-72,10,1,2,3,0\n"
TRUTH += "3,4503668346847232,30.1,40.1,-100,0.3,0.4,-1,1e-5\n"
CELLS = "hit_id,ch0,ch1,value\n7,1,2,0.5\n3,10,20,0.25\n7,3,4,0.75\n99,0,0,1\n"
PARTICLES = "particle_id,particle_type,vx,vy,vz,px,py,pz,q,nhits\n"
PARTICLES += "4503668346847232,-211,0.1,0.2,3,0.3,0.4,0,-1,2\n"


@pytest.fixture
def event(tmp_path):
    """Prefix of the files of one event."""
    parts = {"hits": HITS, "truth": TRUTH, "cells": CELLS, "particles": PARTICLES}
    for part, text in parts.items():
        (tmp_path / f"event1-{part}.csv").write_text(text)
    return tmp_path / "event1"


def test_the_files_of_an_event_are_joined_by_hit(event):
    made = read_event(str(event))
    assert len(made) == 1
    hits, particles = made.hits[0], made.particles[0]
    assert hits.hit_id.tolist() == [3, 7]
    assert hits.particle_id.tolist() == [4503668346847232, 0]
    assert hits.tx.tolist() == [30.1, 0]
    assert hits.cells.value.tolist() == [[0.25], [0.5, 0.75]]
    assert hits.cells.ch1.tolist() == [[20], [2, 4]]
    assert particles.pt.tolist() == pytest.approx([0.5])
    assert particles.mass.tolist() == pytest.approx([0.13957], abs=1e-5)
    assert particles.energy.tolist() == pytest.approx([np.hypot(0.5, 0.13957)], rel=1e-5)
    assert (particles.charge[0], particles.pdg_id[0], particles.nhits[0]) == (-1, -211, 2)


def test_only_the_hits_must_be_there(event):
    for part in ("truth", "cells", "particles"):
        event.with_name(f"event1-{part}.csv").unlink()
    made = read_event(str(event))
    assert made.fields == ["hits"]
    assert "cells" not in made.hits.fields
    path = event.with_name("event1-hits.csv")
    path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert read_event(str(event)).hits.to_list() == made.hits.to_list()
    with pytest.raises(
        FileNotFoundError, match=r"event2-hits\.csv.*-truth, -particles and -cells"
    ):
        read_event(str(event.with_name("event2")))


def test_files_that_do_not_belong_together_are_named(event):
    path = event.with_name("event1-truth.csv")
    path.write_text("\n".join(TRUTH.splitlines()[:2]) + "\n")
    with pytest.raises(ValueError, match="event1-truth: lacks some of the hits"):
        read_event(str(event))
    shutil.copy(event.with_name("event1-cells.csv"), path)
    with pytest.raises(ValueError, match=r"event1-truth\.csv.*expected TrackML's truth"):
        read_event(str(event))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is empty|no rows"):
        read_event(str(event))


def test_tables_are_told_by_their_columns(event):
    for part in ("hits", "truth", "cells", "particles"):
        renamed = shutil.copy(event.with_name(f"event1-{part}.csv"), event.with_name("a.root"))
        with open_file(renamed) as source:
            assert (source.format, source.kind) == (f"trackml-{part}", "hits")
            assert source.entries == len(source.read())


def test_particles_without_a_type_have_no_mass(tmp_path):
    path = tmp_path / "particles.csv"
    path.write_text("particle_id,vx,vy,vz,px,py,pz,q,nhits\n1,0,0,0,3,4,0,1,9\n")
    with open_file(path) as source:
        assert source.read(["pt"]).pt.tolist() == [5]
        assert "mass" not in source.fields


def test_unknown_particles_have_mass_zero(tmp_path):
    path = tmp_path / "particles.csv"
    path.write_text(PARTICLES.replace("-211", "123456789"))
    with open_file(path) as source:
        assert source.read(["mass"]).mass.tolist() == [0]


def test_the_published_event(real_data):
    folder = real_data / "trackml"
    made = read_event(str(folder / "event000000001"))
    hits, particles = made.hits[0], made.particles[0]
    assert (len(hits), len(particles)) == (5527, 548)
    assert ak.sum(ak.num(hits.cells)) == 18564
    # the truth is where the hit is, within the size of a strip
    assert np.median(np.hypot(hits.x - hits.tx, hits.y - hits.ty)) < 0.1
    # all others are noise
    known = np.isin(hits.particle_id, particles.particle_id)
    assert np.array_equal(known, hits.particle_id != 0)
    assert ak.all(abs(particles.charge) == 1)
    assert 0.1 < np.median(particles.pt) < 3
    assert ak.all(abs(particles.vz) < 3000)  # made within the detector
    with open_file(folder / "detectors.csv.gz") as source:
        modules = source.read(["cx", "cy", "volume_id"])
        assert (source.format, source.entries) == ("trackml-detectors", 18728)
        assert "column_0" not in source.fields
    assert 30 < np.hypot(modules.cx, modules.cy).to_numpy().min() < 1100
