"""Object-level detector response: from stable particles to energy-flow particles.

Each stable particle is carried through the solenoid to the calorimeter surface; charged ones leave
a track with the preset's efficiency, momentum resolution and impact-parameter resolution; energies
are summed in towers and smeared; in each tower the calorimeter energy beyond what its tracks
explain becomes a neutral particle, otherwise the tracks are moved to the best estimate of both.
The formulae are those of the published fast simulation (Delphes 3, arXiv:1307.6346); the code is
our own, compiled, and works on batches of events.
"""

from __future__ import annotations

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.detector.energy_flow import Neutrals, Towers, combine, merge, tower_numbers
from fivesigma.detector.propagation import propagate
from fivesigma.detector.tracks import (
    efficiency,
    lognormal,
    momentum_resolution,
    sigma_d0,
    tables,
)
from fivesigma.events import particle_class, validate
from fivesigma.geometry import Detector, Response

__all__ = ["respond"]

_NEUTRINOS = (12, 14, 16)
#: |PDG number| -> fraction of the energy in the ECAL; hadrons not named leave all in the HCAL
_ECAL_FRACTION = {11: 1.0, 22: 1.0, 111: 1.0, 310: 0.3, 3122: 0.3}
_COLUMNS = ("pt", "eta", "phi", "mass", "charge", "vx", "vy", "vz")
_FIELDS = ("pt", "eta", "phi", "mass", "charge", "pdg_id", "d0", "dz", "d0_error", "dz_error")


def respond(truth: ak.Array, detector: Detector, rng: np.random.Generator) -> ak.Array:
    """Turn stable particles into energy-flow particles.

    Args:
        truth: lists of particles per event with the fields of `truth`; only final ones (status >
            0) count.
        detector: a preset of `geometry.DETECTORS`.
        rng: source of all randomness.

    Returns:
        Lists of `particles` per event: tracks (charged) with `pt eta phi mass charge pdg_id d0 dz
        d0_error dz_error` and neutrals (22 from the ECAL, 130 from the HCAL), all massless as
        energy flow gives them, tracks first.

    Raises:
        ValueError: NaN or infinite momenta, or a preset without object-level response.

    Example:
        >>> import numpy as np
        >>> from fivesigma.generation.pythia import Generation, Generator
        >>> from fivesigma.geometry import detector
        >>> events = Generator(Generation(process="ttbar"), seed=1).next(10)
        >>> particles = respond(events.truth, detector("atlas"), np.random.default_rng(1))
    """
    validate(truth, "truth")
    response = _response(detector)
    n_events = len(truth)
    flat = ak.flatten(truth)
    event = np.repeat(np.arange(n_events), ak.to_numpy(ak.num(truth)))
    pdg_id = ak.to_numpy(flat.pdg_id)
    seen = (ak.to_numpy(flat.status) > 0) & ~np.isin(np.abs(pdg_id), _NEUTRINOS)
    column = {name: ak.to_numpy(flat[name])[seen].astype(np.float64) for name in _COLUMNS}
    event, pdg_id = event[seen], pdg_id[seen]
    surface = propagate(
        *(column["pt"], column["eta"], column["phi"], column["charge"]),
        *(column["vx"], column["vy"], column["vz"]),
        *(detector.radius, detector.half_length, detector.field),
    )
    kind = particle_class(pdg_id, column["charge"])
    track_pt, sigma = _tracks(column, kind, surface.reached, response, rng)
    energy = np.sqrt((column["pt"] * np.cosh(column["eta"])) ** 2 + column["mass"] ** 2)
    deposit = np.where(surface.reached & (kind != 13), energy, 0.0)
    # energy flow counts a track as massless, as it has no mass measurement
    track_energy = np.where(kind != 13, track_pt * np.cosh(column["eta"]), 0.0)
    starts = np.searchsorted(event, np.arange(n_events + 1))
    scale, neutrals = _neutrals(
        starts, surface.eta, surface.phi, deposit, _ecal_fraction(pdg_id), track_energy,
        sigma * track_energy, response, rng,
    )  # fmt: skip
    found = track_pt > 0
    tracks = {
        "event": event[found],
        "pt": (track_pt * scale)[found],
        "eta": column["eta"][found],
        "phi": column["phi"][found],
        "charge": column["charge"][found],
        "pdg_id": _track_pdg_id(kind[found], pdg_id[found]),
        **_impact_parameters(surface.d0[found], surface.dz[found], track_pt[found],
                             column["eta"][found], response, rng),
    }  # fmt: skip
    return _assemble(tracks, neutrals, n_events)


def _response(detector: Detector) -> Response:
    if detector.response is None:
        message = f"the detector {detector.name!r} has no object-level response; choose another"
        raise ValueError(message)
    return detector.response


def _ecal_fraction(pdg_id: np.ndarray) -> np.ndarray:
    fraction = np.zeros(pdg_id.shape)
    for number, value in _ECAL_FRACTION.items():
        fraction[np.abs(pdg_id) == number] = value
    return fraction


def _tracks(
    column: dict[str, np.ndarray],
    kind: np.ndarray,
    reached: np.ndarray,
    response: Response,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Measured pT [GeV], 0 where no track was found, and the relative resolution; each (N,)."""
    efficiencies, resolutions = tables(response.tracker)
    return _find_tracks(
        kind,
        column["pt"],
        column["eta"],
        reached & (column["charge"] != 0),
        efficiencies,
        resolutions,
        rng,
    )


@njit(cache=True)
def _find_tracks(
    kind: np.ndarray,
    pt: np.ndarray,
    eta: np.ndarray,
    candidate: np.ndarray,
    efficiencies: np.ndarray,
    resolutions: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    measured, sigma = np.zeros(pt.size), np.zeros(pt.size)
    for i in range(pt.size):
        if candidate[i] and rng.random() < efficiency(kind[i], pt[i], eta[i], efficiencies):
            sigma[i] = momentum_resolution(kind[i], pt[i], eta[i], resolutions)
            measured[i] = lognormal(pt[i], sigma[i], rng.standard_normal())
    return measured, sigma


def _neutrals(
    starts: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    deposit: np.ndarray,
    fraction: np.ndarray,
    track_energy: np.ndarray,
    track_sigma: np.ndarray,
    response: Response,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[tuple[int, Neutrals]]]:
    """Factors on the tracks (N,) and the neutrals of each calorimeter with their PDG number."""
    scale = np.ones(eta.size)
    out: list[Neutrals] = []
    for calorimeter, share in ((response.ecal, fraction), (response.hcal, 1.0 - fraction)):
        towers = Towers(
            tower_numbers(calorimeter, eta, phi),
            deposit * share,
            track_energy * share * scale,
            track_sigma * share,
        )
        out.append(
            combine(starts, towers, calorimeter, scale, rng, rescale=response.rescale_tracks)
        )
    if not response.combined_towers:
        return scale, [(22, out[0]), (130, out[1])]
    merged, hadronic = merge(*out)
    return scale, [
        (22, Neutrals(*(column[~hadronic] for column in merged))),
        (130, Neutrals(*(column[hadronic] for column in merged))),
    ]


def _track_pdg_id(kind: np.ndarray, pdg_id: np.ndarray) -> np.ndarray:
    """Leptons keep their number, every other track is a charged pion of its sign."""
    return np.where(kind == 211, np.sign(pdg_id) * 211, pdg_id)


def _impact_parameters(
    d0: np.ndarray,
    dz: np.ndarray,
    pt: np.ndarray,
    eta: np.ndarray,
    response: Response,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    d0_error = sigma_d0(response.tracker, pt, eta)
    dz_error = d0_error * response.tracker.dz_over_d0 * np.cosh(eta)
    return {
        "d0": d0 + d0_error * rng.standard_normal(d0.shape),
        "dz": dz + dz_error * rng.standard_normal(dz.shape),
        "d0_error": d0_error,
        "dz_error": dz_error,
    }


def _assemble(
    tracks: dict[str, np.ndarray], neutrals: list[tuple[int, Neutrals]], n_events: int
) -> ak.Array:
    """Tracks and neutrals as one list per event."""
    blocks = [tracks]
    for pdg_id, part in neutrals:
        blocks.append(
            {
                "event": part.event,
                "pt": part.energy / np.cosh(part.eta),
                "eta": part.eta,
                "phi": part.phi,
                "pdg_id": np.full(part.event.shape, pdg_id),
            }
        )
    event = np.concatenate([block["event"] for block in blocks])
    order = np.argsort(event, kind="stable")
    counts = np.bincount(event, minlength=n_events)
    types = {"charge": np.int8, "pdg_id": np.int32}
    columns = {
        name: np.concatenate(
            [
                block[name].astype(types.get(name, np.float32))
                if name in block
                else np.zeros(block["event"].shape, types.get(name, np.float32))
                for block in blocks
            ]
        )[order]
        for name in _FIELDS
    }
    return ak.unflatten(ak.zip(columns, with_name="Momentum4D"), counts)
