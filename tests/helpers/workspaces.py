"""Workspaces of real analyses, as their READMEs describe them, and random ones."""

import json
from pathlib import Path

import numpy as np
import uproot

CHANNELS = ("4mu", "4e", "2mu2e")
DATA = {"4mu": "DoubleMu", "2mu2e": "DoubleMu", "4e": "DoubleE"}
#: sample -> (cross-section [pb] times K, generated events), 2012 and 2011
PREDICTIONS = {
    "ZZ4mu": ((0.077 * 1.386, 1499064), (0.067 * 1.386, 1447136)),
    "ZZ4e": ((0.077 * 1.386, 1499093), (0.067 * 1.386, 1493308)),
    "ZZ2mu2e": ((0.18 * 1.386, 1497445), (0.15 * 1.386, 1479879)),
    "TTBar": ((200, 6423106), (177.31 * 0.11, 9771205)),
    "DY50TuneZ": ((2955 * 1.12, 29426492), (2475 * 1.12, 36408225)),
    "DY10": ((10.742 * 1.12, 6462290), (9507 * 1.12, 39909640)),
    "HZZ": ((0.0065, 299973), (0.0057, 299683)),
}
#: file name endings and luminosities [1/pb]
YEARS = (("12", 11580), ("11", 2330))


def measurement(poi, parameters=()):
    return {"name": "fit", "config": {"poi": poi, "parameters": list(parameters)}}


def normsys(name, up, down):
    return {"name": name, "type": "normsys", "data": {"hi": up, "lo": down}}


def normfactor(name):
    return {"name": name, "type": "normfactor", "data": None}


def _histogram(folder: Path, name: str, channel: str) -> np.ndarray:
    with uproot.open(folder / f"{name}.root") as file:
        return file[f"demo/mass{channel}_8TeV_low"].values()


def higgs_yields(real_data: Path, channel: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal, background and data of one channel, 37 bins from 70 to 181 GeV."""
    folder = real_data / "cms_higgs4l" / "histograms"
    signal, background, data = np.zeros((3, 37))
    for index, (year, luminosity) in enumerate(YEARS):
        data += _histogram(folder, f"{DATA[channel]}{year}", channel)
        for name, values in PREDICTIONS.items():
            # the second Drell-Yan sample has another name in 2011
            cross_section, events = values[index]
            found = _histogram(folder, f"{name}{year}", channel)
            part = found * luminosity * cross_section / events
            if name == "HZZ":
                signal += part
            else:
                background += part
    return signal, background, data


def higgs_4l(real_data: Path, apart: bool = False) -> dict:
    """H -> ZZ -> 4l: all channels added, or three channels."""
    found = {channel: higgs_yields(real_data, channel) for channel in CHANNELS}
    if not apart:
        found = {"4l": tuple(np.sum(list(found.values()), axis=0))}
    channels, observations = [], []
    for name, (signal, background, data) in found.items():
        kept = background > 0
        samples = [
            ("signal", signal, [normfactor("mu"), normsys("signal_norm", 1.1, 0.9)]),
            ("background", background, [normsys("background_norm", 1.1, 0.9)]),
        ]
        channels.append(
            {
                "name": name,
                "samples": [
                    {"name": sample, "data": values[kept].tolist(), "modifiers": modifiers}
                    for sample, values, modifiers in samples
                ],
            }
        )
        observations.append({"name": name, "data": data[kept].tolist()})
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [measurement("mu")],
        "version": "1.0.0",
    }


AGC_SAMPLES = ("ttbar", "single_top_s_chan", "single_top_t_chan", "single_top_tW", "wjets")


def _variation(name, nominal, up, down):
    """A variation as its effect on the norm and on the shape, as cabinetry splits it."""
    high, low = up.sum() / nominal.sum(), down.sum() / nominal.sum()
    shapes = {"hi_data": (up / high).tolist(), "lo_data": (down / low).tolist()}
    return [normsys(name, high, low), {"name": name, "type": "histosys", "data": shapes}]


def agc_ttbar(real_data: Path) -> dict:
    """The AGC's ttbar model: 2 regions of 11 bins, 12 parameters, no statistical terms."""
    path = real_data / "agc_ttbar" / "histos_all_file_per_process.json"
    stored = json.loads(path.read_text())

    def bins(name):
        return np.array(stored[name]["contents"][4:26]).reshape(11, 2).sum(axis=1)

    channels, observations = [], []
    for region in ("4j1b", "4j2b"):
        samples = []
        for sample in AGC_SAMPLES:
            base = f"{region}_{sample}"
            nominal = bins(base)
            modifiers = [normsys("lumi", 1.03, 0.97)]
            for index in range(4):
                key = f"{base}_btag_var_{index}"
                modifiers += _variation(
                    f"btag_{index}", nominal, bins(f"{key}_up"), bins(f"{key}_down")
                )
            mirrored = {"JES": "pt_scale_up", "JER": "pt_res_up"}
            if sample == "ttbar":
                modifiers.append(normfactor("ttbar_norm"))
                mirrored |= {"ME": "ME_var", "PS": "PS_var"}
                modifiers += _variation(
                    "ttbar_scale", nominal, bins(f"{base}_scaleup"), bins(f"{base}_scaledown")
                )
            if sample == "wjets":
                up, down = bins(f"{base}_scale_var_up"), bins(f"{base}_scale_var_down")
                modifiers += _variation("wjets_scale", nominal, up, down)
            for name, key in mirrored.items():
                up = bins(f"{base}_{key}")
                modifiers += _variation(name, nominal, up, 2 * nominal - up)
            samples.append({"name": sample, "data": nominal.tolist(), "modifiers": modifiers})
        channels.append({"name": region, "samples": samples})
        observations.append({"name": region, "data": bins(f"{region}_pseudodata").tolist()})
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [measurement("ttbar_norm")],
        "version": "1.0.0",
    }


def counting(signal=10.0, background=50.0, observed=60.0, uncertainty=0.0, bounds=(0.0, 10.0)):
    """One bin; the background known to a relative uncertainty, with a Poisson constraint."""
    modifiers = []
    if uncertainty:
        data = [background * uncertainty]
        modifiers = [{"name": "gamma", "type": "shapesys", "data": data}]
    samples = [
        {"name": "signal", "data": [signal], "modifiers": [normfactor("mu")]},
        {"name": "background", "data": [background], "modifiers": modifiers},
    ]
    parameters = [{"name": "mu", "bounds": [list(bounds)], "inits": [1.0]}]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": [observed]}],
        "measurements": [measurement("mu", parameters)],
        "version": "1.0.0",
    }


def shape_model(bounds=(-10.0, 10.0)):
    """A peak of 60 events on a falling background of 1000, with shape and norm uncertainties."""
    x = np.arange(20)
    signal = 60 * np.exp(-0.5 * ((x - 9) / 1.5) ** 2) / np.sqrt(2 * np.pi * 1.5**2)
    background = np.exp(-x / 8)
    background *= 1000 / background.sum()
    tilt = 0.03 * (x - 9.5) / 9.5
    shapes = {"hi_data": (background * (1 + tilt)).tolist()}
    shapes["lo_data"] = (background * (1 - tilt)).tolist()
    parameters = [{"name": "mu", "bounds": [list(bounds)]}]
    samples = [
        {
            "name": "signal",
            "data": signal.tolist(),
            "modifiers": [normfactor("mu"), normsys("eff", 1.02, 0.98)],
        },
        {
            "name": "background",
            "data": background.tolist(),
            "modifiers": [
                {"name": "tilt", "type": "histosys", "data": shapes},
                normsys("norm", 1.05, 0.95),
            ],
        },
    ]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": np.rint(signal + background).tolist()}],
        "measurements": [measurement("mu", parameters)],
        "version": "1.0.0",
    }


def random_workspace(seed: int) -> dict:
    """A workspace with some of all modifiers, always those of three kinds."""
    rng = np.random.default_rng(seed)
    regions = [f"region{index}" for index in rng.permutation(3)[: rng.integers(1, 4)]]
    sizes = {name: int(rng.integers(1, 6)) for name in regions}
    # a shapefactor shared by regions needs the same bins in them
    free_shape = regions[0] if rng.random() < 0.5 else None
    channels, observations = [], []
    for region in regions:
        n = sizes[region]
        names = ["signal", *(f"background{index}" for index in range(rng.integers(1, 4)))]
        samples = [_random_sample(rng, region, name, n, free_shape == region) for name in names]
        channels.append({"name": region, "samples": samples})
        total = np.sum([sample["data"] for sample in samples], axis=0)
        observations.append({"name": region, "data": rng.poisson(total).tolist()})
    lumi = {
        "name": "lumi",
        "auxdata": [1.0],
        "sigmas": [0.02],
        "inits": [1.0],
        "bounds": [[0.5, 1.5]],
    }
    parameters = [lumi] if '"lumi"' in json.dumps(channels) else []
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [measurement("mu", parameters)],
        "version": "1.0.0",
    }


def _random_sample(rng, region, name, n, free_shape):
    data = rng.uniform(1, 60, n)
    if name != "signal" and rng.random() < 0.2:
        data[rng.integers(n)] = 0.0
    modifiers = [normfactor("mu")] if name == "signal" else []
    add = modifiers.append
    if rng.random() < 0.6:
        up, down = data * rng.normal(1.1, 0.1, n), data * rng.normal(0.9, 0.1, n)
        shapes = {"hi_data": up.tolist(), "lo_data": down.tolist()}
        add({"name": f"shape{rng.integers(2)}", "type": "histosys", "data": shapes})
    if rng.random() < 0.6:
        add(normsys(f"norm{rng.integers(2)}", rng.uniform(1, 1.5), rng.uniform(0.6, 1)))
    if rng.random() < 0.3:
        add(normsys("shape0", rng.uniform(1, 1.5), rng.uniform(0.6, 1)))
    if rng.random() < 0.5:
        add({"name": "lumi", "type": "lumi", "data": None})
    if rng.random() < 0.5:
        data_errors = (data * rng.uniform(0.0, 0.3, n)).tolist()
        add({"name": f"stat_{region}", "type": "staterror", "data": data_errors})
    if rng.random() < 0.4:
        errors = (data * rng.uniform(0.01, 0.3, n)).tolist()
        add({"name": f"uncorrelated_{region}_{name}", "type": "shapesys", "data": errors})
    if free_shape and name == "background0":
        add({"name": "free_shape", "type": "shapefactor", "data": None})
    if rng.random() < 0.3:
        add(normfactor("k"))
    return {"name": name, "data": data.tolist(), "modifiers": modifiers}
