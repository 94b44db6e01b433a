"""Whole files whose columns have names of known formats, but other types and shapes."""

from contextlib import suppress

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import uproot

#: names that layouts look for; some of each group go into one file
_GROUPS = (
    ("pt", "eta", "phi", "mass", "label", "constituents"),
    ("X", "y", "px", "py", "pz", "E"),
    ("pxpypzE", "counts", "label"),
    ("features", "vectors", "mask", "labels", "pf_features", "pf_vectors", "pf_mask"),
    ("hits_r_phi_z", "edge_index", "edge_label", "particle_id"),
    ("hit_id", "x", "y", "z", "volume_id", "layer_id", "module_id"),
    ("hit_id", "particle_id", "tx", "ty", "tz", "tpx", "tpy", "tpz", "weight"),
    ("particle_id", "vx", "vy", "vz", "px", "py", "pz", "q", "nhits"),
    ("volume_id", "layer_id", "module_id", "cx", "cy", "cz", "hv", "rot_xu", "rot_xv"),
    ("incident_energies", "showers"),
    ("particle_features", "jet_features"),
    ("jetConstituentList", "particleFeatureNames", "jets", "jetFeatureNames"),
    ("fjet_pt", "fjet_eta", "fjet_clus_pt", "fjet_clus_eta", "fjet_clus_phi", "labels"),
    ("jets", "tracks", "constituents"),
    ("E_0", "PX_0", "PY_0", "PZ_0", "E_1", "PX_1", "is_signal_new", "ttv"),
    ("nMuon", "Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "event", "run", "MET_pt"),
    ("nJet", "Jet_pt", "Jet_eta", "Jet_phi", "nJetPFCands", "JetPFCands_jetIdx"),
    ("JetPFCands_pFCandsIdx", "PFCands_pt", "nPFCands", "Jet_pt", "nJet", "event"),
    ("part_px", "part_py", "part_pz", "part_energy", "jet_pt", "label_QCD", "label_Tbqq"),
    ("Jet.PT", "Jet.Eta", "Jet.Phi", "Jet.Mass", "Event.Number", "Particle.PID", "Jet_size"),
    ("AnalysisJetsAuxDyn.pt", "AnalysisJetsAuxDyn.eta", "AnalysisJetsAuxDyn.phi", "EventInfo"),
    ("Muon_Px", "Muon_Py", "Muon_Pz", "Muon_E", "NMuon", "pt1", "pt2", "eta1", "eta2", "M"),
    ("mJJ", "mJ1", "dmJ", "tau21_J1", "tau21_J2", "label", "px1", "py1", "pz1", "mj1"),
    ("jets.pt", "jets.eta", "tracks.pt", "tracks.valid", "jets.flavour_label", "jets.counts"),
)
_DTYPES = ("f2", ">f4", "f8", "i1", ">i4", "i8", "u8", "?", "c16", "S3", "U2", "M8[s]", "V4")
_SHAPES = ((), (), (), (2,), (4,), (3, 4), (0,), (1, 1, 1))


def column(rng, n, dtypes=_DTYPES, shapes=_SHAPES):
    """(n, ...) values of any type: NaN, infinite and huge ones too."""
    dtype = np.dtype(dtypes[rng.integers(len(dtypes))])
    shape = (n, *shapes[rng.integers(len(shapes))])
    if dtype.kind == "f":
        values = rng.choice([0.0, 1.0, np.nan, np.inf, -np.inf, 6e4, -1.5], shape)
        return values.astype(dtype)
    if dtype.kind in "iub":
        return rng.integers(-3, 200, shape).astype(np.int64).astype(dtype)
    return np.zeros(shape, dtype)


def lists(rng, n):
    """n lists of numbers."""
    counts = rng.integers(0, 4, n)
    inner = column(rng, int(counts.sum()), ("f4", "f8", "i4", "?"), ((),))
    return ak.unflatten(inner, counts)


def names(rng):
    chosen = [_GROUPS[i] for i in rng.choice(len(_GROUPS), int(rng.integers(1, 3)), replace=False)]
    return [name for group in chosen for name in group if rng.random() < 0.85] or ["pt"]


def length(rng):
    return int(rng.choice([0, 1, 2, 17, 60]))


def chimera_npz(path, rng):
    n = length(rng)
    made = {name: column(rng, n if rng.random() < 0.8 else length(rng)) for name in names(rng)}
    if rng.random() < 0.3:
        made["objects"] = np.array([{"a": 1}], object)
    np.savez(path, **made)


def chimera_npy(path, rng):
    if rng.random() < 0.5:
        kind = rng.choice(_DTYPES, 3)
        np.save(path, np.zeros(length(rng), [(n, k) for n, k in zip("abc", kind, strict=True)]))
    else:
        np.save(path, column(rng, length(rng)))


def chimera_hdf5(path, rng):
    n = length(rng)
    with h5py.File(path, "w") as file:
        for name in names(rng):
            values = column(rng, n if rng.random() < 0.8 else length(rng))
            if values.dtype.kind in "UM":
                values = np.full(values.shape, 1.5)
            if rng.random() < 0.2:
                values = np.ones((n, 5)[: int(rng.integers(1, 3))], [("pt", "f4"), ("valid", "?")])
            full = name.replace(".", "/") if rng.random() < 0.5 else name
            with suppress(OSError, ValueError):  # a group and a dataset of one name
                file[full] = values
            if rng.random() < 0.1:
                file.attrs["fivesigma"] = note(rng)


def note(rng):
    """A note of ours that does not fit."""
    return str(
        rng.choice(
            [
                '{"fivesigma": 1, "kind": "events", "fields": {"a.b": "pt"}, "lists": ["a"], '
                '"classes": [1, {}]}',
                '{"fivesigma": 1, "kind": "nonsense", "fields": {"pt": "pt", "": "eta"}, '
                '"lists": [""], "classes": []}',
                '{"fivesigma": 1, "kind": "jets", "fields": {"pt": "pt"}, "lists": ["pt"], '
                '"classes": [], "slots": {"pt": 10000000000}, "shapes": {"pt": [-1, 0]}}',
                '{"fivesigma": 1, "kind": "jets", "fields": {"pt": ["pt"]}, "lists": [[]], '
                '"classes": [], "nested": [], "valid": 3}',
                '{"fivesigma": 1, "kind": "table", "fields": {"pt": "pt"}, "lists": [], '
                '"classes": [], "shapes": {"pt": ["x"]}}',
                '{"fivesigma": 1, "kind": "table", "fields": {"pt": "pt", "pt.x": "eta"}, '
                '"lists": [], "classes": []}',
                "[" * 5000,
                "[1, 2]",
            ]
        )
    )


def chimera_root(path, rng):
    n = length(rng)
    columns = {}
    for name in names(rng):
        if rng.random() < 0.4:
            columns[name] = lists(rng, n)
        else:
            shape = ((), (), (2,), (3, 4))
            columns[name] = column(rng, n, ("f4", "f8", "i1", "i4", "i8", "u8", "?"), shape)
    columns = {k: v for k, v in columns.items() if len(v) == n}
    with uproot.recreate(path) as file:
        if rng.random() < 0.2:
            file["tree_fivesigma"] = note(rng)
        if columns:
            file.mktree("tree", {k: ak.type(ak.Array(v)).content for k, v in columns.items()})
            if n:
                file["tree"].extend(columns)


def arrow_table(rng):
    n = length(rng)
    columns = {}
    for name in names(rng):
        kind = rng.integers(0, 5)
        if kind == 0:
            columns[name] = ak.to_arrow(lists(rng, n), extensionarray=False)
        elif kind == 1:
            columns[name] = pa.array([{"pt": 1.0, "eta": None}] * n)
        elif kind == 2:
            columns[name] = pa.array([None if i % 3 else "text" for i in range(n)])
        elif kind == 3:
            columns[name] = pa.array([[[1.0], []], None, [None]] * n)[:n]
        else:
            columns[name] = pa.array(column(rng, n, ("f4", "f8", "i1", "i8", "u8", "?"), ((),)))
    columns = {name: each for name, each in columns.items() if len(each) == n}
    table = pa.table(columns or {"pt": [1.0]})
    return table.replace_schema_metadata({"fivesigma": note(rng)}) if rng.random() < 0.2 else table


def chimera_parquet(path, rng):
    pa.parquet.write_table(arrow_table(rng), path)


def chimera_feather(path, rng):
    pa.feather.write_feather(arrow_table(rng), path, compression="uncompressed")


def chimera_csv(path, rng):
    has = names(rng)
    cells = ("1", "-2.5", "nan", "", "text", "1e999", "true", "2020-01-01", "9" * 30, '"a"')
    mark = str(rng.choice([",", ";", "\t", " "]))
    rows = [mark.join(rng.choice(cells[: rng.integers(1, 10)], len(has))) for _ in range(30)]
    path.write_text("\n".join([mark.join(has), *rows]))


CHIMERAS = {
    "npz": chimera_npz,
    "npy": chimera_npy,
    "hdf5": chimera_hdf5,
    "root": chimera_root,
    "parquet": chimera_parquet,
    "feather": chimera_feather,
    "csv": chimera_csv,
}
