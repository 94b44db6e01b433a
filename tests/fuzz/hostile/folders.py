"""What is no file; datasets that lie."""

import json
import os
import shutil

from fuzz import corpus
from fuzz.hostile.arrows import billion_rows_of_one_value
from fuzz.hostile.registry import hostile

_GB, _MB = 1024**3, 1024**2


@hostile("csv")
def named_pipe(path, outside):
    os.mkfifo(path)


@hostile("csv")
def device(path, outside):
    path.symlink_to("/dev/zero")


@hostile("csv")
def link_to_itself(path, outside):
    path.symlink_to(path)


def whole_dataset(path):
    corpus.make_dataset(path.parent / "made")
    shutil.move(path.parent / "made" / "jets", path)


def changed_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@hostile("dataset")
def counts_that_lie(path, outside):
    whole_dataset(path)

    def change(content):
        content["counts"]["jets"] = 10**15
        for shard in content["shards"]:
            shard["counts"]["jets"] = 10**14

    changed_json(path / "manifest.json", change)


@hostile("dataset")
def collection_outside(path, outside):
    whole_dataset(path)

    def change(content):
        for shard in content["shards"]:
            for key in ("counts", "bytes", "checksums"):
                shard[key]["../../outside/folder"] = shard[key]["jets"]

    changed_json(path / "manifest.json", change)
    return {"secret": False}


@hostile("dataset")
def deep_manifest(path, outside):
    whole_dataset(path)
    (path / "manifest.json").write_text("[" * 1_000_000)


@hostile("dataset")
def manifest_of_wrong_types(path, outside):
    whole_dataset(path)
    changed_json(path / "manifest.json", lambda content: content.update(shards={"a": 1}, counts=3))


@hostile("dataset")
def manifest_with_a_huge_number(path, outside):
    whole_dataset(path)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"schema": 1', '"schema": ' + "1" * 100_000))


@hostile("dataset", slow=True)
def shard_that_is_a_bomb(path, outside):
    whole_dataset(path)
    billion_rows_of_one_value(path / "jets" / "00000.parquet", outside)
    size = (path / "jets" / "00000.parquet").stat().st_size

    def change(content):
        content["shards"][0]["bytes"]["jets"] = size

    changed_json(path / "manifest.json", change)
