"""One small tagging sample and runs on it, made once for all tests of workflows."""

import pytest

from fivesigma.training import Training
from fivesigma.workflows.generate import generate
from fivesigma.workflows.train import train

JETS, SHARD = 300, 75


def pytest_collection_modifyitems(items):
    # one worker makes the sample and runs all tests that use it
    for item in items:
        if "workflows" in str(item.path):
            item.add_marker(pytest.mark.xdist_group("workflows"))


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "data"
    return generate(
        folder, recipe="top-tagging", jets=JETS, shard_size=SHARD, seed=5, workers=1, quiet=True
    )


@pytest.fixture(scope="session")
def runs(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    quick = Training(epochs=2, batch_size=64, threads=1)
    return {
        name: train(folder / name, data=sample.path, model=name, training=quick, quiet=True)
        for name in ("pfn", "cnn", "trees")
    }
