"""PYTHIA 8 as a source of events: checked settings, a seeded generator, its cross-section.

Reference: A comprehensive guide to the physics and usage of PYTHIA 8.3 (Bierlich et al., 2022)
arXiv:2203.11601.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

import awkward as ak
import numpy as np
import pythia8mc

from fivesigma.generation import gun
from fivesigma.generation.options import (
    LHE_FILE,
    Generation,
    Gun,
    seed_of,
    settings_lines,
    validate,
)
from fivesigma.generation.processes import Process
from fivesigma.generation.truth import charges_of, no_events, truth_of
from fivesigma.units import PB_PER_MB

__all__ = ["Generation", "Generator", "Gun", "check", "seed_of", "settings_lines"]

#: events per call of PYTHIA: its full record takes up to a megabyte an event
_BATCH = 100
#: attempts before the share of failed events is judged
_PATIENCE = 50
#: PYTHIA's number for beams and hard processes that come from a file
_LES_HOUCHES = 4
_SWITCH_VALUES = ("on", "off", "yes", "no", "true", "false", "ok", "1", "0")
_SOFT = ("all", "inelastic", "singleDiffractive", "doubleDiffractive")
_TABLES = tuple(f"Init:reuseMPIiDiffSys{system}" for system in range(4))
_REUSE_TABLES = "MultipartonInteractions:reuseInit = -1"


def check(options: Generation) -> None:
    """Refuse settings that cannot work, before anything is generated.

    Starts PYTHIA once, which takes some 0.3 s; minimum bias takes 7 s the first time in a process.

    Raises:
        ValueError: unknown process, missing file, impossible ranges, or what PYTHIA itself
            refuses, in its words.
    """
    _start(options, validate(options), seed=1)


class Generator:
    """A seeded source of events.

    The same options and seed give the same events bit for bit, in whatever portions they are
    asked for.

    Args:
        options: what to generate.
        seed: 1 ... 900 000 000, see `seed_of`.
        skip: events of an LHE file to pass over, so that shards can share one file.

    Attributes:
        process: the entry of the catalogue.
        n_generated: events handed out.
        n_tried: events begun, with those that PYTHIA gave up on.
        sum_of_weights: over the events handed out.

    Raises:
        ValueError: as `check`.

    Example:
        >>> events = Generator(Generation("ttbar", mpi=False), seed=1).next(2)
        >>> len(events), events.fields
        (2, ['weight', 'truth'])
    """

    def __init__(self, options: Generation, seed: int, *, skip: int = 0) -> None:
        self.process: Process = validate(options)
        self.n_generated = 0
        self.n_tried = 0
        self.sum_of_weights = 0.0
        self._options = options
        # the filter belongs to PYTHIA but Python must keep it alive
        self._pythia, self._filter = _start(options, self.process, seed)
        self._charges = charges_of(self._pythia.particleData)
        self._from_file = self._pythia.settings.mode("Beams:frameType") == _LES_HOUCHES
        self._rng = np.random.default_rng(seed)
        self._spare = no_events()
        if skip and self._from_file:
            self._pythia.LHAeventSkip(skip)

    def next(self, n: int) -> ak.Array:
        """The next events.

        Args:
            n: how many. From an LHE file there are fewer where it ends or where an event cannot be
                showered.

        Returns:
            (n,) events: `weight` and the list `truth` with the fields pt, eta, phi, mass [GeV],
            pdg_id, status, mother, charge [e], vx, vy, vz [mm], vt [ns].

        Raises:
            RuntimeError: PYTHIA fails too often; the message says why.
        """
        events = self._shoot(n) if self._options.process == "gun" else self._collide(n)
        self.n_generated += len(events)
        self.sum_of_weights += float(np.sum(events.weight))
        return events

    def cross_section(self) -> tuple[float, float]:
        """PYTHIA's estimate from the events so far and its error [pb]; zeros for the gun."""
        info, factor = self._pythia.infoPython(), PB_PER_MB * self.process.branching_ratio
        return info.sigmaGen() * factor, info.sigmaErr() * factor

    def _collide(self, n: int) -> ak.Array:
        parts, missing = [no_events()], n
        while missing > 0 and not self._at_end():
            asked = min(missing, _BATCH)
            batch = ak.drop_none(self._pythia.nextBatch(asked, "none"))
            self.n_tried += len(batch) if self._at_end() else asked
            missing -= asked if self._from_file else len(batch)
            if len(batch):
                parts.append(truth_of(batch, self._charges))
            self._check_progress(self.n_generated + sum(map(len, parts)))
        return ak.concatenate(parts)

    def _shoot(self, n: int) -> ak.Array:
        """Whole blocks only: a block decays as one record, so its size matters to the sequence."""
        parts, missing = [self._spare], n - len(self._spare)
        while missing > 0:
            parts.append(gun.shoot(self._pythia, self._options.gun, self._rng, self._charges))
            missing -= gun.BLOCK
        events = ak.concatenate(parts)
        self._spare = events[n:]
        self.n_tried += n
        return events[:n]

    def _at_end(self) -> bool:
        # `infoPython` is a snapshot: ask anew each time
        return self._from_file and self._pythia.infoPython().atEndOfFile()

    def _check_progress(self, made: int) -> None:
        if self.n_tried >= _PATIENCE and made < self.n_tried / 2:
            message = (
                f"PYTHIA failed in {self.n_tried - made} of {self.n_tried} events of "
                f"{self._options.process}: {_complaints(self._pythia)}"
            )
            raise RuntimeError(message)


class _Filter(pythia8mc.UserHooks):
    """Drops hard processes that are not of the kind wanted, before they are showered."""

    def __init__(self, accept: Callable[[Sequence[int]], bool]) -> None:
        super().__init__()
        self._accept = accept

    def canVetoProcessLevel(self) -> bool:  # noqa: D102 (PYTHIA's names)
        return True

    def doVetoProcessLevel(self, record: Any) -> bool:  # noqa: D102
        particles = (record[i] for i in range(record.size()))
        return not self._accept([each.id() for each in particles if each.status() > 0])


def _start(options: Generation, process: Process, seed: int) -> tuple[Any, _Filter | None]:
    """A PYTHIA ready to generate, and its filter."""
    pythia = _read(settings_lines(options, seed))
    if options.process == "gun":
        gun.check(options.gun, pythia.particleData)
    if any(pythia.settings.flag(f"SoftQCD:{name}") for name in _SOFT):
        tables = _diffraction_tables(tuple(settings_lines(options, seed=1)), options.process)
        for name, words in tables.items():
            pythia.settings.wvec(name, words)
        pythia.readString(_REUSE_TABLES)
    event_filter = _Filter(process.accept) if process.accept else None
    if event_filter:
        pythia.addUserHooksPtr(event_filter)
    _initialise(pythia, options.process)
    return pythia, event_filter


@cache
def _diffraction_tables(lines: tuple[str, ...], name: str) -> dict[str, list[str]]:
    """PYTHIA's tables for soft diffraction: 7 s to make, so made once, and alike for all seeds."""
    pythia = _read([*lines, _REUSE_TABLES])
    _initialise(pythia, name)
    return {table: list(pythia.settings.wvec(table)) for table in _TABLES}


def _initialise(pythia: Any, name: str) -> None:
    with _captured_output():  # Vincia announces itself, `Print:quiet` or not
        started = pythia.init()
    if not started:
        message = f"PYTHIA cannot start {name} with these settings: {_complaints(pythia)}"
        raise ValueError(message)


def _read(lines: Sequence[str]) -> Any:
    """A PYTHIA with these settings; a line that it refuses is named."""
    pythia = pythia8mc.Pythia("", False)
    with _captured_output() as output:
        for line in lines:
            if line.startswith(LHE_FILE):
                # as a setting line the path would end at its first blank
                pythia.settings.word("Beams:LHEF", line.removeprefix(LHE_FILE))
            elif not pythia.readString(line):
                reason = re.search(r"PYTHIA Error: ([^\n:]+(?:: \w[^\n:]*)?)", _text(output))
                message = f"PYTHIA refuses {line!r}: {reason[1] if reason else 'no reason given'}"
                raise ValueError(message)
            else:
                _check_switch(pythia, line)
    return pythia


def _check_switch(pythia: Any, line: str) -> None:
    """PYTHIA takes any word that it does not know for `off`."""
    words = line.replace("=", " ").split()
    if (
        len(words) > 1
        and pythia.settings.isFlag(words[0])
        and words[1].lower() not in _SWITCH_VALUES
    ):
        message = f"PYTHIA's switch {words[0]} takes on or off, got {words[1]!r}"
        raise ValueError(message)


def _complaints(pythia: Any) -> str:
    """What PYTHIA has noted: its errors, or its warnings where there are none."""
    with _captured_output() as output:
        pythia.stat()
        text = _text(output)
    for kind in ("Error in|Abort from", "Warning in"):
        found = re.findall(rf"\|\s+\d+\s+((?:{kind}) .*?)\s*\|", text)
        if found:
            return "; ".join(sorted(found, reverse=True))
    return "it gives no reason"


@contextmanager
def _captured_output() -> Iterator[IO[str]]:
    """PYTHIA writes to the process's standard output, beneath Python: catch it there."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        with tempfile.TemporaryFile("w+") as file:
            os.dup2(file.fileno(), 1)
            yield file
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
