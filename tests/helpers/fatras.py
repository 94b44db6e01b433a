"""Particles through ACTS' Fatras in the generic (TrackML) detector, written as CSV.

Run by an environment with `pyacts`: python fatras.py FOLDER;
`tests/detector/tracker/test_fatras.py` reads the folder.
"""

import sys
from pathlib import Path

#: name of the sub-folder -> (PDG number, particles, pT from, pT to [GeV])
SAMPLES = {
    "pions": (211, 4000, 0.5, 10.0),
    "muons_1": (13, 4000, 1.0, 1.001),
    "muons_10": (13, 4000, 10.0, 10.01),
}


def shoot(folder: Path, pdg: int, number: int, low: float, high: float) -> None:
    import acts
    import acts.examples as examples
    from acts.examples.simulation import (
        EtaConfig,
        MomentumConfig,
        ParticleConfig,
        addFatras,
        addParticleGun,
    )

    unit = acts.UnitConstants
    folder.mkdir(parents=True, exist_ok=True)
    random = examples.RandomNumbers(seed=42)
    field = acts.ConstantBField(acts.Vector3(0, 0, 2 * unit.T))
    geometry = examples.GenericDetector(examples.GenericDetector.Config()).trackingGeometry()
    sequence = examples.Sequencer(events=1, numThreads=1, outputDir=str(folder))
    addParticleGun(
        sequence,
        MomentumConfig(low * unit.GeV, high * unit.GeV, transverse=True),
        EtaConfig(-2.5, 2.5, uniform=True),
        ParticleConfig(number, acts.PdgParticle(pdg), randomizeCharge=True),
        rnd=random,
        outputDirCsv=str(folder),
    )
    addFatras(sequence, geometry, field, rnd=random, outputDirCsv=str(folder))
    sequence.run()


def main(folder: Path) -> None:
    for name, sample in SAMPLES.items():
        shoot(folder / name, *sample)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
