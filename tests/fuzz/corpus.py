"""Small whole files of every format, to be damaged."""

import gzip
import os
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import uproot

from fivesigma.datasets import Shard, produce
from fivesigma.formats.writers import write
from fuzz import samples

#: what is fuzzed -> suffix of its files
KINDS = {
    "root": ".root",
    "rntuple": ".root",
    "histograms": ".root",
    "hdf5": ".h5",
    "npz": ".npz",
    "npy": ".npy",
    "parquet": ".parquet",
    "feather": ".feather",
    "csv": ".csv",
    "lhe": ".lhe",
    "hepmc": ".hepmc",
    "mapping": ".yaml",
    "weaver": ".yaml",
    "dataset": "",
}
_MOST_BYTES = 4e6  # of real files
_N = 200


def jets(n=_N):
    """Jets of JetClass' names: numbers and lists, flat."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(5, n)
    lists = {
        f"c_{name}": ak.unflatten(rng.normal(0, 1, counts.sum()).astype(np.float32), counts)
        for name in ("pt", "eta", "phi")
    }
    top = rng.random(n) < 0.5
    plain = {name: rng.uniform(1, 3, n) for name in ("pt", "eta", "phi", "mass")}
    return plain | {"is_top": top.astype(np.int32), "is_qcd": (~top).astype(np.int32)} | lists


def events(n=_N):
    """Events of collections, as fivesigma has them."""
    rng = np.random.default_rng(2)
    counts = rng.poisson(3, n)
    names = ("pt", "eta", "phi", "mass")
    muons = ak.zip({name: rng.exponential(20, counts.sum()) for name in names})
    event = ak.zip({"event": np.arange(n, dtype=np.uint64), "weight": rng.normal(1, 0.1, n)})
    return ak.zip({"muons": ak.unflatten(muons, counts), "event": event}, depth_limit=1)


def own_jets(n=_N):
    """Jets with constituents, as fivesigma has them."""
    given = jets(n)
    parts = ak.zip({k: given[f"c_{k}"] for k in ("pt", "eta", "phi")} | {"mass": given["c_pt"]})
    return ak.zip(
        {k: given[k] for k in ("pt", "eta", "phi", "mass")}
        | {"label": given["is_top"].astype(np.int16), "constituents": parts},
        depth_limit=1,
    )


def make_root(folder):
    for name, packed in (("packed", uproot.ZLIB(4)), ("plain", None), ("lz4", uproot.LZ4(1))):
        with uproot.recreate(folder / f"{name}.root", compression=packed) as file:
            file.mktree("tree", {k: ak.type(ak.Array(v)).content for k, v in jets().items()})
            file["tree"].extend(jets())
    write(events(), folder / "own.root", kind="events")
    write(own_jets(), folder / "jets.root", kind="jets", compression="none")


def make_rntuple(folder):
    write(events(), folder / "own.root", kind="events", format="rntuple")
    write(own_jets(), folder / "plain.root", kind="jets", format="rntuple", compression="none")


def make_histograms(folder):
    rng = np.random.default_rng(3)
    for name, packed in (("packed", uproot.ZLIB(4)), ("plain", None)):
        with uproot.recreate(folder / f"{name}.root", compression=packed) as file:
            file["demo/mass"] = np.histogram(rng.normal(size=100), 37)
            file["flat"] = np.histogram2d(*rng.normal(size=(2, 100)), 5)


def make_hdf5(folder):
    rng = np.random.default_rng(4)
    for name, version in (("old", "earliest"), ("new", "latest")):
        with h5py.File(folder / f"{name}.h5", "w", libver=version) as file:
            file["incident_energies"] = rng.uniform(1e3, 1e5, (_N, 1))
            packed = {"compression": "gzip", "shuffle": True, "fletcher32": name == "new"}
            file.create_dataset("showers", data=rng.exponential(1, (_N, 90)), **packed)
            file.create_dataset("text", data=["electron"] * _N)
            lists = file.create_dataset("g/lists", (_N,), h5py.vlen_dtype(np.float32))
            lists[:] = [np.ones(i % 4, np.float32) for i in range(_N)]
            file["g"].attrs["names"] = ["pt", "eta"]
    with h5py.File(folder / "records.h5", "w") as file:
        jet = np.zeros(_N, [("pt", "f4"), ("eta", "f4"), ("HadronConeExclTruthLabelID", "i4")])
        jet["pt"] = rng.exponential(5e4, _N)
        track = np.zeros((_N, 8), [("d0", "f2"), ("pt", "f4"), ("valid", "?")])
        track["valid"] = rng.random((_N, 8)) < 0.5
        file.create_dataset("jets", data=jet, chunks=(50,), compression="lzf")
        file.create_dataset("tracks", data=track)
    write(events(), folder / "own.h5", kind="events")
    write(own_jets(), folder / "padded.h5", kind="jets", format="hdf5-padded")


def make_npz(folder):
    given = jets()
    flat = np.stack([ak.to_numpy(ak.flatten(given[f"c_{k}"])) for k in ("pt", "eta", "phi", "pt")])
    counts, label = ak.to_numpy(ak.num(given["c_pt"])), given["is_top"]
    np.savez(folder / "plain.npz", pxpypzE=flat.T, counts=counts, label=label)
    np.savez_compressed(folder / "packed.npz", pxpypzE=flat.T, counts=counts, label=label)
    rng = np.random.default_rng(5)
    np.savez_compressed(folder / "quarks.npz", X=rng.uniform(0, 1, (_N, 9, 4)), y=label)
    edges = rng.integers(0, 50, (2, 120))
    np.savez(folder / "graph.npz", edge_index=edges, hits_r_phi_z=rng.random((50, 3)))
    write(own_jets(), folder / "own.npz", kind="jets")


def make_npy(folder):
    rng = np.random.default_rng(6)
    np.save(folder / "table.npy", rng.normal(size=(_N, 6)))
    np.save(folder / "columns.npy", np.asfortranarray(rng.normal(size=(_N, 3, 2)), ">f4"))
    np.save(folder / "records.npy", np.ones(_N, [("pt", "f4"), ("at", "i2", (3,)), ("s", "U4")]))


def arrow_table():
    """The jets as Arrow has them."""
    return pa.table({k: ak.to_arrow(ak.Array(v), extensionarray=False) for k, v in jets().items()})


def make_parquet(folder):
    table = pa.table(
        {k: ak.to_arrow(ak.Array(v), extensionarray=False) for k, v in jets().items()}
    )
    table = table.append_column("name", pa.array(["e", "mu"] * (_N // 2)))
    for packed in ("snappy", "zstd", "none"):
        pa.parquet.write_table(
            table, folder / f"{packed}.parquet", compression=packed, row_group_size=70
        )
    pa.parquet.write_table(
        *(table, folder / "pages.parquet"),
        **{"data_page_version": "2.0", "write_page_checksum": True, "data_page_size": 300},
    )
    write(events(), folder / "own.parquet", kind="events")
    write(own_jets(), folder / "jets.parquet", kind="jets")


def make_feather(folder):
    table = pa.table(
        {k: ak.to_arrow(ak.Array(v), extensionarray=False) for k, v in jets().items()}
    )
    table = table.append_column("name", pa.array(["e", "mu"] * (_N // 2)).dictionary_encode())
    for packed in ("lz4", "uncompressed"):
        pa.feather.write_feather(
            table, folder / f"{packed}.feather", compression=packed, chunksize=70
        )


def make_csv(folder):
    rows = np.random.default_rng(7).normal(size=(_N, 5))
    lines = [",".join(f"{each:.6g}" for each in row) for row in rows]
    hits = [f"{i + 1},{x}" for i, x in enumerate(lines)]
    text = {
        "hits.csv": "\n".join(["hit_id,x,y,z,volume_id,layer_id", *hits]),
        "bare.csv": "\n".join(lines),
        "blanks.csv": "\n".join(["# a b c d e", *lines]).replace(",", "  "),
        "words.csv": "\r\n".join(["name;pt;ok", *(f'"a ""b";{i};true' for i in range(_N))]),
    }
    for name, each in text.items():
        (folder / name).write_text(each + "\n")
    packed = gzip.compress((folder / "hits.csv").read_bytes(), mtime=0)
    (folder / "packed.csv").write_bytes(packed)


def make_lhe(folder):
    text = samples.LHE.format(events=samples.LHE_EVENT * 30).encode()
    (folder / "plain.lhe").write_bytes(text)
    (folder / "packed.lhe").write_bytes(gzip.compress(text, mtime=0))


def make_hepmc(folder):
    for name, frame, event in (
        ("3", samples.HEPMC3, samples.HEPMC3_EVENT),
        ("2", samples.HEPMC2, samples.HEPMC2_EVENT),
    ):
        text = frame.format(events="".join(event.format(number=i) for i in range(20))).encode()
        (folder / f"plain{name}.hepmc").write_bytes(text)
        (folder / f"packed{name}.hepmc").write_bytes(gzip.compress(text, mtime=0))


def make_mapping(folder):
    (folder / "jets.yaml").write_text(samples.MAPPING)
    (folder / "rows.yaml").write_text(
        "kind: table\nlabel: is_top\nclasses: {a: 0, b: 1}\nweights: [pt, eta]\nnotes: [x]\n"
    )


def make_weaver(folder):
    (folder / "weaver.yaml").write_text(samples.WEAVER)


def make_shard(index):
    return Shard({"jets": own_jets(50)}, {"seed": index})


def make_dataset(folder):
    produce(folder / "jets", make_shard, 3, kind="jets", settings={"a": 1}, classes=["q", "t"])


def make(folder, kind, real=None):
    """Whole files of a kind.

    Args:
        folder: where they are made.
        kind: one of `KINDS`.
        real: folder of real data, which are taken too.
    """
    into = folder / kind
    into.mkdir(parents=True)
    globals()[f"make_{kind}"](into)
    found = sorted(into.iterdir())
    return found + (real_files(real, kind) if real else [])


def real_files(real, kind):
    patterns = {
        "root": ("root_files/*.root", "cms_dimuon/*.root", "bumphunter/*.root"),
        "histograms": ("cms_higgs4l/histograms/*.root",),
        "npz": ("jets/*.npz", "trackml/graphs_1GeV/*.npz"),
        "npy": ("lhco_rnd/*.npy",),
        "csv": ("cms_z/*.csv", "trackml/*.csv.gz", "cms_higgs4l/events/*.csv", "uci_higgs/*"),
    }
    found = [each for pattern in patterns.get(kind, ()) for each in sorted(real.glob(pattern))]
    return [each for each in found if each.stat().st_size < _MOST_BYTES]


def data_for_mapping(folder):
    """The file that mappings are of."""
    path = folder / "data.parquet"
    table = pa.table(
        {k: ak.to_arrow(ak.Array(v), extensionarray=False) for k, v in jets().items()}
    )
    pa.parquet.write_table(table, path)
    return path


def real_folder():
    """The folder of real data, None where it is absent."""
    given = os.environ.get("FIVESIGMA_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")
    return Path(given) if Path(given).is_dir() else None
