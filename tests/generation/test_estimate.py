"""The estimate of time and size."""

import pytest

from fivesigma.generation.estimate import estimate
from fivesigma.generation.pythia import Generation, Generator, seed_of

OPTIONS = Generation("ee-z-qq")


def test_scales_with_events():
    result = estimate(OPTIONS, 10_000, pilot=0.2)
    assert result.n_pilot >= 5
    assert result.seconds == pytest.approx(result.start + 10_000 * result.seconds_per_event)
    assert result.bytes == pytest.approx(10_000 * result.bytes_per_event, abs=1)


def test_size_is_that_of_the_events():
    events = Generator(OPTIONS, seed_of(1, 0)).next(200)
    result = estimate(OPTIONS, 200, pilot=0.3)
    assert result.bytes == pytest.approx(events.nbytes, rel=0.2)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="unknown process"):
        estimate(Generation("tbar"), 100)
