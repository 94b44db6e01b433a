"""YAML: bombs, Python, deep nesting, long numbers."""

from fuzz import samples
from fuzz.hostile.registry import HOSTILE, Hostile

_GB, _MB = 1024**3, 1024**2


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
    add_yaml(_kind, "yaml_laughs", _LAUGHS + samples.MAPPING)
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
    add_yaml("weaver", f"weaver_{_name}", samples.WEAVER.replace(_old, _new))
