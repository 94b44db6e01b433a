"""`fivesigma predict --spread`: beside each score, how sure the run is of it."""

import numpy as np
import pytest

from fivesigma.cli import main
from fivesigma.datasets import Dataset
from fivesigma.formats import read
from fivesigma.formats.writers import write
from fivesigma.runs import load_run
from fivesigma.training import Training
from fivesigma.workflows.predict import predict
from fivesigma.workflows.train import train

QUICK = Training(epochs=1, batch_size=64, threads=1, device="cpu")


@pytest.fixture(scope="module")
def unsure(sample, tmp_path_factory):
    """An ensemble, and a network with dropout."""
    folder = tmp_path_factory.mktemp("unsure")
    options = {"data": sample.path, "training": QUICK, "quiet": True}
    train(folder / "ensemble", members=2, **options)
    train(folder / "dropout", options={"phi": [16], "f": [16], "dropout": 0.2}, **options)
    return folder


@pytest.mark.parametrize(
    ("name", "words"), [("ensemble", ["--spread"]), ("dropout", ["--passes", "7"])]
)
def test_a_dataset_gains_scores_and_their_spread(name, words, unsure, sample, capsys):
    assert main(["predict", str(unsure / name), str(sample.path), "--quiet", *words]) == 0
    dataset, run = Dataset.open(sample.path), load_run(unsure / name)
    jets, found = dataset.read("jets", shards=[0]), dataset.read(f"scores-{name}", shards=[0])
    assert found.fields == ["top", "qcd", "top_spread", "qcd_spread"]
    np.testing.assert_array_equal(found.top, run.predict(jets)[:, 0])
    np.testing.assert_array_equal(found.qcd_spread, run.spread(jets, passes=7)[:, 1])


def test_a_file_gains_them_too(unsure, sample, tmp_path):
    file, out = tmp_path / "jets.parquet", tmp_path / "out.parquet"
    run = load_run(unsure / "ensemble")
    jets = sample.read("jets", shards=[0])[:50]
    write(jets, file, kind="jets")
    (made,) = predict(unsure / "ensemble", [str(file)], out=out, spread=True, quiet=True)
    names = ("ensemble_top", "ensemble_qcd", "ensemble_top_spread", "ensemble_qcd_spread")
    assert made.fields == names
    np.testing.assert_allclose(read(out).ensemble_top_spread, run.spread(jets)[:, 0], atol=1e-5)


def test_runs_without_a_spread_are_refused(runs, sample, tmp_path):
    with pytest.raises(ValueError, match="train it with dropout, or train an ensemble"):
        predict(runs["pfn"].path, [str(sample.path)], name="none", spread=True)
    with pytest.raises(ValueError, match="trees, which have no spread"):
        predict(runs["trees"].path, [str(sample.path)], name="none", passes=5)
    assert not (sample.path / "none").exists()
    write(sample.read("jets", shards=[0])[:50], tmp_path / "jets.parquet", kind="jets")
    with pytest.raises(ValueError, match="no dropout"):
        predict(
            *(runs["pfn"].path, [str(tmp_path / "jets.parquet")]), out=tmp_path / "out.parquet",
            spread=True, quiet=True,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["jets.parquet"]
