"""Stages: what is added to a dataset is whole, for any number of workers, and goes on."""

from functools import partial

import numpy as np
import pytest
from helpers.toy_stage import count_hits, make_events

from fivesigma.datasets import Dataset, produce
from fivesigma.stages import extend


@pytest.fixture
def events(tmp_path):
    return produce(tmp_path / "data", make_events, 3, kind="events", settings={"seed": 1})


def contents(dataset):
    return {name: dataset.read(name).to_list() for name in ("event", "hits", "cells")}


def test_a_stage_adds_collections_and_leaves_what_was_there(events):
    before = events.checksums("event")
    grown = extend(events, "simulate", count_hits, {"detector": "atlas"})
    assert grown.counts["hits"] == 15
    assert grown.checksums("event") == before
    again = Dataset.open(events.path)
    assert again.read("hits")[4].layer.to_list() == [6, 7, 8, 9]
    assert again.read("cells")[4].truth.to_list() == [[1, 2]] * 4
    again.verify()


def test_workers_do_not_matter(events, tmp_path):
    other = produce(tmp_path / "other", make_events, 3, kind="events", settings={"seed": 1})
    one = extend(events, "simulate", count_hits, {})
    two = extend(other, "simulate", count_hits, {}, workers=2)
    assert one.checksums("hits") == two.checksums("hits")


def test_a_stage_that_failed_goes_on_with_what_is_missing(events):
    with pytest.raises(RuntimeError, match="1 of 3 shards failed .*no such luck"):
        extend(events, "simulate", partial(count_hits, broken=(1,)), {})
    assert "hits" not in Dataset.open(events.path).counts
    made = []

    def counted(index):
        made.append(index)
        return count_hits(index)

    grown = extend(Dataset.open(events.path), "simulate", counted, {})
    assert made == [1]
    assert grown.counts["hits"] == 15


def test_a_damaged_file_is_made_again(events):
    extend(events, "simulate", count_hits, {})
    path = events.path / "hits" / "00002.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    extend(Dataset.open(events.path), "simulate", count_hits, {}).verify()


def test_other_settings_need_overwrite(events):
    extend(events, "simulate", count_hits, {"factor": 1})
    with pytest.raises(ValueError, match=r"factor: 1 there, 2 asked for.*--overwrite"):
        extend(events, "simulate", partial(count_hits, factor=2), {"factor": 2})
    grown = extend(
        events, "simulate", partial(count_hits, factor=2), {"factor": 2}, overwrite=True
    )
    assert grown.read("hits")[4].layer.to_list() == [12, 14, 16, 18]


def test_what_the_dataset_was_made_of_stays(events):
    def again(index):
        return dict(make_events(index).collections)

    with pytest.raises(RuntimeError, match="'event' is what the dataset was made of"):
        extend(events, "simulate", again, {})
    with pytest.raises(
        RuntimeError, match="hits has 15 entries, expected one for each of 5 event"
    ):
        extend(events, "simulate", lambda index: {"hits": np.arange(15)}, {})


def test_more_shards_later(events):
    extend(events, "simulate", count_hits, {})
    more = produce(events.path, make_events, 4, kind="events", settings={"seed": 1})
    grown = extend(more, "simulate", count_hits, {})
    assert len(contents(grown)["hits"]) == 20
