"""Taggers in one table."""

import pytest

from fivesigma.runs import load_run
from fivesigma.workflows.evaluate import evaluate
from fivesigma.workflows.rank import rank


def test_rank(runs, sample, tmp_path):
    other = tmp_path / "other"
    other.symlink_to(sample.path)
    paths = [*(run.path for run in runs.values()), sample.path]  # the last is no run
    found = rank(paths, data=[sample.path, other], out=tmp_path / "out")
    pfn = found.numbers
    merits = evaluate(runs["pfn"].path, data=sample.path, overwrite=True).numbers
    assert pfn["pfn/auc"] == merits["pfn/auc"]
    assert pfn["pfn/other/auc"].value != pfn["pfn/auc"].value  # all jets, not the test jets
    assert pfn["pfn/passes"].value == 2 and pfn["pfn/training_rate"].value > 0
    assert pfn["pfn/parameters"].value == load_run(runs["pfn"].path).n_parameters
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert len(lines) == 2 + 3 + 2 and lines[1].startswith("| --- |")
    aucs = [pfn[f"{line.split()[1]}/auc"].value for line in lines[2:5]]
    assert aucs == sorted(aucs, reverse=True)


def test_mistakes(runs, sample, tmp_path):
    path = runs["pfn"].path
    with pytest.raises(ValueError, match="0 runs and 1 datasets"):
        rank([sample.path], data=[sample.path], out=tmp_path / "out")
    rank([path], data=[sample.path], out=tmp_path / "out")
    with pytest.raises((ValueError, FileExistsError), match="table.md"):
        rank([path], data=[sample.path], out=tmp_path / "out")
    with pytest.raises(ValueError, match="two datasets of the name 'data'"):
        rank([path], data=[sample.path, sample.path], out=tmp_path / "other")
