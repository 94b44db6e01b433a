"""Numbers as text, as tables, and as results.json."""

import json

import pytest

from fivesigma import metrics
from fivesigma.report import (
    collect,
    format_number,
    number_table,
    tagger_table,
    write_results,
)
from fivesigma.results import Number, Result


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(0.941234, 0.00131), "0.9412 ± 0.0013"),
        (Number(35.23, 1.07), "35.2 ± 1.1"),
        (Number(0.5, 0.0996), "0.50 ± 0.10"),
        (Number(2195.4, 173.2), "2200 ± 170"),
        (Number(12345.6, 210), "12\u202f350 ± 210"),
        (Number(-0.00412, 0.0011), "−0.0041 ± 0.0011"),
        (Number(82123), "82\u202f123"),
        (Number(600), "600"),
        (Number(0), "0"),
        (Number(3.14159), "3.142"),
        (Number(281234.4), "281\u202f234"),
        (Number(3412.7, 21.3, "pb"), "(3413 ± 21) pb"),
        (Number(1.2345e-5, 2e-7), "(1.234 ± 0.020) × 10⁻⁵"),
        (Number(7.93e7, 2.1e5, "pb"), "(7.930 ± 0.021) × 10⁷ pb"),
        (Number(871.2, 871.2, note=metrics.LOWER_LIMIT + " at 68 %"), "> 870"),
        (Number(float("nan"), 1.0), "not defined"),
    ],
)
def test_numbers_have_the_digits_that_their_uncertainty_allows(number, text):
    assert format_number(number) == text


def test_results_json_has_the_agreed_form(tmp_path):
    numbers = {"cnn/auc": Number(0.95, 0.002), "cnn/rejection_at_30": Number(90, 9, "", "few")}
    path = write_results(tmp_path / "run" / "results.json", [Result("Taggers", numbers)])
    assert json.loads(path.read_text()) == {
        "cnn/auc": {"value": 0.95, "uncertainty": 0.002, "unit": ""},
        "cnn/rejection_at_30": {"value": 90, "uncertainty": 9, "unit": "", "note": "few"},
    }
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]  # no temporary file left


def test_results_json_is_not_overwritten_unasked(tmp_path):
    path = write_results(tmp_path / "results.json", {"a": Number(1)})
    with pytest.raises(ValueError, match="exists"):
        write_results(path, {"a": Number(2)})
    assert json.loads(path.read_text())["a"]["value"] == 1
    write_results(path, {"a": Number(2)}, overwrite=True)
    assert json.loads(path.read_text())["a"]["value"] == 2


@pytest.mark.parametrize("bad", [Number(float("nan")), Number(1.0, float("inf")), Number(1, -1)])
def test_undefined_numbers_are_refused_and_nothing_is_written(tmp_path, bad):
    with pytest.raises(ValueError, match="cnn/auc"):
        write_results(tmp_path / "results.json", {"cnn/auc": bad})
    assert list(tmp_path.iterdir()) == []


def test_one_name_for_two_numbers_is_refused():
    same = Result("a", {"x": Number(1)})
    assert collect([same, same]) == {"x": Number(1)}
    with pytest.raises(ValueError, match="two different numbers are called 'x'"):
        collect([same, Result("b", {"x": Number(2)})])


def test_tagger_table_puts_the_best_first_and_fills_gaps():
    numbers = {
        "trees/auc": Number(0.93, 0.01),
        "cnn/auc": Number(0.95, 0.01),
        "cnn/parameters": Number(1000),
        "cnn/jets_per_second": Number(1e4, unit="1/s"),
        "data/jets": Number(5),
    }
    table = tagger_table(numbers)
    assert table.columns == ("Tagger", "AUC", "Parameters", "Jets/s")
    assert [row[0] for row in table.rows] == ["cnn", "trees"]
    assert table.rows[0][3] == Number(1e4)
    assert table.rows[1][2] == "–"
    with pytest.raises(ValueError, match="no numbers of run 'pfn'; there are those of cnn"):
        tagger_table(numbers, ["pfn"])


def test_number_table_shows_the_notes():
    number = Number(90, 9, note="rests on 43 background jets")
    assert number_table({"cnn/rejection_at_30": number}).rows == (
        ("cnn/rejection_at_30", number, number.note),
    )
