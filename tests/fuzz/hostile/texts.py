"""Text: bombs in gzip, XML, claims of numbers."""

import gzip
import zlib

from fuzz import samples
from fuzz.hostile.registry import hostile

_GB, _MB = 1024**3, 1024**2


def packed(path, head, piece, size):
    """Gzip data of `head`, and `piece` until it is of this size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = piece * (_MB // len(piece))
    with path.open("wb") as file:
        file.write(packer.compress(head))
        for _ in range(size // len(piece)):
            file.write(packer.compress(piece))
        file.write(packer.flush())


@hostile("csv", slow=True)
def gzip_of_one_line(path, outside):
    packed(path, b"x,y\n1,2\n", b"0", 300 * _MB)


@hostile("csv", slow=True)
def gzip_of_blank_lines(path, outside):
    packed(path, b"", b"\n", 300 * _MB)


@hostile("csv", slow=True)
def gzip_of_comments(path, outside):
    packed(path, b"", b"# " + b"x" * 60 + b"\n", 300 * _MB)


@hostile("csv", slow=True)
def gzip_of_short_rows(path, outside):
    packed(path, b"x,y\n", b"1,2\n", 80 * _MB)


@hostile("csv", slow=True)
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


@hostile("csv", slow=True)
def empty_gzip_members(path, outside):
    path.write_bytes(gzip.compress(b"", mtime=0) * 200_000)


@hostile("csv", slow=True)
def million_columns(path, outside):
    path.write_bytes(b",".join([b"a"] * 1_000_000) + b"\n" + b",".join([b"1"] * 1_000_000))


@hostile("csv", slow=True)
def columns_of_one_name(path, outside):
    path.write_bytes(b",".join([b"a"] * 49_000) + b"\n" + b",".join([b"1"] * 49_000))


@hostile("csv", slow=True)
def quote_without_end(path, outside):
    path.write_bytes(b'x,y\n1,"' + b"a,b\n" * 2_000_000)


@hostile("csv")
def quotes_only(path, outside):
    path.write_bytes(b'"' * 5_000_000)


@hostile("csv")
def utf_16(path, outside):
    path.write_bytes("x,y\n1,2\n".encode("utf-16"))


@hostile("csv", slow=True)
def hashes_and_blanks(path, outside):
    path.write_bytes(b"x y\n" + b" " * 15 * _MB + b"#\n1 2\n" + b"\t \t " * 3 * _MB + b"1 2\n")


@hostile("csv")
def formulas_and_escapes(path, outside):
    path.write_bytes(b"=cmd|' /C calc'!A0,\x1b[2J\x1b]0;title\x07,b\n1,2,x\n" * 5 + b"1\n")


@hostile("csv", slow=True)
def large_row_behind_the_first_block(path, outside):
    path.write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000 + b"1," + b"2" * 15_000_000 + b"\n")


LHE_HEAD = samples.LHE.split("<init>", maxsplit=1)[0]
LHE_INIT = samples.LHE.split("{events}", maxsplit=1)[0]


@hostile("lhe")
def billion_laughs(path, outside):
    entities = ['<!ENTITY l0 "lol">'] + [
        f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12)
    ]
    head = f"<?xml version='1.0'?><!DOCTYPE lolz [{''.join(entities)}]>\n"
    path.write_text(head + samples.LHE.format(events=samples.LHE_EVENT).replace("muR=1", "&l11;"))


@hostile("lhe")
def external_entity(path, outside):
    head = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{outside}/victim.txt">]>\n'
    path.write_text(head + samples.LHE.format(events=samples.LHE_EVENT).replace("muR=1", "&e;"))


@hostile("lhe")
def entity_behind_the_header(path, outside):
    text = samples.LHE.format(events='<!DOCTYPE x [<!ENTITY e "a">]>&e;' + samples.LHE_EVENT)
    path.write_text(text)


@hostile("lhe", slow=True)
def header_without_end(path, outside):
    packed(path, LHE_HEAD.encode(), b"x" * 100 + b"\n", 300 * _MB)


@hostile("lhe", slow=True)
def event_without_end(path, outside):
    packed(path, LHE_INIT.encode() + b"<event>\n", b"13 1 1 2 0 0 1 1 1 1 1 1 1\n", 300 * _MB)


@hostile("lhe")
def claims_many_particles(path, outside):
    path.write_text(samples.LHE.format(events=samples.LHE_EVENT.replace("4 7", "999999999999 7")))


@hostile("lhe", slow=True)
def init_of_many_numbers(path, outside):
    path.write_text(samples.LHE.format(events="").replace("12.5", "12.5 " * 3_000_000))


@hostile("lhe", slow=True)
def weights_of_regular_expressions(path, outside):
    line = "<weight " + "id=" * 50_000 + "\n"
    path.write_text(samples.LHE.format(events=samples.LHE_EVENT).replace("<initrwgt>", line * 5))


@hostile("lhe")
def tags_without_end(path, outside):
    """What takes a time that is quadratic, if patterns look for their ends from each of them."""
    text = samples.LHE.format(events=samples.LHE_EVENT)
    tags = ("<weight ", "<weight id='a' ", "<init ", "<wgt id='a'>", "<weights>", "<wgt id='")
    more = "\n".join("\n".join([each * 2000] * 10) for each in tags)
    path.write_text(text.replace("<initrwgt>", f"<initrwgt>\n{more}\n"))


@hostile("lhe", slow=True)
def many_empty_events(path, outside):
    packed(path, LHE_INIT.encode(), b"<event>\n0 7 1 1 1 1\n</event>\n", _MB)


@hostile("hepmc", slow=True)
def lines_without_events(path, outside):
    packed(path, samples.HEPMC3.split("{", maxsplit=1)[0].encode(), b"x" * 80 + b"\n", 300 * _MB)


@hostile("hepmc", slow=True)
def vertices_without_end(path, outside):
    head = samples.HEPMC3.split("{", maxsplit=1)[0] + "E 0 2 5\nU MEV CM\n"
    packed(path, head.encode(), b"V -1 0 [] @ 1 1 1 1\n", 300 * _MB)


@hostile("hepmc")
def claims_many_vertices(path, outside):
    text = samples.HEPMC2_EVENT.format(number=1).replace("0 2 10001", "0 2000000000 10001")
    path.write_text(samples.HEPMC2.format(events=text.replace("1 5 2", "1 5 2000000000")))


@hostile("hepmc", slow=True)
def many_weights_names(path, outside):
    text = samples.HEPMC3.format(events=samples.HEPMC3_EVENT.format(number=1))
    path.write_text(text.replace("Default", "a\\|" * 1_000_000))


@hostile("hepmc")
def unclosed_quotes_in_names(path, outside):
    text = samples.HEPMC2_EVENT.format(number=1).replace('"Default"', '"' + "\\" * 100_001)
    path.write_text(samples.HEPMC2.format(events=text))
