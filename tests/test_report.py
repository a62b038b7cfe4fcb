"""Reports: each number is that of the analysis, each activation has its gain, nothing is hidden."""

import json
import re

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import analysis

INF = np.inf
NEEDED = ("gradient", "signal")


def run(model, seeds, **more):
    """Result of a few networks, without a bar."""
    return gs.simulate(model, seeds, progress=False, **more)


@pytest.fixture(scope="module")
def ds():
    vary = {"activation": ["tanh", "relu"], "sigma_w": [1.0, 2.0]}
    return run(gs.MLP(depth=25, width=60, loss="linear"), 40, vary=vary, measure=NEEDED)


@pytest.fixture(scope="module")
def lines(ds):
    return analysis.report(ds).splitlines()


def test_report__has_the_growth_of_each_condition_with_its_interval(ds, lines):
    growth = analysis.growth_rate(ds)
    for activation, way in (("tanh", "falls"), ("relu", "falls")):
        row = growth.sel(activation=activation, sigma_w=1.0)
        size, low, high = (
            abs(v.item())
            for v in (
                row.growth_typical,
                *(row[s].sel(statistic="typical") for s in ("high", "low")),
            )
        )
        assert (
            f"{activation} at sigma_w = 1: towards the input the norm {way} by {size:.4g} decades "
            f"per layer (95 %: {low:.4g} to {high:.4g})."
        ) in lines
        assert f"the rms over networks: {row.growth_rms.item():+.4g}." in "\n".join(lines)


def test_report__names_an_activation_never_without_its_gain(ds, lines):
    for line in lines[1:]:
        if re.search("tanh|relu", line) and not line.startswith(" "):
            assert "sigma_w = " in line, line
    he = analysis.report(run(gs.MLP(depth=6, width=9, activation="relu", init="he_normal"), 5))
    assert "relu at he_normal (sigma_w = 1.414): " in he
    biased = run(gs.MLP(depth=6, width=9), 5, vary={"sigma_b": [0.5], "depth": [5, 6]})
    assert "tanh at sigma_w = 1, sigma_b = 0.5, depth = 6: " in analysis.report(biased)
    bare = ds.drop_attrs().isel(sigma_w=0, drop=True)
    assert "relu, gain not recorded: " in analysis.report(bare)
    assert "No theory: the call that made the networks is not known." in analysis.report(bare)


def test_report__has_theory_with_its_misfit_and_remainder(ds, lines):
    grid = run(
        gs.MLP(depth=25, width=60, loss="linear"), 40,
        vary={"sigma_w": [1.0, 2.0], "sigma_b": [0.0]},
    )  # fmt: skip
    row = analysis.phase_diagram(grid).sel(sigma_w=2.0, sigma_b=0.0)
    at = next(i for i, line in enumerate(lines) if line.startswith("tanh at sigma_w = 2"))
    said = next(line for line in lines[at:] if "Mean field" in line)
    expected = (
        f"Mean field says {row.predicted_rms.item():+.4g} for the rms: over the window the typical "
        f"norm is {row.misfit.item():+.2g} decades from it, of which finite width accounts for "
        f"{row.finite_width_correction.item():+.2g}; {row.remainder.item():+.2g} is left "
        f"({row.remainder_low.item():+.2g} to {row.remainder_high.item():+.2g})"
    )
    assert said.strip().startswith(expected)


def test_report__has_laws_onsets_and_paired_differences(ds, lines):
    text = "\n".join(lines)
    relu = text[text.index("relu at sigma_w = 1:") : text.index("relu at sigma_w = 2:")]
    assert "Exponential in the layer rather than a power of it." in relu
    onset = analysis.onset(ds, below=1e-3).sel(activation="relu", sigma_w=1.0)
    median = np.quantile(onset.first_passage, 0.5, method="inverted_cdf")
    assert (
        f"{100 * onset.share.item():.3g} % of the networks fall below 1/1000 of the norm at the "
        f"output, the median one {median:g} layers from it."
    ) in relu
    pair = analysis.paired_difference(ds, "sigma_w", 1.0).sel(sigma_w=2.0, layer=1)
    tanh, relu = (pair.sel(activation=name) for name in ("tanh", "relu"))
    assert (
        f"sigma_w = 2 against 1 (activation = tanh): in layer 1 {tanh.difference.item():+.3g} "
        f"decades (95 %: {tanh.low.item():+.3g} to {tanh.high.item():+.3g})"
    ) in text
    assert abs(relu.difference - 24 * np.log10(2)) < 1e-12  # homogeneous: the same in every network
    assert "it is the same in every network" in text


def test_report__counts_zeros_and_what_left_the_range():
    dead = run(gs.MLP(depth=12, width=4, activation="relu"), 60)
    share = (dead.status == 1).mean().item()
    assert 0 < share < 1
    text = f"{100 * share:.3g} % have an exact zero because all paths are dead."
    assert text in analysis.report(dead)
    assert "All networks are ok." not in analysis.report(dead)
    zero = xr.Dataset(
        {
            "log10_delta_norm": (
                ("seed", "layer"),
                [[-INF, -3.0, -2.0, 0.0], [-3.0, -2.0, -1.0, 0.0]],
            )
        },
        {"layer": [1, 2, 3, 4]},
    )
    assert "50 % have an exact zero." in analysis.report(zero)
    wild = run(gs.MLP(depth=4, width=5, activation="silu", sigma_w=1e200), 3)
    share = (wild.status == 2).mean().item()
    assert f"{100 * share:.3g} % left the range" in analysis.report(wild)


def test_report__says_which_networks_rounding_rules():
    chaos = run(gs.MLP(depth=60, width=20, sigma_w=4.0), 5, measure=NEEDED, dtype="float32")
    assert "Rounding leaves 0 % of the networks valid individually" in analysis.report(chaos)


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        (gs.RNN(steps=9, width=6, cell="lstm", sigma_u=0.5), {"inputs": 2, "batch": "each"},
         ["per step", "2 examples", "No theory: mean-field theory is known for", "RNN, steps 9"]),
        (gs.RNN(steps=9, width=6), {"vary": {"sigma_w": [0.5, 1.0]}},
         ["tanh at sigma_w = 0.5", "sigma_w = 1 against 0.5: in step 1", "Mean field says"]),
        (gs.MLP(depth=6, width=6), {"vary": {"width": [6, 7]}}, ["width = 7", "(MLP, depth 6);"]),
        (gs.MLP(depth=6, width=6), {"inputs": np.ones((3, 6))}, ["tanh at sigma_w = 1: "]),
        (gs.MLP(depth=2, width=6), {}, ["no growth: too few layers"]),
    ],
)  # fmt: skip
def test_report__works_on_any_result_and_on_its_file(model, more, words, tmp_path):
    ds = run(model, 8, **more)
    text = analysis.report(ds)
    assert all(word in text for word in words), text
    gs.save(ds, tmp_path / "run.nc")
    assert analysis.report(gs.load(tmp_path / "run.nc")) == text


def test_report__of_given_and_of_trained_weights_has_no_theory():
    given = run(gs.network(gs.MLP(depth=6, width=6), 3), 1)
    assert "No theory: the weights were given." in analysis.report(given)
    assert "(one network, no interval)" in analysis.report(given)
    ds = run(gs.MLP(depth=6, width=6), 4)
    config = json.loads(ds.attrs["gradsim_config"]) | {"train": {"steps": 2}}
    trained = ds.assign_attrs(gradsim_config=json.dumps(config)).expand_dims(iteration=[2])
    text = analysis.report(trained)
    assert "No theory: the weights were trained." in text
    assert "\niteration = 2: towards the input" in text


def test_report__leaves_conditions_out_only_by_saying_so(ds):
    text = analysis.report(ds, conditions=1)
    assert text.count("towards the input the norm") == 1
    assert "3 more conditions: select with ds.sel, or pass conditions=4." in text
    assert "more paired differences." in text


def test_report__refuses_by_name(ds):
    with pytest.raises(ValueError, match="conditions must be an integer >= 1"):
        analysis.report(ds, conditions=0)
    with pytest.raises(ValueError, match="tolerance must be > 0"):
        analysis.report(ds, tolerance=0)
    with pytest.raises(ValueError, match="must have the dimension 'seed'"):
        analysis.report(ds.isel(seed=0))
    assert "add 'gradient' to measure" in analysis.report(ds.drop_vars("log10_delta_norm"))
