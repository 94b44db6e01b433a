"""Progress lines where there is no terminal."""

from fivesigma.progress import Progress


def test_the_last_line_is_always_shown(capsys):
    with Progress("fitting", 10, "toys") as progress:
        progress(5)
        progress(10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fitting: 10 of 10, ")


def test_what_was_there_before_does_not_count_for_the_rate(capsys, monkeypatch):
    clock = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr("fivesigma.progress.time.monotonic", lambda: next(clock))
    with Progress("generating", 1000, "jets", step=100) as progress:
        progress(800)
        progress(900)
    first, second = capsys.readouterr().err.splitlines()
    assert "5 jets/s, 0 min 40 s left" in first
    assert "5 jets/s, 0 min 20 s left" in second


def test_quiet_is_silent(capsys):
    with Progress("fitting", 2, "toys", quiet=True) as progress:
        progress(2)
    assert capsys.readouterr().err == ""
