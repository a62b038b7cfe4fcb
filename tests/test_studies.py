"""Verdicts of the studies: their files, and the verdicts recomputed from the numbers in them."""

from importlib import import_module

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim.studies import __main__ as studies
from gradsim.studies import _study

JUDGED = {
    name: module
    for name in studies.studies()
    if hasattr(module := import_module(f"gradsim.studies.{name}"), "STUDY")
}
TERMS = ("claim", "statistic", "population", "theory", "condition")
FEW = 12
LIGHT = {  # what the runs of these tests do less of; margins and parts stay
    "every_direction": {"WIDTH": 30, "LESSON": {"examples": 8, "steps": 4}},
    "order_chaos": {"WIDTH": 50, "PAIR_WIDTH": 50, "EXAMPLES": 8, "STEPS": 4, "TRAIN_WIDTH": 32},
    "which_gain": {"CALIBRATED": (50,)},
}


def few(study):
    """Networks of a test: those of a quick run where that has fewer."""
    return min(FEW, study.quick)


@pytest.fixture(scope="module", params=sorted(JUDGED))
def judged(request, tmp_path_factory):
    """Study, its file, and what it printed, of a few networks."""
    folder = tmp_path_factory.mktemp(request.param)
    study = JUDGED[request.param].STUDY
    asked = ["--quick", "--seeds", str(few(study))]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LIGHT.get(request.param, {}).items():
            patch.setattr(JUDGED[request.param], name, value)
        assert study.main([*asked, "--out", str(folder), "--threads", "2"]) == 0
    return study, folder


def test_file__says_what_was_fixed_before_the_run(judged):
    study, folder = judged
    ds = gs.load(folder / f"{study.name}.nc")
    assert {name: ds.attrs[name] for name in TERMS} == {n: getattr(study, n) for n in TERMS}
    assert ds.sizes["seed"] == few(study)
    margins = [(part.text, part.low, part.high) for part in study.parts]
    stored = zip(ds.part.values, ds.margin_low.values, ds.margin_high.values)
    assert [(str(text), low, high) for text, low, high in stored] == margins


def test_verdict__follows_from_the_networks_in_the_file(judged):
    """The intervals from the numbers of the networks, and the verdict by another rule."""
    study, folder = judged
    ds = gs.load(folder / f"{study.name}.nc")
    numbers = np.array(study.estimate(ds))
    stored = np.stack([ds.estimate, ds.low, ds.high, ds.theory], axis=1)
    np.testing.assert_allclose(numbers, stored, rtol=1e-9, atol=1e-12)
    inside = (ds.low >= ds.margin_low) & (ds.high <= ds.margin_high)
    outside = (ds.low > ds.margin_high) | (ds.high < ds.margin_low)
    if not (inside | outside).all():
        expected = "undecided"
    else:
        expected = {0: "fails", ds.sizes["part"]: "holds"}.get(int(inside.sum()))
        expected = expected or "holds with a condition"
    assert ds.attrs["verdict"] == expected


def test_figure__is_written_and_not_blank(judged):
    study, folder = judged
    picture = matplotlib.image.imread(folder / f"{study.name}.png")[..., :3]
    assert np.ptp(picture, axis=2).max() > 0.3, "no colour"
    assert 0.02 < (picture.min(axis=2) < 0.9).mean() < 0.9


def test_interval__covers_the_estimate_and_is_no_point(judged):
    study, folder = judged
    ds = gs.load(folder / f"{study.name}.nc")
    slack = 1e-12 + 1e-9 * abs(ds.estimate)
    assert ((ds.low <= ds.estimate + slack) & (ds.estimate <= ds.high + slack)).all()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.2, "holds"),
        (0.0, 1.0, "holds"),
        (-0.1, 0.5, "undecided"),
        (0.5, 1.5, "undecided"),
        (-1.0, 2.0, "undecided"),
        (1.5, 2.0, "fails"),
        (-2.0, -1.0, "fails"),
        (np.nan, 1.0, "not testable here"),
    ],
)
def test_status__is_where_the_interval_lies(low, high, expected):
    assert _study.status(_parts([(low, high)])) == [expected]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.1, 0.2), (0.3, 0.4)], "holds"),
        ([(2, 3), (-2, -1)], "fails"),
        ([(0.1, 0.2), (2, 3)], "holds with a condition"),
        ([(0.1, 0.2), (2, 3), (0.9, 1.1)], "undecided"),
        ([(0.1, 0.2), (np.nan, np.nan)], "not testable here"),
    ],
)
def test_verdict__is_undecided_as_soon_as_a_part_is(intervals, expected):
    assert _study.verdict(_parts(intervals)) == expected


def _parts(intervals):
    low, high = np.array(intervals, dtype=float).T
    ends = {"low": low, "high": high}
    ends["margin_low"], ends["margin_high"] = np.zeros(len(low)), np.ones(len(low))
    return xr.Dataset({name: ("part", values) for name, values in ends.items()})


def test_bootstrap__interval_of_a_mean_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(2.0, 3.0, size=2000)
    estimate, low, high, theory = _study.bootstrap(np.mean, values, 2.0)
    half = 2.5758 * values.std() / np.sqrt(len(values))
    assert (estimate, theory) == (values.mean(), 2.0)
    np.testing.assert_allclose([low, high], [estimate - half, estimate + half], atol=0.15 * half)


def test_log10_rms__has_no_underflow():
    assert _study.log10_rms(np.array([-1000.0, -1000.0])) == pytest.approx(-1000.0)
    assert _study.log10_rms(np.array([-400.0, -np.inf])) == pytest.approx(
        -400.0 - 0.5 * np.log10(2)
    )


def test_all__runs_every_study_with_the_same_options_and_ends_with_the_verdicts(
    tmp_path, capsys, monkeypatch
):
    chosen = {name: purpose for name, purpose in studies.studies().items() if name == "sigmoid"}
    monkeypatch.setattr(studies, "studies", lambda: chosen)
    assert studies.main(["all", "--seeds", "3", "--out", str(tmp_path), "--threads", "2"]) == 0
    table = capsys.readouterr().out.split("=== verdicts")[1]
    ds = gs.load(tmp_path / "sigmoid.nc")
    assert table.split()[0] == "sigmoid"
    assert ds.attrs["verdict"].upper() in " ".join(table.split())
    page = (tmp_path / "verdicts.md").read_text()
    assert all(page.count(f"| {part} | ") == 1 for part in ds.part.values)
    assert (tmp_path / page.split("![sigmoid](")[1].partition(")")[0]).is_file()


def test_conclusion__gives_the_condition_only_where_the_parts_are_as_it_says():
    ds = _parts([(0.1, 0.2), (2, 3)]).assign_coords(part=["first", "second"])
    ds.attrs = {"verdict": _study.verdict(ds), "condition": "Only the first."}
    stated = ds.assign(condition_holds=("part", [True, False]))
    assert _study.conclusion(stated) == "HOLDS WITH A CONDITION. Only the first."
    other = _study.conclusion(ds.assign(condition_holds=("part", [True, True])))
    assert "Only the first" not in other
    assert other.endswith("Not as the condition says: second.")


def test_conclusion__names_the_undecided_parts():
    ds = _parts([(0.1, 0.2), (0.5, 3)]).assign_coords(part=["first", "second"])
    ds.attrs = {"verdict": _study.verdict(ds), "condition": "Only the first."}
    got = _study.conclusion(ds.assign(condition_holds=("part", [True, False])))
    assert got == "UNDECIDED. It rests on: second."


def test_run__in_parts_adds_what_is_no_networks_own_of_all_of_them(tmp_path):
    sizes = []

    def measure(seeds, threads):
        ids = np.array(seeds)
        return xr.Dataset({"x": ("seed", ids**2.0)}, {"seed": ids})

    def whole(ds):
        sizes.append(ds.sizes["seed"])
        return xr.Dataset({"mean": ds.x.mean()})

    study = _study.Study(
        name="parts", claim="", statistic="", population="", theory="", condition="",
        parts=(_study.Part("mean", 0.0, 10.0),), networks=5, quick=2, measure=measure, whole=whole,
        estimate=lambda ds: [_study.bootstrap(np.mean, ds.x)], figure=lambda ds: None,
    )  # fmt: skip
    in_parts = study.run(range(5), store=tmp_path / "run")
    assert sizes == [5]
    assert in_parts["mean"] == 6.0
    xr.testing.assert_identical(in_parts.drop_attrs(), study.run(range(5)).drop_attrs())


def test_run__refuses_a_single_network():
    with pytest.raises(ValueError, match="sigmoid: an interval needs at least 2 seeds, got 1"):
        JUDGED["sigmoid"].STUDY.run(1)


@pytest.mark.parametrize("name", sorted(JUDGED))
def test_condition__leaves_parts_that_hold_and_parts_that_fail(name):
    study = JUDGED[name].STUDY
    expected = {True, False} if study.condition else {True}  # none: holds as it stands
    assert {part.holds for part in study.parts} == expected
