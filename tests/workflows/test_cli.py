"""The command line as a user meets it: help, one-line errors, exit status, interruption."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fivesigma import cli


def run(*words, timeout=240):
    return subprocess.run(
        [sys.executable, "-m", "fivesigma.cli", *map(str, words)],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def test_help_answers_at_once_and_names_every_verb():
    code = (
        "import sys, fivesigma.cli as c; c.main(['--help']); "
        "print(len(sys.modules), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in cli.VERBS)
    modules, torch_loaded = done.stdout.split()[-2:]
    assert torch_loaded == "False"
    assert int(modules) < 400


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([*verb.split(), "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "Examples" in text
    assert f"fivesigma {verb}" in text


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["generat"], 2, "unknown verb 'generat'; choose from demo, demo discovery, gen"),
        (["generate", "x", "--recipe", "tops"], 2, "unknown recipe 'tops'"),
        (["generate", "x", "--process", "tt"], 2, "unknown process 'tt'"),
        (["train", "x", "--data", "nowhere", "--model", "pfn"], 2, "nowhere"),
        (["train", "x", "--data", "d", "--training.epochs", "many"], 2, "training.epochs"),
        (["train", "x", "--dota", "d"], 2, "dota"),
        (["evaluate", "nowhere", "--data", "d"], 2, "nowhere"),
        (["demo", "--jets", "0"], 2, "at least 1"),
    ],
)
def test_mistakes_get_one_line_and_a_status(words, status, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == status
    captured = capsys.readouterr()
    assert told in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert "Traceback" not in captured.err
    assert not captured.out


def test_flags_and_free_words_come_in_any_order():
    from fivesigma.workflows.evaluate import evaluate
    from fivesigma.workflows.report import report

    named = cli._named(["--data", "d", "runs/a", "--overwrite"], evaluate)
    assert named == ["--data", "d", "--overwrite=true", "--run=runs/a"]
    named = cli._named(["a", "b", "--data", "d", "--overwrite", "false"], report)
    assert named == ["--data", "d", "--overwrite", "false", '--runs=["a", "b"]']


def test_a_demo_by_configuration_makes_a_report(tmp_path, capsys):
    quick = {"epochs": 1, "batch_size": 64}
    config = {
        "out": str(tmp_path / "demo"),
        "jets": 60,
        "shard_size": 30,
        "workers": 1,
        "taggers": {
            "pfn": {"model": "pfn", "training": quick},
            "small": {"model": "deepsets-max", "training": quick},
            "trees": {"model": "trees", "trees": {"rounds": 20}},
        },
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["demo", "--config", str(tmp_path / "c.yaml")]) == 0
    out = capsys.readouterr().out
    assert "pfn/auc" in out
    assert "next: open" in out
    assert (tmp_path / "demo" / "report.html").is_file()
    assert (tmp_path / "demo" / "results.json").is_file()


def checksums(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def interrupted(words: list[str], stop: signal.Signals, done: Path, draw: random.Random) -> int:
    """Start, stop at a random moment, again and again; then let it finish. Returns the stops."""
    stops = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "fivesigma.cli", *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + draw.uniform(4.0, 12.0)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is None:
            process.send_signal(stop)
            stops += 1
            process.wait(timeout=60)
        if done.exists():
            break
    assert run(*words).returncode == 0
    return stops


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_generation_gives_the_same_dataset(stop, tmp_path):
    words = ["--recipe", "top-tagging", "--jets", "300", "--shard_size", "50", "--quiet"]
    assert run("generate", tmp_path / "whole", *words, "--workers", "1").returncode == 0
    folder = tmp_path / "stopped"
    stops = interrupted(
        ["generate", str(folder), *words, "--workers", "2"], stop, folder / "manifest.json",
        random.Random(int(stop)),
    )  # fmt: skip
    assert stops > 0
    expected = checksums(tmp_path / "whole" / "jets", "*.parquet")
    assert len(expected) == 12
    assert checksums(folder / "jets", "*.parquet") == expected


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_training_gives_the_same_weights(stop, sample, tmp_path):
    words = [
        "--data", str(sample.path), "--model", "cnn", "--training.epochs", "60",
        "--training.batch_size", "32", "--training.threads", "1", "--training.ema", "0.99",
        "--quiet",
    ]  # fmt: skip
    assert run("train", tmp_path / "a" / "cnn", *words).returncode == 0
    folder = tmp_path / "b" / "cnn"
    stops = interrupted(
        ["train", str(folder), *words], stop, folder / "weights.safetensors",
        random.Random(int(stop)),
    )  # fmt: skip
    assert stops > 0
    expected = checksums(tmp_path / "a" / "cnn", "weights.safetensors")
    assert checksums(folder, "weights.safetensors") == expected
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(
        (tmp_path / "a" / "cnn" / "metrics.jsonl").read_text().splitlines()
    )
