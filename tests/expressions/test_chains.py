"""Long sums and cuts: the parser nests `a + b + c`, which is no nesting to its reader."""

import time

import awkward as ak
import numpy as np
import pytest

from fivesigma.expressions import parse

TERMS = 500


@pytest.fixture(scope="module")
def events():
    pt = ak.Array([[30.0, 20.0], [], [50.0]])
    return ak.Array(
        {
            "x": [1.0, -1.0, 2.0],
            "n": [1, 2, 3],
            "flag": [True, False, True],
            "jets": ak.zip({"pt": pt}),
        }
    )


CHAINS = {
    "sum": (" + ".join(["x"] * TERMS), [TERMS, -TERMS, 2 * TERMS]),
    "from the left": (" - ".join(["n"] * TERMS), [2 - TERMS, 4 - 2 * TERMS, 6 - 3 * TERMS]),
    "products": (" + ".join(["2 * x"] * 200), [400, -400, 800]),
    "brackets": ("n * (" + " + ".join(["1"] * TERMS) + ")", [TERMS, 2 * TERMS, 3 * TERMS]),
    "what is absent": (" + ".join(["jets.pt[0]"] * 100), [3000, None, 5000]),
    "or": (" or ".join(["flag"] * TERMS), [True, False, True]),
    "and": (" and ".join(["x > 0"] * 100), [True, False, True]),
    "bits": (" | ".join(["(x < 0)"] * 200), [False, True, False]),
    "constants": ("x ** (" + " + ".join(["0.03125"] * 64) + ")", [1, 1, 4]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_value_of_a_long_chain(events, name):
    text, expected = CHAINS[name]
    got = parse(text)(events).to_list()
    assert got == [want if want is None else pytest.approx(want) for want in expected]


def test_lists_in_a_long_chain(events):
    got = parse(" + ".join(["jets.pt"] * 200))(events)
    assert ak.almost_equal(got, 200 * events.jets.pt)


def test_chains_need_no_deeper_recursion(events):
    """What evaluates at all does so from within deeply nested programs, too."""
    expression, sums = parse(" + ".join(["x"] * 400)), []

    def nested(depth):
        if depth:
            return nested(depth - 1)
        sums.append(expression(events)[0])
        return parse("x + " * 400 + "x")

    nested(500)
    assert sums == [400]


def test_errors_in_a_long_chain_say_the_place(events):
    sums = " + ".join(["x"] * TERMS)
    with pytest.raises(ValueError, match=f"unknown name 'y' at column {len(sums) + 4} of "):
        parse(f"{sums} + y")(events)
    with pytest.raises(ValueError, match="at column 1 of") as error:
        parse(f"{sums} + jets + {sums[:1001]}")(events)
    assert len(str(error.value)) < 500


HOSTILE = [
    "x" + " + x" * 1000,  # more than 2000 parts
    "+".join(["x"] * 900) + " + _x",
    "+".join(["x"] * 900) + " @ x",
    "_x + " + "+".join(["x"] * 900),
    "x << 3 + " + "+".join(["x"] * 900),
    # levels that are no links of a chain still count
    "-" * 51 + "x + x",
    "x + " + "-" * 51 + "x",
    "x + " * 40 + "-x" + ".a" * 51,
    "2 ** " * 51 + "x",
    "x" + " ** 9" * 51,
    "x if x else " * 51 + "x",
    "+".join(["x"] * 20) + " ** (" + "+".join(["1"] * 65) + ")",
    "1 ** (" * 48 + "+".join(["1"] * 900) + ")" * 48 + " @ x",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_chains_are_refused_at_once(text):
    start = time.process_time()
    with pytest.raises(ValueError, match=r"\w") as error:
        parse(text)
    assert time.process_time() - start < 1
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_float32_stays_in_a_long_chain():
    events = ak.Array({"x": np.ones(2, np.float32)})
    assert "float32" in str(parse(" + ".join(["x"] * TERMS))(events).type)
