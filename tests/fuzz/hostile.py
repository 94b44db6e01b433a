"""Files that are hostile on purpose: bombs, pickles, links, names that lead elsewhere."""

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import uproot

from fuzz import corpus
from fuzz.worker import SECRET

_GB, _MB = 1024**3, 1024**2


class Hostile(NamedTuple):
    """A file: its kind, and the function (path, outside) that makes it.

    The function may give changes of the request, see `worker`.
    """

    kind: str
    make: Callable[[Path, Path], dict[str, Any] | None]


HOSTILE: list[Hostile] = []


def hostile(kind):
    def add(make):
        HOSTILE.append(Hostile(kind, make))
        return make

    return add


def set_trap(outside):
    """Files that nobody may change, and with values that nobody may read."""
    outside.mkdir(parents=True)
    (outside / "victim.txt").write_text("nobody changes this\n")
    values = np.full(50, SECRET)
    values.tofile(outside / "secret.bin")
    np.save(outside / "secret.npy", values)
    (outside / "folder").mkdir()
    (outside / "folder" / "00000.parquet").write_bytes(b"nobody removes this")
    with h5py.File(outside / "secret.h5", "w") as file:
        file["values"] = values


class Trap:
    """Who unpickles this writes a file outside."""

    def __init__(self, outside):
        self.outside = outside

    def __reduce__(self):
        return os.system, (f"touch {self.outside}/pickled",)


# --- zip, npz, npy ----------------------------------------------------------------------------


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header_of(text):
    """An npy file's beginning, with any text as header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@hostile("npz")
def pickled_member(path, outside):
    np.savez(path, pt=np.ones(3), evil=np.array([Trap(outside)], object))


@hostile("npy")
def pickled_array(path, outside):
    path.write_bytes(npy(np.array([Trap(outside)], object)))


@hostile("npy")
def pickle_named_npy(path, outside):
    path.write_bytes(pickle.dumps([Trap(outside)], protocol=4))


@hostile("npy")
def pickle_of_protocol_0(path, outside):
    path.write_bytes(pickle.dumps([Trap(outside)], protocol=0))


@hostile("npy")
def header_with_code(path, outside):
    call = f"__import__('os').system('touch {outside}/header')"
    text = f"{{'descr': '<f8', 'fortran_order': {call}, 'shape': (1,)}}\n"
    path.write_bytes(header_of(text.encode()) + bytes(8))


@hostile("npy")
def header_of_many_brackets(path, outside):
    path.write_bytes(header_of(b"(" * 30000 + b"\n") + bytes(8))


@hostile("npy")
def huge_shape(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**62},)}}\n"
    path.write_bytes(header_of(text.encode()) + bytes(800))


@hostile("npy")
def shape_without_bytes(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**40}, 0)}}\n"
    path.write_bytes(header_of(text.encode()) + bytes(800))


@hostile("npy")
def negative_shape(path, outside):
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (-5, -5)}\n"
    path.write_bytes(header_of(text) + bytes(800))


@hostile("npy")
def long_text_elements(path, outside):
    text = b"{'descr': '<U100000000', 'fortran_order': False, 'shape': (3,)}\n"
    path.write_bytes(header_of(text) + bytes(800))


def zeros_in_zip(path, name, head, size):
    """A zip file with `head` and gigabytes of zeros, packed to a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(_MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    check = zlib.crc32(head)
    for _ in range(size // _MB):
        check = zlib.crc32(bytes(_MB), check)
    body += piece * (size // _MB) + packer.flush()
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, check, len(body),
                        len(head) + size, len(name), 0)  # fmt: skip
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 33, check, len(body),
                        len(head) + size, len(name), 0, 0, 0, 0, 0, 0)  # fmt: skip
    start = len(local) + len(name) + len(body)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry) + len(name), start, 0)
    path.write_bytes(local + name + body + entry + name + end)


@hostile("npz")
def gigabyte_of_zeros(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({_GB // 8},)}}\n"
    zeros_in_zip(path, b"pt.npy", header_of(text.encode()), _GB)


@hostile("npz")
def gigabyte_of_counts(path, outside):
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({_GB // 8},)}}\n"
    zeros_in_zip(path, b"counts.npy", header_of(text.encode()), _GB)


@hostile("npz")
def gigabyte_in_one_entry(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': (1, {_GB // 8})}}\n"
    zeros_in_zip(path, b"pt.npy", header_of(text.encode()), _GB)


@hostile("npz")
def gigabyte_of_edges(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': (2, {_GB // 16})}}\n"
    zeros_in_zip(path, b"edge_index.npy", header_of(text.encode()), _GB)


@hostile("npz")
def zip_in_a_zip(path, outside):
    inner = npy(np.zeros(1000))
    for _ in range(20):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", inner)
        inner = file.getvalue()
    path.write_bytes(inner)


@hostile("npz")
def names_that_lead_out(path, outside):
    with zipfile.ZipFile(path, "w") as archive:
        for name in (f"{outside}/evil.npy", "../../outside/evil.npy", "..\\evil.npy"):
            archive.writestr(name, npy(np.ones(3)))


@hostile("npz")
def members_that_overlap(path, outside):
    """A thousand entries that all are the same bytes, packed a thousand times."""
    single = path.with_suffix(".single")
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({8 * _MB},)}}\n"
    zeros_in_zip(single, b"0000.npy", header_of(text.encode()), 64 * _MB)
    data = single.read_bytes()
    start = data.rindex(b"PK\x01\x02")
    entry = data[start : start + 46]
    entries = b"".join(entry + f"{i:04d}.npy".encode() for i in range(1000))
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1000, 1000, len(entries), start, 0)
    path.write_bytes(data[:start] + entries + end)


@hostile("npz")
def many_members(path, outside):
    with zipfile.ZipFile(path, "w") as archive:
        data = npy(np.ones(3))
        for i in range(20_000):
            archive.writestr(f"m{i}.npy", data)


@hostile("npz")
def the_same_name_twice(path, outside):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(np.ones(3)))
        archive.writestr("a.npz", npy(np.ones(3)))
        archive.writestr("a.npy.npy", npy(np.ones(4)))


@hostile("npz")
def encrypted_member(path, outside):
    np.savez(path, pt=np.ones(3))
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1
    path.write_bytes(data)


@hostile("npz")
def packed_by_lzma(path, outside):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(np.zeros(1_000_000)))


# --- text -------------------------------------------------------------------------------------


def packed(path, head, piece, size):
    """Gzip data of `head`, and `piece` until it is of this size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = piece * (_MB // len(piece))
    with path.open("wb") as file:
        file.write(packer.compress(head))
        for _ in range(size // len(piece)):
            file.write(packer.compress(piece))
        file.write(packer.flush())


@hostile("csv")
def gzip_of_one_line(path, outside):
    packed(path, b"x,y\n1,2\n", b"0", 300 * _MB)


@hostile("csv")
def gzip_of_blank_lines(path, outside):
    packed(path, b"", b"\n", 300 * _MB)


@hostile("csv")
def gzip_of_comments(path, outside):
    packed(path, b"", b"# " + b"x" * 60 + b"\n", 300 * _MB)


@hostile("csv")
def gzip_of_short_rows(path, outside):
    packed(path, b"x,y\n", b"1,2\n", 80 * _MB)


@hostile("csv")
def gzip_of_commas(path, outside):
    packed(path, b"", b"," * 4095 + b"\n", 50 * _MB)


@hostile("csv")
def gzip_in_gzip(path, outside):
    data = b"x,y\n1,2\n"
    for _ in range(50):
        data = gzip.compress(data)
    path.write_bytes(data)


@hostile("csv")
def gzip_of_a_zip(path, outside):
    path.write_bytes(gzip.compress(b"PK\x03\x04" + bytes(1000)))


@hostile("csv")
def empty_gzip_members(path, outside):
    path.write_bytes(gzip.compress(b"", mtime=0) * 200_000)


@hostile("csv")
def million_columns(path, outside):
    path.write_bytes(b",".join([b"a"] * 1_000_000) + b"\n" + b",".join([b"1"] * 1_000_000))


@hostile("csv")
def columns_of_one_name(path, outside):
    path.write_bytes(b",".join([b"a"] * 49_000) + b"\n" + b",".join([b"1"] * 49_000))


@hostile("csv")
def quote_without_end(path, outside):
    path.write_bytes(b'x,y\n1,"' + b"a,b\n" * 2_000_000)


@hostile("csv")
def quotes_only(path, outside):
    path.write_bytes(b'"' * 5_000_000)


@hostile("csv")
def utf_16(path, outside):
    path.write_bytes("x,y\n1,2\n".encode("utf-16"))


@hostile("csv")
def hashes_and_blanks(path, outside):
    path.write_bytes(b"x y\n" + b" " * 15 * _MB + b"#\n1 2\n" + b"\t \t " * 3 * _MB + b"1 2\n")


@hostile("csv")
def formulas_and_escapes(path, outside):
    path.write_bytes(b"=cmd|' /C calc'!A0,\x1b[2J\x1b]0;title\x07,b\n1,2,x\n" * 5 + b"1\n")


@hostile("csv")
def large_row_behind_the_first_block(path, outside):
    path.write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000 + b"1," + b"2" * 15_000_000 + b"\n")


LHE_HEAD = corpus.LHE.split("<init>", maxsplit=1)[0]
LHE_INIT = corpus.LHE.split("{events}", maxsplit=1)[0]


@hostile("lhe")
def billion_laughs(path, outside):
    entities = ['<!ENTITY l0 "lol">'] + [
        f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12)
    ]
    head = f"<?xml version='1.0'?><!DOCTYPE lolz [{''.join(entities)}]>\n"
    path.write_text(head + corpus.LHE.format(events=corpus.LHE_EVENT).replace("muR=1", "&l11;"))


@hostile("lhe")
def external_entity(path, outside):
    head = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{outside}/victim.txt">]>\n'
    path.write_text(head + corpus.LHE.format(events=corpus.LHE_EVENT).replace("muR=1", "&e;"))


@hostile("lhe")
def entity_behind_the_header(path, outside):
    text = corpus.LHE.format(events='<!DOCTYPE x [<!ENTITY e "a">]>&e;' + corpus.LHE_EVENT)
    path.write_text(text)


@hostile("lhe")
def header_without_end(path, outside):
    packed(path, LHE_HEAD.encode(), b"x" * 100 + b"\n", 300 * _MB)


@hostile("lhe")
def event_without_end(path, outside):
    packed(path, LHE_INIT.encode() + b"<event>\n", b"13 1 1 2 0 0 1 1 1 1 1 1 1\n", 300 * _MB)


@hostile("lhe")
def claims_many_particles(path, outside):
    path.write_text(corpus.LHE.format(events=corpus.LHE_EVENT.replace("4 7", "999999999999 7")))


@hostile("lhe")
def init_of_many_numbers(path, outside):
    path.write_text(corpus.LHE.format(events="").replace("12.5", "12.5 " * 3_000_000))


@hostile("lhe")
def weights_of_regular_expressions(path, outside):
    line = "<weight " + "id=" * 50_000 + "\n"
    path.write_text(corpus.LHE.format(events=corpus.LHE_EVENT).replace("<initrwgt>", line * 5))


@hostile("lhe")
def many_empty_events(path, outside):
    packed(path, LHE_INIT.encode(), b"<event>\n0 7 1 1 1 1\n</event>\n", 30 * _MB)


@hostile("hepmc")
def lines_without_events(path, outside):
    packed(path, corpus.HEPMC3.split("{", maxsplit=1)[0].encode(), b"x" * 80 + b"\n", 300 * _MB)


@hostile("hepmc")
def vertices_without_end(path, outside):
    head = corpus.HEPMC3.split("{", maxsplit=1)[0] + "E 0 2 5\nU MEV CM\n"
    packed(path, head.encode(), b"V -1 0 [] @ 1 1 1 1\n", 300 * _MB)


@hostile("hepmc")
def claims_many_vertices(path, outside):
    text = corpus.HEPMC2_EVENT.format(number=1).replace("0 2 10001", "0 2000000000 10001")
    path.write_text(corpus.HEPMC2.format(events=text.replace("1 5 2", "1 5 2000000000")))


@hostile("hepmc")
def many_weights_names(path, outside):
    text = corpus.HEPMC3.format(events=corpus.HEPMC3_EVENT.format(number=1))
    path.write_text(text.replace("Default", "a\\|" * 1_000_000))


@hostile("hepmc")
def unclosed_quotes_in_names(path, outside):
    text = corpus.HEPMC2_EVENT.format(number=1).replace('"Default"', '"' + "\\" * 100_001)
    path.write_text(corpus.HEPMC2.format(events=text))


# --- YAML -------------------------------------------------------------------------------------


def yaml_case(text):
    def make(path, outside):
        path.write_text(text.replace("OUTSIDE", str(outside)))

    return make


def add_yaml(kind, name, text):
    make = yaml_case(text)
    make.__name__ = name
    HOSTILE.append(Hostile(kind, make))


_LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
for _kind in ("mapping", "weaver"):
    add_yaml(_kind, "yaml_laughs", _LAUGHS + corpus.MAPPING)
    add_yaml(_kind, "yaml_python", "a: !!python/object/apply:os.system ['touch OUTSIDE/x']\n")
    add_yaml(_kind, "yaml_deep", "[" * 100_000)
    add_yaml(_kind, "yaml_deep_blocks", "".join(" " * i + "a:\n" for i in range(1000)))
    add_yaml(_kind, "yaml_merge", "<<: {kind: jets}\nfields: {pt: pt}\n")
    add_yaml(_kind, "yaml_number", "kind: table\nunit: 0b" + "1" * 900_000)
    add_yaml(
        _kind, "yaml_digits", "kind: table\nlabel: is_top\nclasses: {a: " + "9" * 900_000 + "}"
    )
    add_yaml(_kind, "yaml_base_60", "kind: table\nlabel: " + ":".join(["59"] * 200_000))
    add_yaml(_kind, "yaml_date", "kind: 2020-99-99\n")
    add_yaml(_kind, "yaml_key_is_a_list", "? [a, b]\n: c\n? {a: b}\n: d\n")
    add_yaml(_kind, "yaml_documents", "---\na: 1\n" * 1000)
    add_yaml(_kind, "yaml_null", "fields:\nlabel:\nclasses:\n")
for _name, _old, _new in (
    ("expression", "pt > 100", "__import__('os').system('touch OUTSIDE/x')"),
    ("made_variable", "ones_like(c_pt)", "c_pt.__class__.__mro__[1].__subclasses__()"),
    ("length_of_a_billion", "length: 8", "length: 1000000000000"),
    ("negative_length", "length: 8", "length: -5"),
    ("text_as_scale", "1.7, 0.7", "[], {}"),
    ("no_names", "[c_eta, c_phi]", "[[], [[]]]"),
    ("label_of_code", "[is_top, is_qcd]", "{a: 'exit()', b: is_qcd}"),
):
    add_yaml("weaver", f"weaver_{_name}", corpus.WEAVER.replace(_old, _new))


# --- HDF5 -------------------------------------------------------------------------------------


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


@hostile("hdf5")
def packed_zeros(path, outside):
    with h5py.File(path, "w") as file:
        packing = {"compression": "gzip", "compression_opts": 9}
        data = file.create_dataset("pt", (_GB // 8,), "f8", chunks=(_MB,), **packing)
        data[: 16 * _MB] = 0
        for at in range(16 * _MB, _GB // 8, 16 * _MB):
            for chunk in range(at, at + 16 * _MB, _MB):
                _, raw = data.id.read_direct_chunk((0,))
                data.id.write_direct_chunk((chunk,), raw)


@hostile("hdf5")
def large_chunk(path, outside):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (2**27 - 1,), "f8", chunks=(2**27 - 1,), compression="gzip",
                            fillvalue=0)[:5] = 1  # fmt: skip


@hostile("hdf5")
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


@hostile("hdf5")
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


# --- Parquet and Feather ----------------------------------------------------------------------


@hostile("parquet")
def billion_rows_of_one_value(path, outside):
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(_MB, np.int8)), pa.array([1.5]))
    table = pa.table({"pt": values})
    with pa.parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(300):
            writer.write_table(table)


@hostile("parquet")
def long_text_many_times(path, outside):
    values = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 200_000])
    )
    pa.parquet.write_table(pa.table({"pt": np.ones(100_000), "name": values}), path)


@hostile("parquet")
def packed_gigabyte(path, outside):
    table = pa.table({"pt": np.zeros(_GB // 16)})
    pa.parquet.write_table(table, path, compression="zstd", use_dictionary=False,
                           data_page_size=2**30, row_group_size=2**30)  # fmt: skip


@hostile("parquet")
def one_list_of_millions(path, outside):
    lists = pa.ListArray.from_arrays([0, 60_000_000], pa.array(np.zeros(60_000_000, np.float32)))
    pa.parquet.write_table(pa.table({"c": lists}), path, compression="zstd")


def nested_type(depth):
    kind = pa.float32()
    for i in range(depth):
        kind = pa.list_(kind) if i % 2 else pa.struct([("a", kind)])
    return kind


@hostile("parquet")
def deep_parquet(path, outside):
    pa.parquet.write_table(pa.table({"c": pa.nulls(3, nested_type(60))}), path)


@hostile("parquet")
def very_deep_schema(path, outside):
    pa.parquet.write_table(pa.table({"c": pa.nulls(3, nested_type(400))}), path)


@hostile("parquet")
def wide_schema(path, outside):
    pa.parquet.write_table(pa.table({f"c{i}": [1.0, 2.0] for i in range(10_000)}), path)


@hostile("parquet")
def footer_of_any_size(path, outside):
    path.write_bytes(b"PAR1" + bytes(1000) + struct.pack("<I", 2**31 - 1) + b"PAR1")


@hostile("parquet")
def many_row_groups(path, outside):
    table = pa.table({"pt": np.zeros(20_000)})
    pa.parquet.write_table(table, path, row_group_size=1)


@hostile("parquet")
def pickled_metadata(path, outside):
    evil = pickle.dumps(Trap(outside), protocol=0)
    notes = {"pandas": evil, "ARROW:extension:name": "arrow.py_extension_type", "fivesigma": "1"}
    field = pa.field("pt", pa.float64(), metadata={
        "ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": evil,
    })  # fmt: skip
    schema = pa.schema([field], metadata=notes)
    pa.parquet.write_table(pa.table([pa.array([1.0])], schema=schema), path)


@hostile("feather")
def pickled_feather(path, outside):
    evil = pickle.dumps(Trap(outside), protocol=0)
    field = pa.field("pt", pa.float64(), metadata={
        "ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": evil,
    })  # fmt: skip
    pa.feather.write_feather(pa.table([pa.array([1.0])], schema=pa.schema([field])), path)


@hostile("feather")
def packed_feather(path, outside):
    table = pa.table({"pt": np.zeros(_GB // 16)})
    pa.feather.write_feather(table, path, compression="zstd", chunksize=2**30)


@hostile("feather")
def deep_feather(path, outside):
    table = pa.table({"c": pa.nulls(3, nested_type(60))})
    pa.feather.write_feather(table, path, compression="uncompressed")


@hostile("feather")
def many_batches(path, outside):
    table = pa.table({"pt": np.zeros(20_000)})
    pa.feather.write_feather(table, path, compression="uncompressed", chunksize=1)


@hostile("feather")
def feather_1(path, outside):
    pa.feather.write_feather(pa.table({"pt": [1.0]}), path, version=1)


# --- ROOT -------------------------------------------------------------------------------------


def code(outside):
    """An expression that writes a file, though no name may be used in it."""
    inner = f"open('{outside}/code', 'w')"
    return (
        "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'catch_warnings'][0]"
        f"()._module.__builtins__['eval']({inner!r})"
    )


@hostile("root")
def branch_names_of_code(path, outside):
    names = (f"open('{outside}/code','w')", "().__class__", "a/b", "/(a+)+$/", "*", "x[0]", "a;1")
    with uproot.recreate(path) as file:
        file.mktree("tree", dict.fromkeys(names, "f8"))
        file["tree"].extend({name: np.ones(5) for name in names})


@hostile("rntuple")
def field_names_of_code(path, outside):
    names = (f"open('{outside}/code','w')", "().__class__", "/(a+)+$/", "*", "a" * 40, "a" * 39)
    with uproot.recreate(path) as file:
        file.mkrntuple("n", {name: np.ones(5) for name in names})


@hostile("root")
def slow_regular_expressions(path, outside):
    names = ("/(a+)+$/", "/(a|a)*b/i", "a" * 40 + "!", "a" * 41 + "!", "a" * 42)
    with uproot.recreate(path) as file:
        file.mktree("tree", dict.fromkeys(names, "f8"))
        file["tree"].extend({name: np.ones(5) for name in names})


@hostile("rntuple")
def slow_regular_expressions_of_fields(path, outside):
    names = ("/(a+)+$/", "/(a|a)*b/i", "a" * 40 + "!", "a" * 41 + "!", "a" * 42)
    with uproot.recreate(path) as file:
        file.mkrntuple("n", {name: np.ones(5) for name in names})


@hostile("root")
def many_trees(path, outside):
    with uproot.recreate(path) as file:
        for i in range(100):
            file.mktree(f"t{i}", {"a": "f8"})


@hostile("root")
def many_branches(path, outside):
    with uproot.recreate(path) as file:
        file.mktree("tree", {f"b{i}": "f8" for i in range(2000)})
        file["tree"].extend({f"b{i}": np.ones(2) for i in range(2000)})


@hostile("root")
def packed_zeros_in_a_tree(path, outside):
    with uproot.recreate(path, compression=uproot.LZMA(9)) as file:
        file.mktree("tree", {"a": ("f8", (1_000_000,))})
        for _ in range(3):
            file["tree"].extend({"a": np.zeros((8, 1_000_000))})


# --- what is no file, and datasets ------------------------------------------------------------


@hostile("csv")
def named_pipe(path, outside):
    os.mkfifo(path)


@hostile("csv")
def device(path, outside):
    path.symlink_to("/dev/zero")


@hostile("csv")
def link_to_itself(path, outside):
    path.symlink_to(path)


def whole_dataset(path):
    corpus.make_dataset(path.parent / "made")
    shutil.move(path.parent / "made" / "jets", path)


def changed_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@hostile("dataset")
def counts_that_lie(path, outside):
    whole_dataset(path)

    def change(content):
        content["counts"]["jets"] = 10**15
        for shard in content["shards"]:
            shard["counts"]["jets"] = 10**14

    changed_json(path / "manifest.json", change)


@hostile("dataset")
def collection_outside(path, outside):
    whole_dataset(path)

    def change(content):
        for shard in content["shards"]:
            for key in ("counts", "bytes", "checksums"):
                shard[key]["../../outside/folder"] = shard[key]["jets"]

    changed_json(path / "manifest.json", change)
    return {"secret": False}


@hostile("dataset")
def deep_manifest(path, outside):
    whole_dataset(path)
    (path / "manifest.json").write_text("[" * 1_000_000)


@hostile("dataset")
def manifest_of_wrong_types(path, outside):
    whole_dataset(path)
    changed_json(path / "manifest.json", lambda content: content.update(shards={"a": 1}, counts=3))


@hostile("dataset")
def manifest_with_a_huge_number(path, outside):
    whole_dataset(path)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"schema": 1', '"schema": ' + "1" * 100_000))


@hostile("dataset")
def shard_that_is_a_bomb(path, outside):
    whole_dataset(path)
    billion_rows_of_one_value(path / "jets" / "00000.parquet", outside)
    size = (path / "jets" / "00000.parquet").stat().st_size

    def change(content):
        content["shards"][0]["bytes"]["jets"] = size

    changed_json(path / "manifest.json", change)


# --- outputs that lead elsewhere --------------------------------------------------------------


def output_case(kind, format, suffix):
    def make(path, outside):
        target = path.with_suffix(suffix)
        target.symlink_to(outside / "victim.txt")
        allowed = str(path.parent)
        return {"do": "write", "path": str(target), "format": format, "allowed": allowed}

    make.__name__ = f"write_{format}_to_a_link"
    HOSTILE.append(Hostile(kind, make))


for _format, _suffix in (
    *(("root", ".root"), ("rntuple", ".root"), ("hdf5", ".h5"), ("hdf5-padded", ".h5")),
    *(("npz", ".npz"), ("parquet", ".parquet")),
):
    output_case("npz", _format, _suffix)


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
    HOSTILE.append(Hostile("npz", make))


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
