"""Histograms in JSON: with and without flow and errors, and what is none."""

import json

import numpy as np
import pytest

from fivesigma.formats.containers.jsonhistograms import read_json_histograms


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "histograms.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def test_contents_with_flow_and_without(written):
    edges = [0, 1, 2, 4]
    path = written(
        {
            "plain": {"edges": edges, "contents": [1.5, 2, 3]},
            "flow": {"edges": edges, "contents": [9, 1, 2, 3, 8]},
            "weighted": {"edges": edges, "contents": [1, 2, 3], "variances": [4, 5, 6]},
        }
    )
    found = read_json_histograms(path)
    assert list(found) == ["plain", "flow", "weighted"]
    np.testing.assert_array_equal(found["plain"].axes[0].edges, edges)
    np.testing.assert_array_equal(found["plain"].values(flow=True), [0, 1.5, 2, 3, 0])
    np.testing.assert_array_equal(found["flow"].values(flow=True), [9, 1, 2, 3, 8])
    np.testing.assert_array_equal(found["weighted"].values(), [1, 2, 3])
    np.testing.assert_array_equal(found["weighted"].variances(), [4, 5, 6])
    assert list(read_json_histograms(path, ["flow", "none"])) == ["flow"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ([1, 2], "a JSON list, expected name: histogram"),
        ({"h": 3}, "'h' is no histogram; expected lists of numbers, `edges` and `contents`"),
        ({"h": {"edges": [0, 1], "contents": ["x"]}}, "'h' is no histogram"),
        ({"h": {"edges": [0, 1, 1], "contents": [1, 2]}}, "'h': the edges must be two or more"),
        ({"h": {"edges": [0, 1, 2], "contents": [1, 2, 3]}}, "got 3 numbers, expected 2, or 4"),
        (
            {"h": {"edges": [0, 1], "contents": [1], "variances": [1, 2]}},
            "'h', variances: got 2 numbers",
        ),
    ],
)
def test_what_is_no_histogram_is_named(written, content, message):
    with pytest.raises(ValueError, match=message):
        read_json_histograms(written(content))
