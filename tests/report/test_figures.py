"""Figures as files."""

from matplotlib.figure import Figure

from fivesigma.report.figures import write_figures


def test_figures_of_an_earlier_call_are_removed_and_other_files_kept(tmp_path):
    (tmp_path / "mine.svg").write_text("<svg/>")
    write_figures(tmp_path, {"Observed mass": Figure(), "Expected mass": Figure()})
    paths = write_figures(tmp_path, {"Expected mass": Figure()})
    assert [path.name for path in paths] == ["expected-mass.svg"]
    assert {path.name for path in tmp_path.glob("*.svg")} == {"mine.svg", "expected-mass.svg"}
