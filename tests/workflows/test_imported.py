"""Published weights give the published numbers."""

import pickle

import awkward as ak
import numpy as np
import pytest
import torch

from fivesigma import cli
from fivesigma.features import FEATURE_SETS
from fivesigma.formats import read
from fivesigma.inputs import Inputs
from fivesigma.models import build
from fivesigma.models.blocks import MOMENTA
from fivesigma.preparation import build_cache
from fivesigma.runs import load_run
from fivesigma.workflows.imported import import_
from fivesigma.workflows.weightnames import JETCLASS

#: jets' kind -> class, right ones of 100 with 17 features, with 7
TOPS = {"hadronic": ("Tbqq", 94, 86), "leptonic": ("Tbl", 98, 93)}
FILES = {"full": "jetclass_top_{}_100.npz", "kin": "jetclass_top_{}_kin_100.npz"}


def imported(real_data, name, out):
    return import_("weaver", real_data / "weights" / f"ParticleNet_{name}.pt", out)


@pytest.mark.parametrize("kind", TOPS)
@pytest.mark.parametrize("features", FILES)
def test_reference_logits(real_data, tmp_path, features, kind):
    run = imported(real_data, features, tmp_path / "run")
    assert run.classes == list(JETCLASS) and run.finished and run.history() == []
    assert run.inputs.features == FEATURE_SETS[features]
    reference = np.load(real_data / "weights" / "particlenet_reference_outputs.npz")
    stored = np.load(real_data / "jets" / FILES[features].format(kind))
    x = torch.from_numpy(stored["features"]).transpose(1, 2)
    mask = torch.from_numpy(stored["mask"][:, 0] > 0)
    with torch.inference_mode():
        logits = run.model(x, mask).numpy()
    np.testing.assert_allclose(logits[:10], reference[f"pn_{features}_{kind}_logits"], atol=1e-3)
    label, *right = TOPS[kind]
    found = (logits.argmax(1) == run.classes.index(label)).sum()
    assert found == right[list(FILES).index(features)]


@pytest.mark.parametrize("kind", TOPS)
def test_predicts_from_momenta(real_data, tmp_path, kind):
    """From four-vectors alone: the published jets' axes are not quite the constituents' sums."""
    imported(real_data, "kin", tmp_path / "run")
    scores = load_run(tmp_path / "run").predict(
        read(real_data / "jets" / FILES["kin"].format(kind))
    )
    label, _, right = TOPS[kind]
    assert scores.shape == (100, 10)
    assert (scores.argmax(1) == JETCLASS.index(label)).sum() == pytest.approx(right, abs=3)


def stored_features(real_data, features, kind):
    """(T, 7) kinematic features as published, which are not clipped there."""
    stored = np.load(real_data / "jets" / FILES[features].format(kind))
    mask = stored["mask"][:, 0] > 0
    columns = [FEATURE_SETS[features].index(name) for name in FEATURE_SETS["kin"]]
    return stored["features"].transpose(0, 2, 1)[mask][:, columns]


@pytest.mark.parametrize("kind", TOPS)
@pytest.mark.parametrize("features", FILES)
def test_rebuilt_features_are_the_published_ones(real_data, features, kind):
    jets = read(real_data / "jets" / FILES[features].format(kind))
    want = stored_features(real_data, features, kind)
    got = build_cache(jets, Inputs()).values
    same = [
        FEATURE_SETS["kin"].index(name) for name in ("log_pt", "log_energy", "log_pt_rel", "dphi")
    ]
    np.testing.assert_allclose(got[:, same], want[:, same], atol=1e-5)
    assert abs(got - want.clip(-5, 5)).max() < 0.08  # eta and energy of the sum
    counts = ak.num(jets.constituents)
    jets = ak.with_field(jets, *published_axis(jets, want, counts)[0])
    jets = ak.with_field(jets, *published_axis(jets, want, counts)[1])
    got = build_cache(jets, Inputs()).values
    np.testing.assert_allclose(got, want.clip(-5, 5), atol=5e-4)


def published_axis(jets, want, counts):
    """Eta and mass [GeV] of the jets, which the published features imply."""
    first = np.cumsum(counts) - counts
    leading = jets.constituents[:, 0]
    deta = want[first, FEATURE_SETS["kin"].index("deta")].astype(np.float64)
    eta = np.asarray(leading.eta) - deta * np.where(np.asarray(jets.eta) < 0, -1, 1)
    energy = np.hypot(leading.pt * np.cosh(leading.eta), leading.mass)
    relative = want[first, FEATURE_SETS["kin"].index("log_energy_rel")] / 0.7 - 4.7
    momentum = np.asarray(jets.pt) * np.cosh(eta)
    mass = np.sqrt((np.asarray(energy) / np.exp(relative.astype(np.float64))) ** 2 - momentum**2)
    return (eta, "eta"), (mass, "mass")


def weaver_state(n_features=7, n_classes=2, widths=((8, 8), (8, 8)), hidden=6):
    """A small state dict in weaver's names, written down from the layout alone."""
    torch.manual_seed(2)
    norm = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
    state = {f"bn_fts.{k}": torch.full((n_features,), v) for k, v in norm.items()}
    state["bn_fts.num_batches_tracked"] = torch.tensor(7)
    before = n_features
    for i, block in enumerate(widths):
        fan_in = 2 * before
        for j, width in enumerate(block):
            state[f"edge_convs.{i}.convs.{j}.weight"] = torch.randn(width, fan_in, 1, 1)
            for k, v in norm.items():
                state[f"edge_convs.{i}.bns.{j}.{k}"] = torch.full((width,), v)
            state[f"edge_convs.{i}.bns.{j}.num_batches_tracked"] = torch.tensor(7)
            fan_in = width
        if before != block[-1]:
            state[f"edge_convs.{i}.sc.weight"] = torch.randn(block[-1], before, 1)
            for k, v in norm.items():
                state[f"edge_convs.{i}.sc_bn.{k}"] = torch.full((block[-1],), v)
            state[f"edge_convs.{i}.sc_bn.num_batches_tracked"] = torch.tensor(7)
        before = block[-1]
    state |= {"fc.0.0.weight": torch.randn(hidden, before), "fc.0.0.bias": torch.zeros(hidden)}
    state |= {"fc.1.weight": torch.randn(n_classes, hidden), "fc.1.bias": torch.zeros(n_classes)}
    return {f"mod.{name}": tensor for name, tensor in state.items()}


def saved(tmp_path, content):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    return path


def test_other_widths_inputs_and_classes(tmp_path):
    path = saved(tmp_path, weaver_state(n_features=3))
    features = ("log_pt", "deta", "dphi")
    run = import_(
        *("weaver", path, tmp_path / "run"),
        classes=("top", "qcd"), features=features, options={"k": 3},
    )  # fmt: skip
    assert run.classes == ["top", "qcd"] and run.inputs.features == features
    assert run.model_yaml["options"]["blocks"] == [[8, 8], [8, 8]]
    assert run.model_yaml["options"]["head"] == [6] and run.model.k == 3
    assert run.inputs.mean == (1.7, 0.0, 0.0) and run.inputs.scale == (0.7, 1.0, 1.0)
    assert run.model_yaml["provenance"]["weights"] == "weights.pt"


def test_repeated_and_with_other_weights(tmp_path):
    classes, out = ("top", "qcd"), tmp_path / "run"
    path = saved(tmp_path, weaver_state())
    for _ in range(2):
        import_("weaver", path, out, classes=classes)
    saved(tmp_path, {k: v + 1 for k, v in weaver_state().items()})
    with pytest.raises(ValueError, match="holds a run with other settings"):
        import_("weaver", path, out, classes=classes)
    run = import_("weaver", path, out, classes=classes, overwrite=True)
    assert run.model.norm.num_batches_tracked == 8


PART_LAYERS = (
    *("pre_attn_norm", "attn.in_proj", "attn.out_proj", "post_attn_norm"),
    *("pre_fc_norm", "fc1", "post_fc_norm", "fc2"),
)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def part_names(embed, pair, layers, class_layers, hidden):
    """weaver-core's names and ours of a Particle Transformer, tensor by tensor."""
    pairs = [
        ("cls_token", "cls_token"),
        ("norm.weight", "norm.weight"),
        ("norm.bias", "norm.bias"),
    ]
    names = [f"embed.input_bn.{kind}" for kind in NORM]
    for i in range(embed):
        names += [f"embed.embed.{3 * i + j}.{kind}" for j in (0, 1) for kind in NORM[:2]]
    if pair:
        names += [f"pair_embed.embed.0.{kind}" for kind in NORM]
    for i in range(pair):
        names += [f"pair_embed.embed.{3 * i + 1}.{kind}" for kind in NORM[:2]]
        names += [f"pair_embed.embed.{3 * i + 2}.{kind}" for kind in NORM]
    for part, count in (("blocks", layers), ("cls_blocks", class_layers)):
        for i in range(count):
            names += [f"{part}.{i}.c_attn", f"{part}.{i}.w_resid"]
            names += [f"{part}.{i}.{layer}.{kind}" for layer in PART_LAYERS for kind in NORM[:2]]
    pairs += [(name, name) for name in names]
    for kind in NORM[:2]:
        pairs += [(f"fc.{i}.0.{kind}", f"fc.{2 * i}.{kind}") for i in range(hidden)]
        pairs += [(f"fc.{hidden}.{kind}", f"fc.{2 * hidden}.{kind}")]
    return pairs


def weaver_part(state, names, underscore):
    """The state dict that weaver-core would have written, in the shapes of its layers."""
    theirs = {}
    for name, ours in names:
        value = state[ours]
        if name == "cls_token":
            value = value[None, None]
        elif name.startswith("pair_embed.embed") and value.ndim == 2:
            value = value[..., None]  # a convolution there
        if underscore:
            name = name.replace("in_proj.", "in_proj_")
        theirs[f"mod.{name}"] = value
    assert len(theirs) == len(state)
    return theirs


def disturbed(model, n_classes, features, options):
    """A network away from its start, with statistics that matter."""
    torch.manual_seed(5)
    network = build(model, n_classes, Inputs(features=features), options)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value *= 0.5 + torch.rand(value.shape)
            elif value.is_floating_point():
                value += 0.1 * torch.randn(value.shape)
    return network.eval()


def jets(features):
    """Four jets, whose four-momenta are those of constituents."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(4, 9, len(features), generator=generator)
    if set(MOMENTA) <= set(features):
        columns = [features.index(axis) for axis in MOMENTA]
        x[..., columns[3]] = x[..., columns].square().sum(-1).sqrt() + 0.1
    return x, torch.arange(9) < torch.tensor([9, 4, 1, 7])[:, None]


def assert_same_logits(run, network):
    x, mask = jets(run.inputs.features)
    with torch.inference_mode():
        want = network(x, mask)
        torch.testing.assert_close(run.model(x, mask), want, atol=0, rtol=0)
    assert want.std() > 0.01


@pytest.mark.parametrize("underscore", [False, True])
def test_part(tmp_path, underscore):
    options = {"embed": (16, 48, 24), "pair": (12, 10), "heads": 4, "layers": 3, "ratio": 2,
               "class_layers": 1, "fc": (20, 14)}  # fmt: skip
    network = disturbed("part", 10, (*FEATURE_SETS["full"], *MOMENTA), options)
    names = part_names(embed=3, pair=3, layers=3, class_layers=1, hidden=2)
    path = saved(tmp_path, weaver_part(network.state_dict(), names, underscore))
    run = import_("weaver", path, tmp_path / "run")
    assert run.model_yaml["model"] == "part" and run.classes == list(JETCLASS)
    assert run.inputs.features == (*FEATURE_SETS["full"], *MOMENTA)
    assert run.inputs.mean[-4:] == (0.0,) * 4 and run.inputs.scale[-4:] == (1.0,) * 4
    assert run.inputs.mean[:2] == (1.7, 2.0)
    found = run.model_yaml["options"]
    assert {key: found[key] for key in options} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }
    assert_same_logits(run, network)


def test_published_part_has_its_options(tmp_path):
    network = disturbed("part", 2, (*FEATURE_SETS["kin"], *MOMENTA), {})
    names = part_names(embed=3, pair=4, layers=8, class_layers=2, hidden=0)
    path = saved(tmp_path, weaver_part(network.state_dict(), names, underscore=False))
    run = import_("weaver", path, tmp_path / "run", classes=("QCD", "top"))
    assert run.n_parameters == 2_141_134
    assert_same_logits(run, network)


def test_part_without_pairs(tmp_path):
    features = ("z", "charge", "deta")
    options = {"embed": (16, 8), "heads": 2, "layers": 2}
    network = disturbed("transformer", 3, features, options)
    names = part_names(embed=2, pair=0, layers=2, class_layers=2, hidden=0)
    path = saved(tmp_path, weaver_part(network.state_dict(), names, underscore=False))
    run = import_("weaver", path, tmp_path / "run", classes=tuple("abc"), features=features)
    assert run.model_yaml["model"] == "transformer" and run.inputs.features == features
    assert_same_logits(run, network)


LORENTZNET_LAYERS = {
    "phi_e.0": ("weight",),
    "phi_e.1": NORM,
    "phi_e.3": ("weight", "bias"),
    "phi_m.0": ("weight", "bias"),
    "phi_x.0": ("weight", "bias"),
    "phi_x.2": ("weight",),
    "phi_h.0": ("weight", "bias"),
    "phi_h.1": NORM,
    "phi_h.3": ("weight", "bias"),
}


def lorentznet_state(network, blocks, block="LGEBs", decoder="decoder"):
    """Its state dict in the names of others."""
    names = {f"embedding.{kind}": f"embedding.{kind}" for kind in NORM[:2]}
    names |= {f"{decoder}.{i}.{kind}": f"head.{i}.{kind}" for i in (0, 3) for kind in NORM[:2]}
    for i in range(blocks):
        for layer, kinds in LORENTZNET_LAYERS.items():
            if i < blocks - 1 or not layer.startswith("phi_x"):
                names |= {
                    f"{block}.{i}.{layer}.{kind}": f"blocks.{i}.{layer}.{kind}" for kind in kinds
                }
    state = network.state_dict()
    assert len(names) == len(state)
    return {f"module.{name}": state[ours] for name, ours in names.items()}


@pytest.mark.parametrize("others", [(), ("charge", "is_electron", "is_muon", "is_photon")])
def test_lorentznet(tmp_path, others):
    features = (*others, *MOMENTA)
    options = {"width": 12, "blocks": 3, "readout": "legacy"}
    network = disturbed("lorentznet", 2, features, options)
    path = saved(tmp_path, lorentznet_state(network, 3))
    run = import_("lorentznet", path, tmp_path / "run", classes=("QCD", "top"), features=others)
    assert run.inputs.features == features and run.inputs.mean == (0.0,) * len(features)
    found = run.model_yaml["options"]
    assert found["c"] == 5e-3 and {key: found[key] for key in options} == options
    assert_same_logits(run, network)


def test_options_and_constituents_are_ours_to_choose(tmp_path):
    options = {"width": 12, "blocks": 2, "readout": "masked", "c": 1e-3}
    network = disturbed("lorentznet", 2, MOMENTA, options)
    path = saved(tmp_path, lorentznet_state(network, 2, "blocks", "head"))
    run = import_(
        *("lorentznet", path, tmp_path / "run"), classes=("QCD", "top"), features=MOMENTA,
        options={"c": 1e-3, "readout": "masked"}, max_constituents=200,
    )  # fmt: skip
    assert run.model_yaml["options"]["c"] == 1e-3 and run.inputs.max_constituents == 200
    assert_same_logits(run, network)


def test_small_particlenet_keeps_its_seven_neighbours(tmp_path):
    state = weaver_state(widths=((32, 32, 32), (64, 64, 64)), hidden=128)
    path = saved(tmp_path, state)
    run = import_("weaver", path, tmp_path / "run", classes=("a", "b"))
    assert run.model_yaml["model"] == "particlenet-lite" and run.model.k == 7


def test_half_precision_becomes_single(tmp_path):
    path = saved(tmp_path, {k: v.half() for k, v in weaver_state().items()})
    run = import_("weaver", path, tmp_path / "run", classes=("a", "b"))
    assert all(value.dtype == torch.float32 for value in run.model.parameters())


@pytest.mark.parametrize("source", ["weaver", "lorentznet"])
def test_command(tmp_path, capsys, source):
    out, path = tmp_path / "run", tmp_path / "weights.pt"
    if source == "weaver":
        torch.save(weaver_state(n_features=3), path)
        more = ["--features", "log_pt,deta,dphi", "--options", '{"k": 3}']
    else:
        network = disturbed("lorentznet", 2, MOMENTA, {"width": 12, "blocks": 2})
        torch.save(lorentznet_state(network, 2), path)
        more = ["--options", '{"c": 0.001}']
    words = ["import", source, str(path), "--out", str(out), "--classes", "QCD,top", *more]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert f"next: fivesigma predict {out} FILE" in told and "tells QCD, top" in told
    run = load_run(out)
    assert run.classes == ["QCD", "top"]
    assert run.model.k == 3 if source == "weaver" else run.model_yaml["options"]["c"] == 1e-3
    assert cli.main(["import", source, str(path)]) == 2
    assert "out" in capsys.readouterr().err
    path.write_bytes(b"no weights")
    assert cli.main([*words, "--overwrite"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no state dict that torch can load safely" in line
    assert load_run(out).classes == ["QCD", "top"]  # as it was


def test_imported_weights_take_files(real_data, tmp_path):
    """From four-vectors to scores, with momenta among the inputs."""
    network = disturbed("lorentznet", 2, MOMENTA, {"width": 12, "blocks": 2})
    path = saved(tmp_path, lorentznet_state(network, 2))
    run = import_("lorentznet", path, tmp_path / "run", classes=("QCD", "top"))
    some = read(real_data / "jets" / "top_landscape_1000.npz")[:1]
    p = np.load(real_data / "jets" / "top_landscape_1000.npz")["pxpypzE"]
    p = torch.from_numpy(p[: ak.num(some.constituents)[0]])[None]
    with torch.inference_mode():
        want = run.model(p).softmax(1).numpy()
    # the masses of massless constituents are rounding, and this network looks at masses
    np.testing.assert_allclose(run.predict(some), want, atol=2e-3)


def without(name):
    return {k: v for k, v in weaver_state().items() if k != f"mod.{name}"}


def one_changed(name, change):
    state = weaver_state()
    return state | {f"mod.{name}": change(state[f"mod.{name}"])}


@pytest.mark.parametrize(
    ("content", "classes", "text"),
    [
        (lambda: {"a": torch.zeros(2)}, "ab", "neither edge_convs of ParticleNet nor .* but a"),
        (lambda: without("bn_fts.weight"), "ab", "as weaver: no norm.weight in it"),
        (
            lambda: weaver_state() | {"mod.fusion_block.0.weight": torch.zeros(2, 2, 1)},
            *("ab", "more than our network knows: mod.fusion_block.0.weight"),
        ),
        (
            lambda: weaver_state() | {"bn_fts.weight": torch.zeros(7)},
            *("ab", "more than our network knows: bn_fts.weight"),
        ),
        (lambda: without("fc.1.bias"), "ab", "does not fit ParticleNet: head.3.bias missing"),
        (
            lambda: one_changed("edge_convs.1.convs.0.weight", lambda v: v[:, :5]),
            *("ab", "does not fit ParticleNet: blocks.1.linears.0.weight .8, 5., expected .8, 16"),
        ),
        (
            lambda: one_changed("fc.1.bias", lambda v: v / 0),
            "ab",
            "is damaged: .* in mod.fc.1.bias",
        ),
        (
            lambda: one_changed("fc.0.0.weight", lambda v: torch.zeros(1).expand(6, 10**12)),
            *("ab", "is damaged: .* in mod.fc.0.0.weight"),
        ),
        (lambda: one_changed("bn_fts.weight", lambda v: v.to_sparse()), "ab", "is damaged"),
        (lambda: [1, 2], "ab", "holds no state dict, names with tensors, but list"),
        (lambda: {"epoch": 3}, "ab", "no state dict, names with tensors, but dict of epoch"),
        (dict, "ab", "no state dict, names with tensors, but dict of nothing"),
        (weaver_state, "", "are 2 classes; give that many different names, got none"),
        (weaver_state, "abc", "are 2 classes; .* got a, b, c"),
        (lambda: weaver_state(n_features=5), "ab", "takes 5 features; name them in their order"),
    ],
)
def test_mistakes(tmp_path, content, classes, text):
    path = saved(tmp_path, content())
    with pytest.raises(ValueError, match=text) as caught:
        import_("weaver", path, tmp_path / "run", classes=tuple(classes))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("source", "named", "text"),
    [
        ("weaver", {"options": {"kk": 7}}, "unknown option 'kk'"),
        ("weaver", {"features": ("px",) * 7}, "needs the features deta, dphi"),
        ("weaver", {"features": ("tea",) * 7}, "unknown feature 'tea'"),
        ("weaver", {"features": ("log_mass",)}, "takes 7 features; .* got log_mass"),
        ("weaver", {"max_constituents": -1}, "must all be positive"),
        ("lorentznet", {}, "more than our network knows: mod.bn_fts.weight"),
    ],
)
def test_mistaken_choices(tmp_path, source, named, text):
    path = saved(tmp_path, weaver_state())
    with pytest.raises(ValueError, match=text):
        import_(source, path, tmp_path / "run", classes=("a", "b"), **named)
    assert not (tmp_path / "run").exists()


def test_later_versions_of_part_are_refused(tmp_path):
    network = disturbed("transformer", 2, FEATURE_SETS["kin"], {"layers": 1})
    names = part_names(embed=3, pair=0, layers=1, class_layers=2, hidden=0)
    state = weaver_part(network.state_dict(), names, underscore=False)
    gate = state["mod.blocks.0.fc1.weight"]
    path = saved(tmp_path, state | {"mod.blocks.0.fc1_g.weight": gate})
    with pytest.raises(ValueError, match="more than our network knows: mod.blocks.0.fc1_g.weight"):
        import_("weaver", path, tmp_path / "run", classes=("a", "b"))


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path):
    harmed, path = tmp_path / "harmed", tmp_path / "weights.pt"
    contents = (Harmful(harmed), weaver_state() | {"x": Harmful(harmed)})
    for content in contents:
        for zipped in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            with pytest.raises(ValueError, match="is no state dict that torch can load safely"):
                import_("weaver", path, tmp_path / "run")
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match="is no state dict that torch can load safely"):
            import_("weaver", path, tmp_path / "run")
    assert not harmed.exists() and not (tmp_path / "run").exists()
    pickle.loads(pickle.dumps(contents[0]))
    assert harmed.exists()  # it would have been


def test_files_that_torch_does_not_load(tmp_path):
    for content in (b"", b"no weights", saved(tmp_path, weaver_state()).read_bytes()[:2000]):
        path = tmp_path / "broken.pt"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no state dict that torch can load safely"):
            import_("weaver", path, tmp_path / "run")
    with pytest.raises(ValueError, match="does not exist"):
        import_("weaver", tmp_path / "none.pt", tmp_path / "run")
    with pytest.raises(ValueError, match="is a folder"):
        import_("weaver", tmp_path, tmp_path / "run")
    with pytest.raises(ValueError, match="unknown source 'keras'; choose from weaver, lorentznet"):
        import_("keras", path, tmp_path / "run")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_anywhere(tmp_path, zipped):
    """Whatever bytes are damaged, the file is refused in one line or gives finite weights."""
    path, rng = tmp_path / "weights.pt", np.random.default_rng(7)
    torch.save(weaver_state(), path, _use_new_zipfile_serialization=zipped)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for attempt in range(60):
        content = whole.copy()
        content[rng.integers(0, len(whole), 1 + 20 * (attempt % 2))] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(whole))] if attempt % 3 == 0 else content)
        try:
            run = import_("weaver", path, tmp_path / f"{attempt}", classes=("a", "b"))
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert all(value.isfinite().all() for value in run.model.state_dict().values())
