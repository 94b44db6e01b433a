"""NumPy files: pickles, bombs, headers that lie."""

import io
import pickle
import struct
import zipfile
import zlib

import numpy as np

from fuzz.hostile.registry import Trap, hostile

_GB, _MB = 1024**3, 1024**2


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


@hostile("npz", slow=True)
def gigabyte_of_zeros(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({_GB // 8},)}}\n"
    zeros_in_zip(path, b"pt.npy", header_of(text.encode()), _GB)


@hostile("npz", slow=True)
def gigabyte_of_counts(path, outside):
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({_GB // 4 // 8},)}}\n"
    zeros_in_zip(path, b"counts.npy", header_of(text.encode()), _GB // 4)


@hostile("npz", slow=True)
def gigabyte_in_one_entry(path, outside):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': (1, {_GB // 8})}}\n"
    zeros_in_zip(path, b"pt.npy", header_of(text.encode()), _GB)


@hostile("npz", slow=True)
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


@hostile("npz", slow=True)
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


@hostile("npz", slow=True)
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
