"""The record schema of events: collections, their fields with units and meanings, and the checks
on them.

Events are plain Awkward arrays. What carries momentum has the fields `pt eta phi mass` and,
through `momenta`, the vector behaviours of `Momentum4D`. Every collection and field is named once,
in `FIELDS`; documentation, validation and readers derive from that table.
"""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
import vector

vector.register_awkward()

__all__ = [
    "CLASSES_OF_PARTICLES",
    "FIELDS",
    "Field",
    "momenta",
    "particle_class",
    "validate",
    "with_pileup",
]


class Field(NamedTuple):
    """One field: dtype, unit and what it means."""

    dtype: str
    unit: str
    meaning: str


_MOMENTUM = {
    "pt": Field("f4", "GeV", "transverse momentum"),
    "eta": Field("f4", "", "pseudorapidity (jets: of the summed four-vector)"),
    "phi": Field("f4", "rad", "azimuth, in (-pi, pi]"),
    "mass": Field("f4", "GeV", "invariant mass"),
}
_IMPACT = {
    "d0": Field("f4", "mm", "transverse impact parameter; 0 for neutral particles"),
    "dz": Field("f4", "mm", "longitudinal impact parameter; 0 for neutral particles"),
    "d0_error": Field("f4", "mm", "uncertainty of d0; 0 for neutral particles"),
    "dz_error": Field("f4", "mm", "uncertainty of dz; 0 for neutral particles"),
}
_PARTICLE = {
    **_MOMENTUM,
    "charge": Field("i1", "e", "electric charge"),
    "pdg_id": Field("i4", "", "PDG number; 211, 130 and 22 stand for any hadron class or photon"),
    **_IMPACT,
}

_POSITION = {
    "x": Field("f4", "mm", "measured position"),
    "y": Field("f4", "mm", "measured position"),
    "z": Field("f4", "mm", "measured position"),
}

#: collection -> field -> (dtype, unit, meaning)
FIELDS: dict[str, dict[str, Field]] = {
    "event": {
        "event": Field("u8", "", "event number, unique within a dataset; decides the split"),
        "process": Field("i2", "", "index into the dataset's list of processes"),
        "weight": Field("f8", "", "generator weight"),
    },
    "truth": {
        **_MOMENTUM,
        "pdg_id": Field("i4", "", "PDG number"),
        "status": Field("i2", "", "PYTHIA status code; positive: final"),
        "mother": Field("i4", "", "index of the mother in this list, -1: none kept"),
        "charge": Field("f4", "e", "electric charge"),
        "vx": Field("f4", "mm", "production vertex, x"),
        "vy": Field("f4", "mm", "production vertex, y"),
        "vz": Field("f4", "mm", "production vertex, z"),
        "vt": Field("f4", "ns", "production time"),
        "vertex": Field("i2", "", "collision: 0 the event's own, 1, 2 ... pile-up; with pile-up"),
    },
    "hits": {
        "layer": Field("i2", "", "index into the layers of the detector preset"),
        "module": Field("i4", "", "number of the module within its layer"),
        **_POSITION,
        "tx": Field(
            "f4", "mm", "true x where the particle crossed the sensor; noise: as measured"
        ),
        "ty": Field("f4", "mm", "true y"),
        "tz": Field("f4", "mm", "true z"),
        "u_error": Field("f4", "mm", "resolution along the sensor's precise direction"),
        "v_error": Field("f4", "mm", "resolution along its other direction"),
        "energy": Field("f4", "GeV", "energy lost in the sensor"),
        "truth": Field("i4", "", "index into `truth` of the stable particle, -1: noise"),
        "secondary": Field("bool", "", "left by a particle that was made in the detector"),
    },
    "cells": {
        "depth": Field("i1", "", "index into the depths of the preset: ECAL 0-2, HCAL 3-5"),
        "cell": Field("i4", "", "number of the cell within its depth"),
        "eta": Field("f4", "", "centre of the cell"),
        "phi": Field("f4", "rad", "centre of the cell"),
        "energy": Field("f4", "GeV", "measured, at the electromagnetic scale; can be negative"),
        "noise": Field("f4", "GeV", "expected standard deviation of electronic noise and pile-up"),
        "truth": Field("i4", "", "list: indices into `truth` of what deposited energy here"),
        "fraction": Field("f4", "", "list: share of the true energy of the cell, same order"),
    },
    "deposits": {
        "depth": Field("i1", "", "as in `cells`"),
        "cell": Field("i4", "", "as in `cells`"),
        "energy": Field("f4", "GeV", "deposited, before any electronics"),
        "visible": Field("f4", "GeV", "what of it the readout sees on average"),
        "truth": Field("i4", "", "index into `pileup` of who deposited it, -1: none kept"),
    },
    "segments": {
        "station": Field("i1", "", "station of the muon system, from the inside outwards"),
        **_POSITION,
        "ux": Field("f4", "", "unit vector along the segment, x"),
        "uy": Field("f4", "", "unit vector along the segment, y"),
        "uz": Field("f4", "", "unit vector along the segment, z"),
        "position_error": Field("f4", "mm", "resolution in the bending direction"),
        "angle_error": Field("f4", "rad", "resolution of the angle in the bending plane"),
        "truth": Field("i4", "", "index into `truth` of the stable particle, -1: noise"),
    },
    "tracks": {
        **_MOMENTUM,
        "charge": Field("i1", "e", "electric charge"),
        **_IMPACT,
        "covariance": Field(
            "f4", "", "list of 15: lower triangle for (d0, dz, phi, theta, q/p) [mm, rad, 1/GeV]"
        ),
        "hits": Field("i2", "", "number of hits"),
        "calo_eta": Field("f4", "", "where the track meets the calorimeter, from the origin"),
        "calo_phi": Field("f4", "rad", "where the track meets the calorimeter"),
        "truth": Field("i4", "", "index into `truth`"),
    },
    "clusters": {
        "energy": Field("f4", "GeV", "sum of its shares of cells, electromagnetic scale"),
        "calibrated": Field("f4", "GeV", "energy after the calibration for hadrons"),
        "eta": Field("f4", "", "energy-weighted direction from the origin"),
        "phi": Field("f4", "rad", "energy-weighted direction"),
        "em_fraction": Field("f4", "", "share of the energy in the ECAL"),
        "depth": Field("f4", "mm", "energy-weighted distance behind the calorimeter's front"),
        "width": Field("f4", "", "energy-weighted root mean square distance in (eta, phi)"),
        "significance": Field("f4", "", "largest energy of a cell over its noise"),
        "cells": Field("i4", "", "list: indices into `cells`"),
        "weights": Field("f4", "", "list: share of each of these cells that belongs here"),
    },
    "particles": {
        **_PARTICLE,
        "pt_error": Field("f4", "GeV", "uncertainty of pt; detector at signal level"),
        "vertex": Field("i2", "", "collision: 0 the hard one, -1 unknown; at signal level"),
        "track": Field("i4", "", "index into `tracks`, -1: none; at signal level"),
    },
    "muons": {
        **_MOMENTUM,
        "charge": Field("i1", "e", "electric charge"),
        "d0": _IMPACT["d0"],
        "dz": _IMPACT["dz"],
        "pt_error": Field("f4", "GeV", "uncertainty of pt"),
        "standalone_pt": Field("f4", "GeV", "of the muon system alone"),
        "standalone_error": Field("f4", "GeV", "its uncertainty"),
        "track": Field("i4", "", "index into `tracks`, -1: none"),
        "segments": Field("i1", "", "number of segments"),
        "fit_chi2": Field("f4", "", "chi2 per degree of freedom of the segments"),
        "match_chi2": Field("f4", "", "of track and muon system, 4 degrees of freedom; -1: none"),
        "balance": Field("f4", "", "|q/p| of muon system less tracker, over its error"),
        "truth": Field("i4", "", "index into `truth`"),
        "isolation": Field("f4", "", "pT within 0.3 over its own, pile-up taken off"),
    },
    "electrons": {
        **_MOMENTUM,
        "charge": Field("i1", "e", "electric charge"),
        "d0": _IMPACT["d0"],
        "dz": _IMPACT["dz"],
        "pt_error": Field("f4", "GeV", "uncertainty of pt"),
        "track": Field("i4", "", "index into `tracks`"),
        "energy_ratio": Field("f4", "", "energy of the clusters over momentum of the track"),
        "isolation": Field("f4", "", "as of `muons`"),
    },
    "photons": {
        **_MOMENTUM,
        "pt_error": Field("f4", "GeV", "uncertainty of pt"),
        "leakage": Field("f4", "", "pT of neutral hadrons within 0.1 over its own"),
        "isolation": Field("f4", "", "as of `muons`"),
    },
    "taus": {
        **_MOMENTUM,
        "charge": Field("i1", "e", "electric charge"),
        "prongs": Field("i1", "", "charged hadrons: 1 or 3"),
        "isolation": Field("f4", "", "pT within 0.4 over its own, pile-up taken off"),
        "pt_error": Field("f4", "GeV", "uncertainty of pt"),
    },
    "met": {
        "pt": Field("f4", "GeV", "missing transverse momentum"),
        "phi": Field("f4", "rad", "its azimuth"),
        "sum_et": Field("f4", "GeV", "scalar sum of what it is made of"),
        "significance": Field("f4", "", "over its expected error: sqrt(m^T V^-1 m)"),
        "xx": Field("f4", "GeV^2", "V, covariance of its components"),
        "xy": Field("f4", "GeV^2", "see xx"),
        "yy": Field("f4", "GeV^2", "see xx"),
    },
    "jets": {
        **_MOMENTUM,
        "event": Field("u8", "", "number of the event that the jet is from; decides the split"),
        "process": Field("i2", "", "index into the dataset's list of processes"),
        "label": Field("i2", "", "index into the dataset's class names, -1: none"),
        "weight": Field("f4", "", "generator weight"),
        "softdrop_mass": Field("f4", "GeV", "mass after soft drop (beta 0, z_cut 0.1)"),
        "tau1": Field("f4", "", "1-subjettiness, beta 1"),
        "tau2": Field("f4", "", "2-subjettiness, beta 1"),
        "tau3": Field("f4", "", "3-subjettiness, beta 1"),
        "tau4": Field("f4", "", "4-subjettiness, beta 1"),
        "tau21": Field("f4", "", "tau2 / tau1"),
        "tau32": Field("f4", "", "tau3 / tau2"),
        "tau43": Field("f4", "", "tau4 / tau3"),
        "c2": Field("f4", "", "energy-correlation ratio C2, beta 1"),
        "d2": Field("f4", "", "energy-correlation ratio D2, beta 1"),
        "n2": Field("f4", "", "energy-correlation ratio N2, beta 1"),
        "ptd": Field("f4", "", "sqrt(sum pT^2) / sum pT"),
        "width": Field("f4", "", "pT-weighted mean distance of the constituents to the axis"),
        "multiplicity": Field("i4", "", "number of constituents"),
        "raw_pt": Field("f4", "GeV", "pile-up taken off, not calibrated; at signal level"),
        "pt_error": Field("f4", "GeV", "uncertainty of pt; at signal level"),
        "charged_fraction": Field("f4", "", "share of charged particles; at signal level"),
        "vertex_fraction": Field(
            "f4", "", "share of the hard collision in charged pT, -1: no tracks; at signal level"
        ),
    },
    "constituents": _PARTICLE,
}
#: particles of pile-up from a library that can leave tracks; where signals and tracks have an
#: index into `truth` beyond its end, it goes on here: see `with_pileup`
FIELDS["pileup"] = FIELDS["truth"]

#: the five classes that a detector tells apart, by |PDG number| of their stand-in
CLASSES_OF_PARTICLES = {
    "charged hadron": 211,
    "neutral hadron": 130,
    "photon": 22,
    "electron": 11,
    "muon": 13,
}


def particle_class(pdg_id: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """The detector's class of particles, as the |PDG number| of the class's stand-in.

    Args:
        pdg_id: (N,) PDG numbers.
        charge: (N,) electric charges [e].

    Returns:
        (N,) int32 out of 11, 13, 22, 130, 211.
    """
    number = np.abs(pdg_id)
    leptons = (number == 11) | (number == 13) | (number == 22)
    return np.where(leptons, number, np.where(charge != 0, 211, 130)).astype(np.int32)


def momenta(array: ak.Array) -> ak.Array:
    """The same array with the behaviours of `Momentum4D` (`.px`, `.deltaR`, `+` ...)."""
    return ak.with_name(array, "Momentum4D", behavior=vector.backends.awkward.behavior)


def with_pileup(truth: ak.Array, pileup: ak.Array) -> ak.Array:
    """All particles that the signals of an event with pile-up from a library refer to.

    Args:
        truth: lists of particles per event.
        pileup: lists per event of the particles of further collisions, with `vertex` 1, 2 ...

    Returns:
        Lists of those of `truth` and then those of `pileup`, with `vertex` 0 for the event's own
        collision where `truth` does not tell otherwise.
    """
    if "vertex" not in truth.fields:
        truth = ak.with_field(truth, ak.zeros_like(truth.status), "vertex")
    names = [name for name in truth.fields if name in pileup.fields]
    return ak.concatenate([truth[names], pileup[names]], axis=1)


def validate(array: ak.Array, collection: str) -> ak.Array:
    """Check that an array holds what its collection promises.

    Args:
        array: records, flat or nested, with at least `pt eta phi mass` where the collection has
            momenta.
        collection: a name in `FIELDS`.

    Returns:
        The array itself.

    Raises:
        ValueError: unknown collection, missing momentum field, NaN or infinite or negative
            momenta.
    """
    if collection not in FIELDS:
        message = f"unknown collection {collection!r}; choose from {', '.join(FIELDS)}"
        raise ValueError(message)
    needed = [name for name in ("pt", "eta", "phi", "mass") if name in FIELDS[collection]]
    missing = [name for name in needed if name not in array.fields]
    if missing:
        has = ", ".join(array.fields) or "no fields"
        message = f"{collection}: missing {', '.join(missing)}; it has {has}"
        raise ValueError(message)
    if not len(array):
        return array
    for name in needed:
        values = array[name]
        values = np.asarray(values if values.ndim == 1 else ak.flatten(values, axis=None))
        bad = np.count_nonzero(~np.isfinite(values))
        if bad:
            message = (
                f"{collection}.{name}: {bad} of {values.size} values are NaN or infinite; "
                "remove these entries before going on"
            )
            raise ValueError(message)
        if name == "pt" and values.size and values.min() < 0:
            message = f"{collection}.pt: negative value {values.min():g} GeV; pT must be >= 0"
            raise ValueError(message)
    return array
