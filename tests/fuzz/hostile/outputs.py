"""Outputs that lead elsewhere."""

import shutil

import numpy as np

from fuzz.hostile.folders import whole_dataset
from fuzz.hostile.registry import HOSTILE, Hostile

_GB, _MB = 1024**3, 1024**2


def output_case(format, suffix):
    def make(path, outside):
        target = path.with_suffix(suffix)
        target.symlink_to(outside / "victim.txt")
        allowed = str(path.parent)
        return {"do": "write", "path": str(target), "format": format, "allowed": allowed}

    make.__name__ = f"write_{format}_to_a_link"
    HOSTILE.append(Hostile("outputs", make))


for _format, _suffix in (
    *(("root", ".root"), ("rntuple", ".root"), ("hdf5", ".h5"), ("hdf5-padded", ".h5")),
    *(("npz", ".npz"), ("parquet", ".parquet")),
):
    output_case(_format, _suffix)


def convert_case(name, prepare, **more):
    def make(path, outside):
        given = path.with_suffix(".npz")
        np.savez(given, pt=np.ones(5), eta=np.ones(5))
        out = path.parent / "out"
        prepare(out, outside)
        allowed = str(path.parent)
        return {"do": "convert", "path": str(given), "out": str(out), "allowed": allowed} | {
            "overwrite": False, **more,
        }  # fmt: skip

    make.__name__ = f"convert_{name}"
    HOSTILE.append(Hostile("outputs", make))


def linked(name, target):
    def prepare(out, outside):
        link = out / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(outside / target)

    return prepare


def linked_in_a_dataset(name, target):
    def prepare(out, outside):
        whole_dataset(out)
        link = out / name
        if link.is_dir():
            shutil.rmtree(link)
        else:
            link.unlink(missing_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(outside / target)

    return prepare


for _name, _target in (
    *(("table", "folder"), ("shards", "folder"), ("table/00000.parquet", "victim.txt")),
    *(("shards/00000.json", "victim.txt"), ("settings.json", "victim.txt")),
    *(("manifest.json", "victim.txt"), (".lock", "victim.txt")),
):
    _plain = _name.strip(".").replace("/", "_").replace(".", "_")
    convert_case(f"into_a_linked_{_plain}", linked(_name, _target))
    convert_case(f"over_a_linked_{_plain}", linked(_name, _target), overwrite=True)
    convert_case(
        f"over_a_dataset_of_linked_{_plain}", linked_in_a_dataset(_name, _target), overwrite=True
    )
convert_case(
    "over_a_dataset_of_linked_jets", linked_in_a_dataset("jets", "folder"), overwrite=True
)
convert_case("to_a_linked_file", linked("npz.npz", "victim.txt"), format="npz", overwrite=True)
