"""Caches and batches: nothing lost, nothing twice, the same order again, images as published."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import torch
import yaml
from helpers.synthetic_jets import make_jets

from fivesigma.batches import (
    Batches,
    Cache,
    Inputs,
    build_cache,
    jet_images,
    jet_weights,
    join_caches,
)
from fivesigma.caches import open_cache, write_cache

JETS = make_jets(1000, seed=7)
CACHE = build_cache(JETS, Inputs())
IMAGE = Inputs(kind="image", channels=("pt", "charged_pt", "count"), features=())
OBSERVABLES = Inputs(kind="observables", features=("mass", "tau21", "mass_over_pt"))


def rows(batches: Batches, k: int = 0, start: int = 0) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches.epoch(k, start)]


def flat(nested: list[list[int]]) -> list[int]:
    return [row for part in nested for row in part]


@pytest.mark.parametrize("inputs", [Inputs(), IMAGE, OBSERVABLES], ids=lambda i: i.kind)
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_jet_once_per_epoch(inputs, shuffle):
    batches = Batches(build_cache(JETS, inputs), 64, shuffle=shuffle, seed=3)
    got = rows(batches, 2)
    assert sorted(flat(got)) == list(range(1000))
    assert len(got) == len(batches) == 16
    assert {len(part) for part in got} == {62, 63}  # no small remainder


def test_batches_hold_the_jets_they_name():
    for batch in Batches(CACHE, 100, shuffle=True, seed=1).epoch():
        assert batch.x.dtype == torch.float32 and batch.mask.dtype == torch.bool
        assert batch.x.shape[:2] == batch.mask.shape
        assert batch.mask.sum(1).max() == batch.x.shape[1]  # no further than the longest
        assert not batch.x[~batch.mask].any()
        for i, row in enumerate(batch.index.tolist()):
            want = CACHE.values[CACHE.begin[row] :][: CACHE.count[row]]
            np.testing.assert_array_equal(batch.x[i][batch.mask[i]], want)
            assert batch.mask[i, : len(want)].all()
        np.testing.assert_array_equal(batch.y, CACHE.label[batch.index])
        assert (batch.w == 1).all()


def test_order_depends_on_seed_and_epoch_alone():
    first, second = (Batches(CACHE, 64, shuffle=True, seed=5) for _ in range(2))
    rows(first, 0), rows(first, 1)
    assert rows(first, 3) == rows(second, 3)
    assert rows(first, 3) != rows(first, 4)
    assert rows(first, 3) != rows(Batches(CACHE, 64, shuffle=True, seed=6), 3)


def test_an_interrupted_epoch_goes_on():
    batches = Batches(CACHE, 64, shuffle=True, seed=5)
    assert rows(batches, 2)[5:] == rows(batches, 2, start=5)
    assert rows(batches, 2, start=len(batches)) == []


def realistic(n: int = 4000) -> Cache:
    """As many constituents as jets of 600 GeV have: 50 on average, seldom 120."""
    counts = np.random.default_rng(1).normal(50, 16, n).clip(3, 120).astype(int)
    values = np.ones((counts.sum(), 1), np.float32)
    return Cache(Inputs(features=("log_pt",)), values, np.cumsum(counts) - counts, counts)


def test_like_lengths_go_together():
    """Padding wastes far less than with jets in random order."""
    cache = realistic()

    def slots(shuffle: bool) -> int:
        return sum(b.mask.numel() for b in Batches(cache, 256, shuffle=shuffle).epoch())

    filled = cache.count.sum()
    assert slots(shuffle=False) < 1.12 * filled
    assert slots(shuffle=True) < 1.35 * filled
    parts = np.array_split(np.random.default_rng(2).permutation(cache.count), 16)
    assert sum(len(part) * part.max() for part in parts) > 1.8 * filled


def test_order_of_batches_is_shuffled_over_lengths():
    batches = Batches(realistic(), 256, shuffle=True, seed=2)
    longest = [batch.x.shape[1] for batch in batches.epoch()]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_an_epoch(world):
    parts = [
        rows(Batches(CACHE, 30, shuffle=True, seed=1, rank=rank, world=world), 1)
        for rank in range(world)
    ]
    assert len({len(part) for part in parts}) == 1  # or one would wait for ever
    assert sorted(row for part in parts for row in flat(part)) == list(range(1000))


def test_oversampling_makes_classes_equal():
    label = np.where(np.arange(1000) < 100, 1, 0)
    rare = build_cache(ak.with_field(JETS, label, "label"), Inputs())
    batches = Batches(rare, 64, shuffle=True, seed=1, oversample=True)
    drawn = np.array(flat(rows(batches)))
    assert len(batches) == -(-1800 // 64)
    assert np.bincount(label[drawn]).tolist() == [900, 900]
    assert set(drawn) == set(range(1000))  # none is lost
    more = make_jets(7)
    odd = build_cache(ak.with_field(more, [0, 0, 0, 0, 0, 1, 1], "label"), Inputs())
    times = [
        np.bincount(flat(rows(Batches(odd, 3, shuffle=True, seed=1, oversample=True), k)))
        for k in range(20)
    ]
    assert all(sorted(t[5:]) == [2, 3] for t in times)
    assert len({tuple(t) for t in times}) == 2  # the odd one is drawn anew in each epoch


def test_weights():
    weights = np.arange(1000, dtype=np.float64)
    for batch in Batches(CACHE, 64, shuffle=True, weights=weights).epoch():
        np.testing.assert_array_equal(batch.w, batch.index)
    by_class = jet_weights(CACHE, classes=True)
    sums = np.bincount(CACHE.label, by_class)
    np.testing.assert_allclose(sums, 500, rtol=1e-5)
    by_event = jet_weights(CACHE, events=True)
    np.testing.assert_allclose(by_event / by_event[0], CACHE.weight / CACHE.weight[0], rtol=1e-5)
    both = jet_weights(CACHE, classes=True, events=True)
    np.testing.assert_allclose(np.bincount(CACHE.label, both), 500, rtol=1e-5)
    assert both.dtype == np.float32 and abs(both.mean() - 1) < 1e-5
    assert (jet_weights(CACHE) == 1).all()


def test_leading_constituents_are_kept():
    short = build_cache(JETS, Inputs(features=("log_pt", "charge"), max_constituents=5))
    assert short.count.tolist() == np.minimum(ak.num(JETS.constituents), 5).tolist()
    order = ak.argsort(JETS.constituents.eta)  # no longer by falling pT
    shuffled = ak.with_field(JETS, JETS.constituents[order], "constituents")
    again = build_cache(shuffled, short.inputs)
    np.testing.assert_array_equal(again.values, short.values)


@pytest.mark.parametrize(
    "inputs", [Inputs(features=("dr", "px_rel")), IMAGE], ids=["sets", "image"]
)
def test_jets_are_computed_in_blocks(inputs, monkeypatch):
    """The size of the blocks changes nothing, nor do empty jets at their ends."""
    empty = np.isin(np.arange(1000), [0, 1, 6, 7, 500, 998, 999])
    kept = ak.num(JETS.constituents) * ~empty
    constituents = JETS.constituents[ak.local_index(JETS.constituents) < kept]
    jets = ak.with_field(JETS, constituents, "constituents")
    want = build_cache(jets, inputs)
    monkeypatch.setattr("fivesigma.preparation._BLOCK", 100)
    got = build_cache(jets, inputs)
    assert got.inputs == want.inputs
    for name in ("values", "begin", "count", "pixel"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))


def test_a_jet_without_pt_gives_the_means():
    """0 / 0 in its shares: no warning, no NaN."""
    jets = one_jet([0.0, 0.0], [0.1, -0.1], [0.0, 0.1])
    inputs = Inputs(features=("z", "deta_c", "dphi_rot", "log_pt_rel"))
    values = build_cache(jets, inputs).values
    assert (values[:, :3] == 0).all() and np.isfinite(values).all()


def test_constants_are_learned_once():
    names = ("log_pt", "px_rel")
    train = build_cache(JETS[:500], Inputs(features=names))
    assert train.inputs.mean[0] == 1.7 and train.inputs.scale[0] == 0.7
    np.testing.assert_allclose(train.values[:, 1].mean(), 0, atol=1e-3)
    assert 0.9 < train.values[:, 1].std() < 1.01  # clipped
    test = build_cache(JETS[500:], train.inputs)
    assert test.inputs == train.inputs
    np.testing.assert_array_equal(
        build_cache(JETS, train.inputs).values[: len(train.values)], train.values
    )


def test_observables():
    cache = build_cache(JETS, OBSERVABLES)
    np.testing.assert_allclose(cache.values.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(cache.values.std(0), 1, atol=1e-2)
    batch = next(Batches(cache, 1000, shuffle=False).epoch())
    assert batch.mask is None and batch.x.shape == (1000, 3)
    own = ak.with_field(JETS, np.arange(1000.0), "my_observable")
    inputs = Inputs(kind="observables", features=("my_observable",))
    assert build_cache(own, inputs).values[0, 0] < -1.7
    undefined = ak.with_field(JETS, np.where(np.arange(1000) < 5, np.nan, JETS.tau21), "tau21")
    assert (build_cache(undefined, OBSERVABLES).values[:5, 1] == 0).all()  # the mean


def test_jets_without_labels_or_constituents():
    bare = ak.without_field(ak.without_field(JETS, "label"), "weight")
    nothing = ak.with_field(JETS, JETS.constituents[:, :0], "constituents")[:3]
    batch = next(Batches(build_cache(bare, Inputs()), 8, shuffle=False).epoch())
    assert (batch.y == -1).all() and (batch.w == 1).all()
    batch = next(Batches(build_cache(nothing, Inputs()), 8, shuffle=False).epoch())
    assert batch.x.shape == (3, 1, 7) and not batch.mask.any()
    assert not jet_images(nothing, IMAGE).any()
    assert len(build_cache(JETS[:0], Inputs())) == 0


@pytest.fixture(params=[CACHE.inputs, IMAGE, OBSERVABLES], ids=lambda i: i.kind)
def whole(request):
    return build_cache(JETS, request.param)


def assert_same_jets(got, want):
    """The same jets give the same batches."""
    for one, other in zip(
        *(Batches(c, 128, shuffle=True).epoch() for c in (got, want)), strict=True
    ):
        for left, right in zip(one, other, strict=True):
            assert (left is right is None) or torch.equal(left, right)
    np.testing.assert_array_equal(got.event, want.event)


def test_take_and_join(whole):
    order = np.random.default_rng(0).permutation(1000)
    back = whole.take(order).take(np.argsort(order))
    assert_same_jets(back, whole)
    joined = join_caches([whole.take(np.arange(1000) < 300), whole.take(np.arange(300, 1000))])
    assert_same_jets(joined, whole)
    assert not np.array_equal(whole.take(order).event, whole.event)


def test_a_cache_comes_back_from_files(whole, tmp_path):
    parts = [build_cache(JETS[:300], whole.inputs), build_cache(JETS[300:], whole.inputs)]
    write_cache(tmp_path / "kept", parts)
    back = open_cache(tmp_path / "kept")
    assert back.inputs == whole.inputs and not back.values.flags.writeable
    for name in ("values", "begin", "count", "pixel", "label", "weight", "event"):
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
    write_cache(tmp_path / "kept", parts[:1])  # what is there stays
    assert len(open_cache(tmp_path / "kept")) == 1000
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("values", lambda b: b[:-4]),  # truncated
        ("label", lambda b: b[:-8]),
        ("begin", lambda b: b"\xff" * 8 + b[8:]),  # -1: before the first value
        ("count", lambda b: b[:-8] + b"\xff\xff\xff\x00" + b"\x00" * 4),  # beyond the last
        ("inputs.json", lambda b: b"[]"),
        ("inputs.json", lambda b: b.replace(b'"values"', b'"valves"')),
        ("inputs.json", lambda b: b.replace(b'"constituents"', b'"observables"')),
        ("inputs.json", lambda b: b.replace(b'"dphi"', b'"dphi", "dr"')),
    ],
)
def test_a_damaged_cache_is_refused(name, change, tmp_path):
    write_cache(tmp_path / "kept", [CACHE])
    path = tmp_path / "kept" / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match="kept") as found:
        open_cache(tmp_path / "kept")
    assert "\n" not in str(found.value)


def test_writing_that_fails_leaves_nothing(tmp_path):
    def caches():
        yield CACHE
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_cache(tmp_path / "kept", caches())
    assert not list(tmp_path.iterdir())


def test_inputs_survive_yaml():
    for inputs in (CACHE.inputs, IMAGE, OBSERVABLES):
        assert Inputs.from_dict(yaml.safe_load(yaml.safe_dump(inputs.to_dict()))) == inputs


def test_images_are_shares():
    images = jet_images(JETS, IMAGE)
    assert images.shape == (1000, 3, 40, 40)
    np.testing.assert_allclose(images[:, 0].sum((1, 2)), 1, rtol=1e-5)
    assert (images[:, 1] <= images[:, 0] + 1e-6).all() and images[:, 1].sum() > 100
    inside, counts = images[:, 2].sum((1, 2)), ak.to_numpy(ak.num(JETS.constituents))
    assert (inside == np.round(inside)).all() and (inside <= counts).all()
    assert inside.sum() > 0.97 * counts.sum()


def one_jet(pt, eta, phi, axis_eta=0.0, axis_phi=0.0) -> ak.Array:
    of_jet = {"pt": sum(pt), "eta": axis_eta, "phi": axis_phi, "mass": 100.0}
    constituents = {"pt": pt, "eta": eta, "phi": phi, "mass": [0.0] * len(pt)}
    array = ak.Array({name: [value] for name, value in of_jet.items()})
    return ak.with_field(array, ak.zip({k: [v] for k, v in constituents.items()}), "constituents")


def test_image_of_four_constituents():
    """By hand: on a tilted line, 60 % of the pT at +0.2, 40 % at -0.3, both split in two."""
    angle = 0.7
    along, across = np.array([0.2, 0.2, -0.3, -0.3]), np.array([0.05, -0.05, 0.05, -0.05])
    pt = [40.0, 20.0, 22.0, 18.0]
    eta = np.cos(angle) * along - np.sin(angle) * across + 1.0
    phi = np.sin(angle) * along + np.cos(angle) * across + 3.1
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    jet = one_jet(pt, eta.tolist(), phi.tolist(), 1.0, 3.1)
    image = jet_images(jet, Inputs(kind="image", features=(), pixels=8, half_width=0.4))[0, 0]
    np.testing.assert_allclose(np.sort(image[image > 0]), [0.18, 0.2, 0.22, 0.4], rtol=1e-5)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert row >= 4 and column >= 4  # upper right
    assert image[:, :4].sum() < image[:, 4:].sum() < 0.61  # along the columns' direction
    assert image[:2].sum() == image[6:].sum() == 0


@pytest.mark.parametrize("seed", range(3))
def test_image_does_not_change_when_the_jet_is_moved(seed):
    rng = np.random.default_rng(seed)
    n = 30
    pt = np.sort(rng.exponential(20, n))[::-1] + 1
    x, y = rng.normal(0, 0.2, n), rng.normal(0, 0.1, n)
    inputs = Inputs(kind="image", features=())
    want = jet_images(one_jet(pt.tolist(), x.tolist(), y.tolist()), inputs)
    cos, sin = np.cos(1.1), np.sin(1.1)
    for u, v in ((cos * x - sin * y, sin * x + cos * y), (-x, y), (x, -y)):
        eta, phi = u - 1.3, (v + 2.9 + np.pi) % (2 * np.pi) - np.pi
        moved = jet_images(one_jet(pt.tolist(), eta.tolist(), phi.tolist(), -1.3, 2.9), inputs)
        # rounding may carry a constituent over a pixel's edge
        assert np.count_nonzero(np.abs(moved - want) > 1e-4) <= 2


def test_resolution_and_pixels_are_options():
    fine = jet_images(JETS[:5], Inputs(kind="image", features=(), pixels=64, half_width=0.8))
    coarse = jet_images(JETS[:5], Inputs(kind="image", features=(), pixels=32, half_width=0.8))
    together = fine.reshape(5, 1, 32, 2, 32, 2).sum((3, 5))
    np.testing.assert_allclose(together, coarse, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "graph"}, "unknown kind of inputs 'graph'; choose from constituents, image"),
        ({"features": ("log_pt", "pt")}, "unknown feature 'pt'; choose from log_pt"),
        ({"kind": "image", "channels": ("rgb",)}, "unknown channel 'rgb'; choose from pt"),
        ({"features": ()}, "nothing in them"),
        ({"max_constituents": 0}, "must all be positive"),
        ({"kind": "image", "half_width": 0.0}, "must all be positive"),
        ({"features": ("log_pt",), "mean": (1.0, 2.0), "scale": (1.0,)}, "2 means and 1 scales"),
    ],
)
def test_wrong_inputs(options, text):
    with pytest.raises(ValueError, match=text):
        Inputs(**options)


def test_unknown_key_of_inputs():
    with pytest.raises(ValueError, match="unknown key of inputs 'pixel'; choose from kind"):
        Inputs.from_dict({"pixel": 40})


NAN = ak.with_field(JETS[:2], ak.with_field(JETS[:2].constituents, np.nan, "pt"), "constituents")


NEGATIVE = ak.with_field(
    JETS, ak.with_field(JETS.constituents, -JETS.constituents.pt, "pt"), "constituents"
)


@pytest.mark.parametrize(
    ("jets", "inputs", "text"),
    [
        (NAN, Inputs(), "NaN or infinite"),
        (NEGATIVE, Inputs(), "constituents.pt: negative value"),
        (NEGATIVE, IMAGE, "constituents.pt: negative value"),
        (JETS, Inputs(features=("tanh_d0",)), "needs constituents with the field 'd0'"),
        (JETS, Inputs(kind="observables", features=("d2",)), "needs jets with the field 'd2'"),
        (JETS, Inputs(kind="observables", features=("tauu",)), "unknown observable 'tauu'"),
        (JETS[:0], Inputs(kind="observables", features=("mass",)), "no values to learn"),
        (JETS[["pt", "eta", "phi", "mass"]], Inputs(), "have no constituents"),
        (JETS[["eta", "phi", "mass", "constituents"]], Inputs(), "jets: missing pt"),
    ],
)
def test_jets_that_cannot_be_used(jets, inputs, text):
    with pytest.raises(ValueError, match=text):
        build_cache(jets, inputs)


BARE = build_cache(JETS[["pt", "eta", "phi", "mass", "constituents"]], Inputs())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Batches(CACHE, 0, shuffle=True), "batch size 0"),
        (lambda: Batches(CACHE, 8, shuffle=True, rank=2, world=2), "rank 2 of 2"),
        (lambda: Batches(CACHE.take([0]), 8, shuffle=True, world=2), "1 jets for 2 processes"),
        (lambda: Batches(CACHE, 8, shuffle=True, weights=np.ones(3)), "3 weights for 1000 jets"),
        (lambda: Batches(BARE, 8, shuffle=True, oversample=True), "field 'label'"),
        (lambda: jet_weights(BARE, classes=True), "field 'label'"),
        (lambda: jet_weights(BARE, events=True), "field 'weight'"),
        (lambda: join_caches([]), "no caches"),
        (lambda: join_caches([CACHE, build_cache(JETS, IMAGE)]), "of differing inputs"),
        (lambda: jet_images(JETS, Inputs()), "images need kind 'image'"),
    ],
)
def test_mistakes(make, text):
    with pytest.raises(ValueError, match=text):
        make()
