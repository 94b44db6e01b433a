"""How many particles a second the calorimeters take: showers, readout and clusters, one core.

    python benchmarks/calorimeter.py

Particles like those of a ttbar event at the calorimeters' front: energies and kinds are drawn from
the distribution below (half pions, a third photons; pT exponential about 0.9 GeV with a tail to
100 GeV). CPU time, median of 5 rounds.

- deposits_per_second: particles a second through `deposit`.
- signals_per_second: through `deposit` and `read_out`, 350 particles an event.
- clusters_event_ms: CPU time of `clusters` for such an event.
"""

from __future__ import annotations

import json
import os
import statistics
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.readout import read_out
from fivesigma.geometry.calorimeters import ATLAS
from fivesigma.reconstruction.clusters import clusters

EVENTS, PER_EVENT, ROUNDS = 20, 350, 5
KINDS = np.array([211, -211, 22, 130, 321, 2112, 2212, 11, 13])
SHARES = np.array([0.25, 0.25, 0.36, 0.03, 0.05, 0.02, 0.02, 0.015, 0.005])


def main() -> None:
    """Measure."""
    rng = np.random.default_rng(1)
    n = EVENTS * PER_EVENT
    eta = rng.uniform(-4.8, 4.8, n)
    pt = rng.exponential(0.9, n) + np.where(rng.random(n) < 0.03, rng.exponential(20.0, n), 0.0)
    energy = np.maximum(pt * np.cosh(eta), 1.0)
    particles = gun(rng.choice(KINDS, n, p=SHARES), energy, eta, ATLAS, rng)
    particles = particles._replace(event=np.repeat(np.arange(EVENTS), PER_EVENT))
    rates: dict[str, list[float]] = {"deposit": [], "signals": [], "clusters": []}
    for number in range(ROUNDS + 1):
        times = [time.process_time()]
        contributions = deposit(particles, ATLAS, rng).contributions
        times.append(time.process_time())
        cells = read_out(contributions, EVENTS, ATLAS, rng)
        times.append(time.process_time())
        clusters(cells, ATLAS)
        times.append(time.process_time())
        if number:  # the first round compiles
            rates["deposit"].append(n / (times[1] - times[0]))
            rates["signals"].append(n / (times[2] - times[0]))
            rates["clusters"].append((times[3] - times[2]) / EVENTS * 1e3)
    names = {"deposit": "deposits_per_second", "signals": "signals_per_second"}
    units = {"deposit": "particles/s", "signals": "particles/s", "clusters": "ms"}
    figures = {
        names.get(key, "clusters_event_ms"): {
            "value": round(statistics.median(values), 2),
            "low": round(min(values), 2),
            "high": round(max(values), 2),
            "unit": units[key],
            "reference": "8000 particles/s" if key != "clusters" else "",
        }
        for key, values in rates.items()
    }
    print(json.dumps({"benchmark": "calorimeter", "figures": figures}))


if __name__ == "__main__":
    main()
