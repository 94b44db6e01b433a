"""ROOT: names and aliases of code, slow patterns."""

from unittest import mock

import numpy as np
import uproot
from uproot.writing import _cascadetree as cascade
from uproot.writing.identify import to_TList

from fuzz.hostile.registry import hostile

_GB, _MB = 1024**3, 1024**2


def named(name, title):
    """A TNamed, of what uproot writes in objects only."""
    made = uproot.models.TNamed.Model_TNamed.empty()
    made._bases.append(uproot.models.TObject.Model_TObject.empty())
    made._members["fName"], made._members["fTitle"] = name, title
    made._deeply_writable = True
    return made


def tree_with_aliases(path, aliases):
    """A tree with branches of the names of its aliases; uproot evaluates aliases as code."""
    plain = cascade.Tree._build_out
    packed = uproot.serialization.serialize_object_any(
        to_TList([named(*a) for a in aliases.items()])
    )

    def version(parts):
        return uproot.serialization.numbytes_version(sum(map(len, parts)), 20)

    def with_aliases(tree):
        out = plain(tree)
        at = next(i for i in range(len(out)) if out[i] == version(out[i + 1 :]))
        out[-1] = packed + bytes(24)
        out[at] = version(out[at + 1 :])
        return out

    with (
        mock.patch.object(cascade.Tree, "_build_out", with_aliases),
        uproot.recreate(path) as file,
    ):
        file.mktree("tree", dict.fromkeys([*aliases, "pt"], "f8"))
        file["tree"].extend({name: np.ones(5) for name in [*aliases, "pt"]})


@hostile("root")
def aliases_of_code(path, outside):
    """Branches that uproot does not find by their names, and so looks for among the aliases."""
    opener = "(erf if 1 else 1).__globals__['__builtins__']['open']"
    code = f"{opener}('{outside}/code', 'w')"
    tree_with_aliases(path, {"/x": code, "/a/b/": code, "y": code})


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


@hostile("root", slow=True)
def many_branches(path, outside):
    with uproot.recreate(path) as file:
        file.mktree("tree", {f"b{i}": "f8" for i in range(400)})
        file["tree"].extend({f"b{i}": np.ones(2) for i in range(400)})


@hostile("root", slow=True)
def packed_zeros_in_a_tree(path, outside):
    with uproot.recreate(path, compression=uproot.ZLIB(9)) as file:
        file.mktree("tree", {"a": ("f8", (1_000_000,))})
        for _ in range(1):
            file["tree"].extend({"a": np.zeros((8, 1_000_000))})
