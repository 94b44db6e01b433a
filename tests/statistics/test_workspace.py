"""Workspaces are read from wherever they are; what is wrong with them is said in one line."""

import copy
import io
import json
import tarfile

import numpy as np
import pyhf
import pytest
from helpers import workspaces

from fivesigma import statistics


@pytest.fixture
def good():
    return workspaces.counting(uncertainty=0.1)


def faulty(workspace, change):
    made = copy.deepcopy(workspace)
    change(made)
    return made


def sample(workspace, index=1):
    return workspace["channels"][0]["samples"][index]


def add(modifier):
    return lambda w: sample(w)["modifiers"].append(modifier)


SHAPE = {"name": "jes", "type": "histosys"}
FAULTS = {
    "missing variation": (
        add({**SHAPE, "data": {"hi_data": [55.0]}}),
        r"region SR, sample background, histosys jes: no down variation",
    ),
    "missing factor": (
        add({"name": "norm", "type": "normsys", "data": {"lo": 0.9}}),
        r"normsys norm: no up variation \(hi\)",
    ),
    "negative template": (
        lambda w: sample(w).update(data=[-3.0]),
        r"region SR, sample background: bin 0 is negative \(-3\); merge bins",
    ),
    "not finite": (
        lambda w: sample(w).update(data=[float("nan")]),
        r"region SR, sample background: bin 0 is nan; fill the histogram from finite weights",
    ),
    "infinite variation": (
        add({**SHAPE, "data": {"hi_data": [float("inf")], "lo_data": [1.0]}}),
        r"histosys jes, up variation: bin 0 is inf",
    ),
    "empty bin with data": (
        lambda w: [sample(w, i).update(data=[0.0], modifiers=[]) for i in range(2)],
        r"bin 0 of region SR has no background and no signal, but 60 observed events",
    ),
    "lengths that differ": (
        lambda w: sample(w).update(data=[50.0, 3.0]),
        r"region SR, sample background: 2 bins, but the region has 1",
    ),
    "variation of another length": (
        add({**SHAPE, "data": {"hi_data": [1.0, 2.0], "lo_data": [1.0]}}),
        r"histosys jes, up variation: 2 bins, but the region has 1",
    ),
    "region without data": (
        lambda w: w["observations"].pop(),
        r"the workspace has no observations|region SR has no data",
    ),
    "data without a region": (
        lambda w: w["observations"].append({"name": "SRR", "data": [1.0]}),
        r"there are data for 'SRR', but no region 'SRR'; did you mean 'SR'",
    ),
    "unknown modifier": (
        add({"name": "x", "type": "normsyst", "data": {}}),
        r"no type 'normsyst'; did you mean 'normsys'",
    ),
    "factor of 0": (
        add({"name": "x", "type": "normsys", "data": {"hi": 1.1, "lo": 0.0}}),
        r"normsys x: the down factor is 0.0; it must be above 0",
    ),
    "twice": (
        lambda w: sample(w)["modifiers"].append(sample(w)["modifiers"][0]),
        r"shapesys gamma: is there twice",
    ),
    "no modifiers": (lambda w: sample(w).pop("modifiers"), r"background: no list of modifiers"),
    "no name": (add({"type": "normfactor", "data": None}), "of type normfactor has no name"),
    "no samples": (lambda w: w["channels"][0].update(samples=[]), "region SR has no samples"),
    "no channels": (lambda w: w.update(channels=[]), "the workspace has no channels"),
    "no poi": (lambda w: w["measurements"][0]["config"].pop("poi"), "names no parameter of int"),
    "text for numbers": (lambda w: sample(w).update(data=["many"]), "expected numbers"),
    "lumi without settings": (
        add({"name": "lumi", "type": "lumi", "data": None}),
        "parameter 'lumi' needs 1 inits, the measurement gives 0",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_with_their_place(good, fault):
    change, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message) as error:
        statistics.build(faulty(good, change))
    assert "\n" not in str(error.value)


def test_unknown_names_are_answered_with_the_nearest(good):
    with pytest.raises(ValueError, match="no parameter of interest 'Mu'; did you mean 'mu'"):
        statistics.build(good, poi="Mu")
    with pytest.raises(ValueError, match="no measurement 'fitt'; did you mean 'fit'"):
        statistics.build(good, measurement="fitt")
    with pytest.raises(ValueError, match="code '3' is not one of 1, 4"):
        statistics.build(good, normsys_code="3")


def test_what_is_written_is_read_by_pyhf(good, tmp_path):
    for number, workspace in enumerate((good, workspaces.random_workspace(1))):
        path = tmp_path / f"{number}.json"
        statistics.write_workspace(path, workspace)
        theirs = pyhf.Workspace(json.loads(path.read_text()))
        assert theirs.model().config.poi_name == "mu"
        again = statistics.load(path)
        np.testing.assert_array_equal(again.data, statistics.build(workspace).data)


def test_nothing_faulty_is_written(good, tmp_path):
    with pytest.raises(ValueError, match="negative"):
        statistics.write_workspace(
            tmp_path / "w.json", faulty(good, lambda w: sample(w).update(data=[-1.0]))
        )
    assert not list(tmp_path.iterdir())


PATCH = [{"op": "replace", "path": "/channels/0/samples/0/data", "value": [33.0]}]


@pytest.fixture
def folder(good, tmp_path):
    """A workspace, a patch, a patch set; and the same in an archive."""
    (tmp_path / "workspace.json").write_text(json.dumps(good))
    (tmp_path / "patch.json").write_text(json.dumps(PATCH))
    patches = [{"metadata": {"name": "strong", "values": [1]}, "patch": PATCH}]
    (tmp_path / "patchset.json").write_text(json.dumps({"patches": patches}))
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as tar:
        for name in ("workspace.json", "patch.json", "patchset.json"):
            tar.add(tmp_path / name, f"region/{name}")
    return tmp_path


@pytest.mark.parametrize("place", ["", "all.tar.gz/region"])
@pytest.mark.parametrize("patch", ["patch.json", "patchset.json:strong"])
def test_patches(folder, place, patch):
    path = folder / place / "workspace.json"
    plain, moved = statistics.load(path), statistics.load(path, patch=patch)
    assert plain.by_sample(plain.parameters.init)[0].tolist() == [50.0, 10.0]
    assert moved.by_sample(moved.parameters.init)[0].tolist() == [50.0, 33.0]


def test_patches_that_are_not_there(folder):
    path = folder / "workspace.json"
    with pytest.raises(ValueError, match="no patch 'strng'; did you mean 'strong'"):
        statistics.load(path, patch="patchset.json:strng")
    with pytest.raises(ValueError, match="no file 'workspce.json'; did you mean 'workspace.json'"):
        statistics.load(folder / "workspce.json")
    with pytest.raises(ValueError, match="no file 'region/w.json'"):
        statistics.load(folder / "all.tar.gz" / "region" / "w.json")
    (folder / "wrong.json").write_text('[{"op": "remove", "path": "/channels/7"}]')
    with pytest.raises(ValueError, match="the patch does not fit this workspace"):
        statistics.load(path, patch="wrong.json")
    (folder / "text.json").write_text("no json")
    with pytest.raises(ValueError, match="is no JSON"):
        statistics.load(folder / "text.json")


@pytest.mark.parametrize("place", ["", "all.tar.gz/region"])
def test_patches_by_their_names(folder, place):
    path = folder / place / "workspace.json"
    found = statistics.read_patches(path, ["patch.*", "patchset.json:str*"])
    assert found == {"patch": PATCH, "strong": PATCH}
    with pytest.raises(ValueError, match=r"no patch 'ptch\.json'; did you mean 'patch\.json'"):
        statistics.read_patches(path, ["ptch.json"])
    with pytest.raises(ValueError, match=r"no patch 'w\*'; there is strong"):
        statistics.read_patches(path, ["patchset.json:w*"])
    with pytest.raises(ValueError, match="workspace.json is no JSON patch, a list"):
        statistics.read_patches(path, ["work*"])


def test_patches_in_the_order_of_their_numbers(folder):
    for name in ("patch.m_1000.json", "patch.m_900.json"):
        (folder / name).write_text(json.dumps(PATCH))
    found = statistics.read_patches(folder / "workspace.json", ["patch.m_*.json"])
    assert list(found) == ["m_900", "m_1000"]


def test_a_patch_may_remove_a_region():
    """Its data go with it, as in published likelihoods."""
    workspace = next(
        made for made in map(workspaces.random_workspace, range(100)) if len(made["channels"]) == 3
    )
    name = workspace["channels"][1]["name"]
    made = statistics.patched(workspace, [{"op": "remove", "path": "/channels/1"}])
    assert name not in [each["name"] for each in made["observations"]]
    assert name in [each["name"] for each in workspace["observations"]]


def test_members_cannot_leave_their_archive(folder, good):
    path = folder / "hostile.tar"
    text = json.dumps(good).encode()
    with tarfile.open(path, "w") as tar:
        for name in ("../outside.json", "/absolute.json"):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        link = tarfile.TarInfo("link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "../workspace.json"
        tar.addfile(link)
    for name in ("../outside.json", "link.json"):
        with pytest.raises(ValueError, match=r"no plain file|no file"):
            statistics.load(f"{path}/{name}")
    assert not (folder.parent / "outside.json").exists()


def test_shared_names_of_different_kinds(good):
    made = faulty(good, add(workspaces.normfactor("gamma")))
    with pytest.raises(ValueError, match="modifier 'gamma' of type shapesys asks for other"):
        statistics.build(made)


def test_settings_of_the_measurement(good):
    config = good["measurements"][0]["config"]
    config["parameters"] = [
        {"name": "mu", "inits": [0.5], "bounds": [[-1.0, 3.0]]},
        {"name": "gamma", "fixed": True},
    ]
    p = statistics.build(good).parameters
    assert (p.init[0], p.lower[0], p.upper[0]) == (0.5, -1.0, 3.0)
    assert p.fixed.tolist() == [False, True]
    config["parameters"][0]["bounds"] = [[3.0, 1.0]]
    with pytest.raises(ValueError, match="'mu' has the bounds 3.0 and 1.0"):
        statistics.build(good)


def test_a_patch_is_no_workspace(tmp_path):
    path = tmp_path / "patch.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="a list is perhaps a patch"):
        statistics.load(path)
