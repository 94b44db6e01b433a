"""Taus that decay to hadrons, after the hadrons-plus-strips algorithm of CMS (arXiv:1510.07488).

A charged hadron without a harder one nearby is the axis. Charged hadrons in a cone that shrinks
with pT and neutral particles in a strip, in which conversions spread along phi, are the tau; their
number and mass must fit to a decay h, h pi0 or hhh, and little may lie around. Other than there,
neutral hadrons count like photons, as photons close to a charged hadron often look like them.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

__all__ = ["TauOptions", "taus"]

_PION = 0.13957


@dataclass(frozen=True)
class TauOptions:
    """Cuts; cone and mass windows are those of arXiv:1510.07488 and 1809.02816, others our own.

    Attributes:
        pt_min: least visible pT [GeV].
        eta_max: largest |eta|.
        lead_pt_min: least pT of the hardest charged hadron [GeV].
        track_pt_min, neutral_pt_min: softer ones do not count [GeV].
        cone: R of charged hadrons is cone[0] / pT, between cone[1] and cone[2].
        strip: half widths in eta and phi within which neutral particles belong to the tau.
        around: radius of isolation.
        pileup_share: neutral over charged particles of other collisions, in pT.
        isolation_max: largest pT around over that of the tau.
        leptons: electrons and muons this close to the axis are the tau's own track.
    """

    pt_min: float = 20.0
    eta_max: float = 2.4
    lead_pt_min: float = 1.0
    track_pt_min: float = 1.0
    neutral_pt_min: float = 0.5
    cone: tuple[float, float, float] = (3.0, 0.05, 0.1)
    strip: tuple[float, float] = (0.05, 0.15)
    around: float = 0.4
    pileup_share: float = 0.4
    isolation_max: float = 0.2
    leptons: float = 0.1


class _Around:
    """Particles within a radius of axes, as flat columns (M,), axis by axis.

    Attributes:
        owner: row of the axis.
        apart, along, across: distance, and its parts in eta and phi.
        neutral: whether it has no charge.
        hadron, charged: whether it is a charged hadron, or any charged one, of the hard collision.
        other: whether it is a charged particle of another one.
    """

    def __init__(self, axes: ak.Array, particles: ak.Array, radius: float) -> None:
        pairs = ak.cartesian({"a": axes, "p": particles}, nested=True)
        across = (pairs.p.phi - pairs.a.phi + np.pi) % (2 * np.pi) - np.pi
        near = np.hypot(pairs.p.eta - pairs.a.eta, across) < radius
        kept = ak.flatten(pairs.p[near], axis=1)
        self.size = len(kept)
        self.owner = np.repeat(np.arange(self.size), ak.to_numpy(ak.num(kept)))
        flat = ak.flatten(kept)
        column = {name: ak.to_numpy(flat[name]).astype(np.float64) for name in _COLUMNS}
        self.pt, self.eta, self.phi = (column[name] for name in ("pt", "eta", "phi"))
        self.charge, self.error = column["charge"], column["pt_error"]
        axis = ak.flatten(axes)
        self.along = self.eta - ak.to_numpy(axis.eta)[self.owner]
        turned = self.phi - ak.to_numpy(axis.phi)[self.owner]
        self.across = (turned + np.pi) % (2 * np.pi) - np.pi
        self.apart = np.hypot(self.along, self.across)
        own = column["vertex"] <= 0
        self.neutral = self.charge == 0
        self.hadron = own & (np.abs(column["pdg_id"]) == 211)
        self.charged = own & (column["charge"] != 0)
        self.other = ~own & (column["charge"] != 0)

    def sum(self, values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Of chosen particles, axis by axis (A,)."""
        return np.bincount(self.owner[chosen], values[chosen], self.size)


def taus(
    particles: ak.Array,
    leptons: ak.Array,
    options: TauOptions = TauOptions(),  # noqa: B008
) -> ak.Array:
    """Taus of the hard collision, by falling pT.

    Args:
        particles: lists per event of all collisions, with `vertex`.
        leptons: lists per event of isolated electrons and muons with `eta phi`.
        options: cuts.

    Returns:
        Lists per event: `pt eta phi mass` of what is visible, `charge`, `prongs`, `isolation`,
        `pt_error`.
    """
    axes = _axes(particles, leptons, options)
    near = _Around(axes, particles, options.around)
    tracks = near.hadron & (near.pt > options.track_pt_min)
    neutrals = near.neutral & (near.pt > options.neutral_pt_min)
    strip = (np.abs(near.along) < options.strip[0]) & (np.abs(near.across) < options.strip[1])
    whole = near.sum(near.pt, (tracks & (near.apart < options.cone[2])) | (neutrals & strip))
    cone = np.clip(options.cone[0] / np.maximum(whole, 1e-6), *options.cone[1:])[near.owner]
    prong = tracks & (near.apart < cone)
    own = prong | (neutrals & strip)
    columns = _visible(near, prong, own)
    charged = near.sum(near.pt, near.charged & (near.pt > options.track_pt_min) & ~own)
    neutral = near.sum(near.pt, neutrals & ~own)
    expected = options.pileup_share * near.sum(near.pt, near.other)
    around = charged + np.maximum(neutral - expected, 0.0)
    columns["isolation"] = around / np.maximum(columns["pt"], 1e-6)
    good = (columns["pt"] > options.pt_min) & (columns["isolation"] < options.isolation_max)
    good &= _of_decay(columns, near.sum(near.pt, neutrals & strip))
    records = {
        name: values.astype(_TYPES.get(name, np.float32)) for name, values in columns.items()
    }
    found = ak.unflatten(ak.zip(records, with_name="Momentum4D"), ak.num(axes))
    found = found[ak.unflatten(good, ak.num(axes))]
    return found[ak.argsort(found.pt, axis=1, ascending=False)]


def _axes(particles: ak.Array, leptons: ak.Array, options: TauOptions) -> ak.Array:
    """Charged hadrons of the hard collision without a harder one around, that are no leptons."""
    hadron = (abs(particles.pdg_id) == 211) & (particles.vertex <= 0)
    axes = particles[hadron & (particles.pt > options.lead_pt_min)][["pt", "eta", "phi"]]
    pairs = ak.cartesian({"a": axes, "b": axes}, nested=True)
    harder = _close(pairs, options.around) & (pairs.b.pt > pairs.a.pt)
    taken = _close(ak.cartesian({"a": axes, "b": leptons}, nested=True), options.leptons)
    kept = ~ak.any(harder, axis=2) & ~ak.any(taken, axis=2) & (abs(axes.eta) < options.eta_max)
    return axes[kept]


def _close(pairs: ak.Array, radius: float) -> ak.Array:
    """Whether both members of pairs lie within a radius."""
    across = (pairs.b.phi - pairs.a.phi + np.pi) % (2 * np.pi) - np.pi
    return np.hypot(pairs.b.eta - pairs.a.eta, across) < radius


def _visible(near: _Around, prong: np.ndarray, own: np.ndarray) -> dict[str, np.ndarray]:
    """Momentum, charge, prongs and error of the taus (A,)."""
    mass = np.where(prong, _PION, 0.0)
    pz = near.pt * np.sinh(near.eta)
    px, py = near.pt * np.cos(near.phi), near.pt * np.sin(near.phi)
    energy = np.sqrt(near.pt**2 + pz**2 + mass**2)
    x, y, z, e = (near.sum(values, own) for values in (px, py, pz, energy))
    pt = np.hypot(x, y)
    return {
        "pt": pt,
        "eta": np.arcsinh(z / np.maximum(pt, 1e-9)),
        "phi": np.arctan2(y, x),
        "mass": np.sqrt(np.maximum(e**2 - pt**2 - z**2, 0.0)),
        "charge": near.sum(near.charge, prong),
        "prongs": near.sum(np.ones(near.pt.size), prong),
        "pt_error": np.sqrt(near.sum(near.error**2, own)),
    }


def _of_decay(columns: dict[str, np.ndarray], neutral: np.ndarray) -> np.ndarray:
    """Whether charge, number of hadrons and mass fit to a decay (A,); neutral: pT of these."""
    one, three = columns["prongs"] == 1, columns["prongs"] == 3
    mass, share = columns["mass"], neutral / np.maximum(columns["pt"], 1e-6)
    highest = np.clip(1.3 * np.sqrt(columns["pt"] / 100), 1.3, 4.2)
    alone = share < 0.05
    one &= alone | ((mass > 0.3) & (mass < highest))
    three &= (np.abs(columns["charge"]) == 1) & (mass > 0.8) & (mass < 1.5)
    return one | three


_COLUMNS = ("pt", "eta", "phi", "charge", "pdg_id", "pt_error", "vertex")
_TYPES = {"charge": np.int8, "prongs": np.int8}
