"""How whole files are damaged: functions of their bytes, of a random generator and of others."""

import gzip
import struct

import numpy as np

_HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 0)
_TEXTS = (
    *(
        b"1e999",
        b"-1e999",
        b"nan",
        b"inf",
        b"-inf",
        b"99999999999999999999999",
        b"0x7f",
        b"1e-999",
    ),
    *(b"\0", b"\xff\xfe", b'"', b"'", b"\n", b"\r", b",,,,", b"\\", b"{", b"[", b"&lol;", b"-"),
    *(b"2147483648", b"-1", b"4294967297", b"1_000", b"!!python/object:os.system", b"<event>"),
    *(b"*a", b"&a", b"<<: ", b"\xe2\x80\xa8", b"\x1b[2J", b"9" * 400, b"None", b": : :", b"# "),
)


def block(data, rng):
    """A random part of the bytes, of any scale."""
    size = min(int(2 ** rng.uniform(0, 13)), len(data))
    start = int(rng.integers(0, len(data) - size + 1))
    return start, start + size


def somewhere(data, rng, size=1):
    """A place; the beginning and the end, where headers are, more often than the rest."""
    edge = min(512, len(data))
    part = rng.integers(0, 3)
    last = max(len(data) - size, 0)
    low, high = ((0, edge), (len(data) - edge, len(data)), (0, len(data)))[part]
    return min(int(rng.integers(low, max(high, low + 1))), last)


def truncated(data, rng, others):
    return data[: int(rng.integers(0, len(data)))]


def cut_at_the_end(data, rng, others):
    return data[: -int(rng.integers(1, min(200, len(data))))]


def bits_flipped(data, rng, others):
    made = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 6))):
        made[somewhere(made, rng)] ^= 1 << int(rng.integers(0, 8))
    return bytes(made)


def one_bit_flipped(data, rng, others):
    made = bytearray(data)
    made[somewhere(made, rng)] ^= 1 << int(rng.integers(0, 8))
    return bytes(made)


def bytes_changed(data, rng, others):
    made = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 4))):
        made[somewhere(made, rng)] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(0, 256)]))
    return bytes(made)


def huge_number(data, rng, others):
    size, sign = rng.choice([2, 4, 8]), rng.choice(["<", ">"])
    value = int(_HUGE[rng.integers(len(_HUGE))]) & (2 ** (8 * int(size)) - 1)
    number = struct.pack(f"{sign}{ {2: 'H', 4: 'I', 8: 'Q'}[int(size)] }", value)
    at = somewhere(data, rng, len(number))
    return data[:at] + number + data[at + len(number) :]


def header_swapped(data, rng, others):
    other = others[rng.integers(len(others))]
    size = int(2 ** rng.uniform(2, 10))
    return other[:size] + data[size:]


def spliced(data, rng, others):
    other = others[rng.integers(len(others))]
    start, stop = block(other, rng)
    at, end = block(data, rng)
    return data[:at] + other[start:stop] + data[end:]


def block_doubled(data, rng, others):
    start, stop = block(data, rng)
    return data[:stop] + data[start:]


def block_removed(data, rng, others):
    start, stop = block(data, rng)
    return data[:start] + data[stop:]


def block_moved(data, rng, others):
    start, stop = block(data, rng)
    at = int(rng.integers(0, len(data)))
    made = data[:at] + data[start:stop] + data[at + stop - start :]
    return made[: len(data)]


def block_of_zeros(data, rng, others):
    start, stop = block(data, rng)
    return data[:start] + b"\0" * (stop - start) + data[stop:]


def block_of_ones(data, rng, others):
    start, stop = block(data, rng)
    return data[:start] + b"\xff" * (stop - start) + data[stop:]


def block_of_noise(data, rng, others):
    start, stop = block(data, rng)
    return data[:start] + rng.bytes(stop - start) + data[stop:]


def longer(data, rng, others):
    return data + rng.bytes(int(rng.integers(1, 5000)))


def empty(data, rng, others):
    return b""


def word_replaced(data, rng, others):
    """A word of a text by one that is none, or a number that is too large."""
    made = data
    for _ in range(int(rng.integers(1, 4))):
        words = [at for at, byte in enumerate(made) if byte in b" ,;\t\n'\"[]:="] or [0]
        begin = words[rng.integers(len(words))] + 1
        end = next((at for at in words if at >= begin), len(made))
        made = made[:begin] + _TEXTS[rng.integers(len(_TEXTS))] + made[end:]
    return made


def word_removed(data, rng, others):
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    words = lines[at].split(b"," if b"," in lines[at] else b" ")
    words.pop(int(rng.integers(len(words))))
    lines[at] = (b"," if b"," in lines[at] else b" ").join(words)
    return b"\n".join(lines)


def line_removed(data, rng, others):
    lines = data.split(b"\n")
    lines.pop(int(rng.integers(len(lines))))
    return b"\n".join(lines)


def lines_exchanged(data, rng, others):
    lines = data.split(b"\n")
    one, two = rng.integers(len(lines), size=2)
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def line_repeated(data, rng, others):
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    return b"\n".join(lines[:at] + [lines[at]] * int(rng.integers(2, 2000)) + lines[at:])


def line_lengthened(data, rng, others):
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    lines[at] = lines[at] + lines[at][-20:] * int(rng.integers(1, 50_000))
    return b"\n".join(lines)


BYTES = (
    *(truncated, cut_at_the_end, bits_flipped, one_bit_flipped, bytes_changed, huge_number),
    *(huge_number, one_bit_flipped, header_swapped, spliced, block_doubled, block_removed),
    *(block_moved, block_of_zeros, block_of_ones, block_of_noise, longer, bytes_changed),
)
TEXT = (
    *(word_replaced, word_replaced, word_replaced, word_removed, line_removed),
    *(lines_exchanged, line_repeated, line_lengthened),
)
_OF_TEXT = ("csv", "lhe", "hepmc", "mapping", "weaver")


def damaged(data, kind, rng, others):
    """The bytes damaged once or twice, and how.

    What is packed by gzip is damaged inside, half of the time.
    """
    if rng.random() < 0.01:
        return b"", "empty"
    if data.startswith(b"\x1f\x8b") and rng.random() < 0.5:
        made, how = damaged(gzip.decompress(data), kind, rng, others)
        return gzip.compress(made, 1, mtime=0), f"inside of gzip: {how}"
    choices = BYTES + TEXT * 3 if kind in _OF_TEXT else BYTES
    how = []
    for _ in range(int(rng.choice([1, 1, 2]))):
        if len(data) > 1:
            each = choices[rng.integers(len(choices))]
            data = each(data, rng, others)
            how.append(each.__name__)
    return data, " and ".join(how)


def generator(number):
    """The random numbers of a case."""
    return np.random.default_rng([2025, number])
