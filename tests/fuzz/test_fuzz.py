"""Damaged and hostile files give a clear error or data: a few of what `make fuzz` tries."""

import pytest

from fuzz import corpus
from fuzz.cases import Cases
from fuzz.reader import Reader

#: damaged by chance, beside all that is hostile on purpose and quick
DAMAGED = 84


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return Cases(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def reader():
    with Reader() as started:
        yield started


def failure(cases, reader, number):
    """What is wrong with a case, None if nothing is."""
    case = cases(number)
    outcome = reader.ask(case.request)
    if not cases.is_untouched():
        return f"{case.name}: changed files outside of the target"
    return None if outcome.good else f"{case.name}: {outcome.verdict} {outcome.said}"


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_hostile_files_are_refused_or_read_within_limits(cases, reader, kind):
    numbers = [n for n, each in enumerate(cases.listed) if each.kind == kind and not each.slow]
    assert [f for n in numbers if (f := failure(cases, reader, n))] == []


def test_writers_follow_no_links(cases, reader):
    assert [f for n in outputs(cases, "write_") if (f := failure(cases, reader, n))] == []


def test_datasets_follow_no_links(cases, reader):
    assert [f for n in outputs(cases, "convert_") if (f := failure(cases, reader, n))] == []


def outputs(cases, prefix):
    named = enumerate((each.kind, each.make.__name__) for each in cases.listed)
    return [n for n, (kind, name) in named if kind == "outputs" and name.startswith(prefix)]


def test_damaged_files_are_refused_or_read(cases, reader):
    numbers = range(cases.hostile, cases.hostile + DAMAGED)
    assert [f for n in numbers if (f := failure(cases, reader, n))] == []


def test_whole_files_are_read(cases, reader):
    for kind in corpus.KINDS:
        for path in cases.seeds(kind):
            outcome = reader.ask(cases.request(kind, path, 0))
            assert outcome.verdict == "read", (kind, path.name, outcome)


def test_the_fuzzer_sees_what_is_wrong(tmp_path, reader):
    """It could not fail otherwise: a pickle that is loaded, memory, a message without the name."""
    path = tmp_path / "a.csv"
    found = {
        do: reader.ask({"do": "provoke", "what": do, "path": str(path), "number": 0}).verdict
        for do in ("unpickle", "memory", "nameless", "key", "lines", "die", "write", "run")
    }
    assert "pickle.find_class" in found["unpickle"]
    assert found["memory"].startswith("memory 1")
    assert found["nameless"] == "ValueError that does not name the file"
    assert found["key"] == "raises KeyError"
    assert found["lines"].startswith("ValueError of 2 lines")
    assert found["die"] == "crash, exit -11"
    assert found["write"].endswith("for writing")
    assert "os.system" in found["run"]
