"""HDF5: links to elsewhere, pickles, bombs, circles."""

import pickle

import h5py
import numpy as np

from fuzz.hostile.registry import Trap, hostile

_GB, _MB = 1024**3, 1024**2


@hostile("hdf5")
def external_link(path, outside):
    with h5py.File(path, "w") as file:
        file["good"] = np.ones(50)
        file["evil"] = h5py.ExternalLink(str(outside / "secret.h5"), "/values")
        file["passwords"] = h5py.ExternalLink("/etc/hostname", "/")


@hostile("hdf5")
def virtual_dataset(path, outside):
    layout = h5py.VirtualLayout((50,), "f8")
    layout[:] = h5py.VirtualSource(str(outside / "secret.h5"), "values", shape=(50,))
    with h5py.File(path, "w", libver="latest") as file:
        file["good"] = np.ones(50)
        file.create_virtual_dataset("evil", layout)


@hostile("hdf5")
def values_in_another_file(path, outside):
    with h5py.File(path, "w") as file:
        file["good"] = np.ones(50)
        where = [(str(outside / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("evil", (50,), "f8", external=where)


@hostile("hdf5")
def frame_of_links(path, outside):
    with h5py.File(path, "w") as file:
        group = file.create_group("table")
        group.attrs["pandas_type"] = "frame"
        group["block0_items"] = np.array([b"pt"])
        group["block0_values"] = h5py.ExternalLink(str(outside / "secret.h5"), "/values")
        file["good"] = np.ones(50)


@hostile("hdf5")
def soft_links_in_circles(path, outside):
    with h5py.File(path, "w") as file:
        file["good"] = np.ones(50)
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")


@hostile("hdf5")
def groups_within_themselves(path, outside):
    with h5py.File(path, "w") as file:
        group = file.create_group("g")
        group["pt"] = np.ones(50)
        for i in range(20):
            group[f"again{i}"] = group
            group[f"root{i}"] = file


@hostile("hdf5")
def deep_groups(path, outside):
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(3000):
            group = group.create_group("g")
        group["pt"] = np.ones(50)


@hostile("hdf5")
def huge_and_empty(path, outside):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (2**50,), "f8", chunks=(1000,))


@hostile("hdf5")
def huge_and_not_allocated(path, outside):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (2**40, 3), "f8")


@hostile("hdf5")
def just_below_what_is_refused(path, outside):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (12_000_000,), "f8", chunks=(1000,))
        file.create_dataset("x", (12_000_000,), "f8", chunks=(1000,))


@hostile("hdf5", slow=True)
def packed_zeros(path, outside):
    with h5py.File(path, "w") as file:
        packing = {"compression": "gzip", "compression_opts": 9}
        data = file.create_dataset("pt", (_GB // 8,), "f8", chunks=(_MB,), **packing)
        data[: 16 * _MB] = 0
        for at in range(16 * _MB, _GB // 8, 16 * _MB):
            for chunk in range(at, at + 16 * _MB, _MB):
                _, raw = data.id.read_direct_chunk((0,))
                data.id.write_direct_chunk((chunk,), raw)


@hostile("hdf5", slow=True)
def large_chunk(path, outside):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (2**27 - 1,), "f8", chunks=(2**27 - 1,), compression="gzip",
                            fillvalue=0)[:5] = 1  # fmt: skip


@hostile("hdf5", slow=True)
def many_datasets(path, outside):
    with h5py.File(path, "w") as file:
        for i in range(5000):
            file[f"d{i}"] = np.ones(3)


@hostile("hdf5")
def many_lengths_in_a_frame(path, outside):
    with h5py.File(path, "w") as file:
        for i in range(500):
            file[f"d{i}"] = np.ones(i)


@hostile("hdf5")
def pickled_attributes(path, outside):
    with h5py.File(path, "w") as file:
        group = file.create_group("table")
        group.attrs["pandas_type"] = np.bytes_("frame_table")
        rows = np.ones(50, [("index", "i8"), ("values_block_0", "f8", (2,))])
        group["table"] = rows
        evil = np.bytes_(pickle.dumps(["pt", Trap(outside)], protocol=0))
        group["table"].attrs["values_block_0_kind"] = evil


@hostile("hdf5")
def pickled_objects(path, outside):
    with h5py.File(path, "w") as file:
        group = file.create_group("table")
        group.attrs["pandas_type"] = np.bytes_("frame")
        data = group.create_dataset("block0_values", (1,), h5py.vlen_dtype(np.uint8))
        data[0] = np.frombuffer(pickle.dumps([Trap(outside)]), np.uint8)
        file["good"] = np.ones(5)


@hostile("hdf5")
def records_of_many_members(path, outside):
    with h5py.File(path, "w", libver="latest") as file:
        file["jets"] = np.ones(3, [(f"m{i}", "i1") for i in range(1500)])


@hostile("hdf5", slow=True)
def long_texts(path, outside):
    with h5py.File(path, "w") as file:
        file["pt"] = np.ones(100)
        file["names"] = ["x" * 1_000_000] * 100
        file.create_dataset("wide", (100,), "S50000000", chunks=(1,), compression="gzip")


@hostile("hdf5")
def references(path, outside):
    with h5py.File(path, "w") as file:
        file["pt"] = np.ones(3)
        file.create_dataset("ref", (3,), h5py.ref_dtype)[:] = [file["pt"].ref] * 3
        file.create_dataset("region", (3,), h5py.regionref_dtype)
        file["enum"] = np.array([0, 1, 0], h5py.enum_dtype({"a": 0, "b": 1}, basetype="i1"))
        file["opaque"] = np.zeros(3, "V8")
        file["complex"] = np.zeros(3, complex)
        file["none"] = h5py.Empty("f4")


@hostile("hdf5")
def behind_a_user_block(path, outside):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["pt"] = np.ones(50)
    data = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\ntouch x\n" + data[18:])
