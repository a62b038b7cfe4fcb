"""The studies: their files, figures and words, and their numbers from the definition."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import gradsim as gs
from gradsim.studies import __main__ as studies
from gradsim.studies import depth_profile as study
from gradsim.studies import nielsen

ROOT = Path(__file__).parents[1]
SEEDS, EXAMPLES = 12, 7
WINDOWS = {3: (1, 2), 5: (2, 4), 10: (2, 9), 50: (10, 49)}

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="too slow as plain Python"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study") / "new" / "folder"


@pytest.fixture(scope="module")
def ds(folder):
    return study.depth_profile(SEEDS, EXAMPLES, out=folder, threads=2, progress=False)


@pytest.fixture(scope="module")
def found(ds):
    return study.summary(ds)


@pytest.fixture(scope="module")
def repeated():
    return nielsen.nielsen(4000, progress=False)


def deltas(depth, activation, init, seed):
    """Delta of every layer (layer, example, unit) and its mean over digits, in plain NumPy."""
    phi, slope = {
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
        "tanh": (np.tanh, lambda a: 1 - a**2),
        "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0) * 1.0),
    }[activation]
    model = study.MODEL.with_fields(
        depth=depth, activation=activation, init=init, input_width=64, output_width=10
    )
    weights = gs.network(model, seed).weights
    digits: Any = load_digits()
    states = [digits.data[:EXAMPLES] / 16]
    for w in weights[:-1]:
        states.append(phi(states[-1] @ w.T))
    z = states[-1] @ weights[-1].T
    p = np.exp(z - z.max(1, keepdims=True))
    rows = [p / p.sum(1, keepdims=True) - np.eye(10)[digits.target[:EXAMPLES]]]
    for w, a in zip(weights[:0:-1], states[:0:-1]):
        rows.append(rows[-1] @ w * slope(a))
    return rows[::-1]


def test_study__writes_a_file_that_loads_as_it_was_and_a_figure(ds, folder):
    assert {file.name for file in folder.iterdir()} == {"depth_profile.nc", "depth_profile.png"}
    assert gs.load(folder / "depth_profile.nc").identical(ds)
    assert (folder / "depth_profile.png").read_bytes().startswith(b"\x89PNG")


def test_study__its_config_rebuilds_it(ds):
    config = json.loads(ds.attrs["gradsim_config"])
    assert config["study"] == "depth_profile"
    asked = config["arguments"]
    seeds = range(*config["seeds"]["range"])
    again = study.depth_profile(seeds, asked["examples"], progress=False)
    assert again.equals(ds)
    assert again.attrs["gradsim_config"] == ds.attrs["gradsim_config"]
    assert dict(config["simulate"]["vary"]).keys() == {"activation", "init", "depth"}


def test_study__has_every_activation_gain_and_depth(ds):
    assert ds.log10_delta_norm.dims == ("activation", "gain", "depth", "seed", "layer")
    assert ds.activation.values.tolist() == ["sigmoid", "tanh", "relu"]
    assert ds.gain.values.tolist() == ["sigma_w = 1", "usual", "critical"]
    assert ds.depth.values.tolist() == [3, 5, 10, 50]
    assert ds.fan_in.sel(depth=5).values[:5].tolist() == [64, 30, 30, 30, 30]
    assert ds.fan_out.sel(depth=5).values[4] == 10
    np.testing.assert_allclose(ds.sigma_w.sel(gain="usual"), [1, 1, 2**0.5])
    np.testing.assert_allclose(ds.sigma_w.sel(gain="critical"), [10.14926371, 1, 2**0.5])


def test_study__has_no_exact_zeros(ds):
    assert (ds.status == 0).all()


@pytest.mark.parametrize("depth", [3, 10])
@pytest.mark.parametrize(
    ("activation", "gain"), [("sigmoid", "critical"), ("tanh", "usual"), ("relu", "sigma_w = 1")]
)
def test_study__gives_the_digits_gradients_from_the_definition(ds, depth, activation, gain):
    one = ds.sel(depth=depth, activation=activation, gain=gain, seed=3, layer=slice(1, depth))
    rows = deltas(depth, activation, one.init.item(), seed=3)
    each = [np.log10(np.linalg.norm(delta, axis=1)).mean() for delta in rows]
    mean = [np.log10(np.linalg.norm(delta.mean(0))) for delta in rows]
    np.testing.assert_allclose(one.log10_delta_norm, each, rtol=0, atol=1e-9)
    np.testing.assert_allclose(one.log10_bias_grad_norm, mean, rtol=0, atol=1e-9)


def test_summary__has_the_growth_and_onset_of_the_definition(ds, found):
    for row in found.itertuples():
        one = ds.sel(activation=row.activation, gain=row.gain, depth=row.depth)
        first, last = WINDOWS[row.depth]
        for value, name in ((row.growth, "delta_norm"), (row.batch_mean, "bias_grad_norm")):
            log = one[f"log10_{name}"].values
            growth = (log[:, first - 1] - log[:, last - 1]) / (last - first)
            assert value == pytest.approx(growth.mean(), abs=1e-12)
        log = one.log10_delta_norm.values[:, : row.depth]
        below = log[:, ::-1] - log[:, -1:] < -3
        onset = np.where(below.any(1), below.argmax(1), np.inf)
        assert row.onset == np.sort(onset)[-(-SEEDS // 2) - 1]
        assert row.share == below.any(1).mean()
        assert row.low <= row.growth <= row.high


def test_summary__agrees_with_theory_where_the_growth_has_settled(found):
    deep = found[(found.depth == 50) & (found.gain == "sigma_w = 1")].set_index("activation")
    assert deep.theory["relu"] == pytest.approx(-0.150515, abs=1e-6)
    assert deep.theory["sigmoid"] == pytest.approx(-0.626992, abs=1e-6)
    # The typical relu network of width 30 loses another 0.01920 decades per layer.
    assert deep.growth["relu"] == pytest.approx(-0.150515 - 0.019195, abs=0.02)
    assert deep.growth["sigmoid"] == pytest.approx(deep.theory["sigmoid"], abs=0.02)


def test_summary__finds_conditions_of_equal_weights_equal(found):
    for activation, gain in (("tanh", "sigma_w = 1"), ("relu", "usual")):
        here = found[found.activation == activation].set_index("gain")
        one, other = here.loc[gain], here.loc["critical"]
        np.testing.assert_allclose(one.growth, other.growth, rtol=1e-9)


def test_report__tells_growth_and_gain_of_every_condition(ds, found):
    text = study.report(ds)
    for row in found.itertuples():
        start = f"{row.gain:12}{row.activation:11}{row.init:14}"
        line = next(
            x for x in text.splitlines() if x.startswith(start) and x.split(start)[1].split()[1] ==
            str(row.depth)
        )  # fmt: skip
        assert f"{row.growth:+.4f}" in line
    sentences = [line for line in text.splitlines() if line.endswith(".") and ", depth " in line]
    assert len(sentences) == len(found) == 36
    for line in sentences:
        assert re.match(r"(sigmoid|tanh|relu) at .*sigma_w = [\d.]+\)?, depth \d+: towards", line)
        assert "decades per layer" in line
        assert "below 1/1000" in line


def test_figure__shares_its_axis_and_hides_no_data_behind_a_legend(ds):
    figure = study.figure(ds)
    figure.draw_without_rendering()
    axes = figure.axes
    assert [ax.get_title(loc="left") for ax in axes] == list(study.TITLES.values())
    for ax in axes:
        assert ax.get_ylim() == axes[0].get_ylim()
        assert "sigma_w" in ax.get_legend().get_texts()[0].get_text()
        box = ax.get_legend().get_window_extent()
        for line in ax.lines:
            dots = line.get_transform().transform(line.get_xydata())
            assert not box.count_contains(dots[np.isfinite(dots).all(1)])


def test_nielsen__his_norms_lie_among_the_networks(repeated):
    quantile = repeated.published_quantile.values
    assert np.isfinite(quantile).sum() == 9
    inside = quantile[np.isfinite(quantile)]
    assert ((inside > 0.02) & (inside < 0.98)).all()


def test_nielsen__networks_have_the_mean_field_norms(repeated):
    # From the Gaussian integrals of the length map and of the slopes at q = 1.1032 onwards.
    norms = {3: [0.06246, 0.29852], 4: [0.01280, 0.06115, 0.29835],
             5: [0.00262, 0.01253, 0.06111, 0.29835]}  # fmt: skip
    rms = np.sqrt((10 ** (2 * repeated.log10_bias_grad_norm)).mean("seed"))
    for depth, expected in norms.items():
        got = rms.sel(depth=depth, layer=slice(1, depth - 1)).values
        np.testing.assert_allclose(got, expected, rtol=0.03)


def test_nielsen__reports_and_draws_every_norm(repeated):
    assert "9 of the 9" in nielsen.report(repeated)
    dots = [line for line in nielsen.figure(repeated).axes[0].lines if line.get_marker() == "o"]
    drawn = np.concatenate([line.get_ydata()[np.isfinite(line.get_ydata())] for line in dots])
    np.testing.assert_allclose(10**drawn, np.concatenate(list(nielsen.PUBLISHED.values())))


def test_command__prints_and_writes_both_studies(tmp_path, capsys):
    arguments = ["--seeds", "5", "--examples", "2", "--threads", "1", "--out", str(tmp_path / "a")]
    assert studies.main(["depth_profile", *arguments]) == 0
    names = {file.name for file in (tmp_path / "a").iterdir()}
    assert names == {
        f"{name}.{end}" for name in ("depth_profile", "nielsen") for end in ("nc", "png")
    }
    printed = capsys.readouterr().out
    assert "critical    sigmoid" in printed
    assert "Nielsen" in printed
    saved = gs.load(tmp_path / "a" / "nielsen.nc")
    assert saved.published_norm.notnull().sum() == 9


@pytest.mark.parametrize(
    "command",
    [
        ["studies/depth_profile.py"],
        ["-m", "gradsim.studies.nielsen"],
        ["-m", "gradsim.studies", "depth_profile"],
    ],
)
def test_command__helps(command):
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage:" in done.stdout
    assert not done.stderr


def test_studies__are_all_modules_of_the_folder(capsys):
    assert studies.main([]) == 0
    listed = capsys.readouterr().out
    for name, purpose in studies.studies().items():
        assert name in listed
        assert purpose.endswith(".")
    assert set(studies.studies()) == {
        file.stem for file in (ROOT / "studies").glob("*.py") if not file.stem.startswith("_")
    }


def test_studies__unknown_name_lists_the_known(capsys):
    assert studies.main(["depth_profil"]) == 2
    assert "did you mean 'depth_profile'?" in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 1798])
def test_study__refuses_a_number_of_digits_that_there_is_not(count):
    with pytest.raises(ValueError, match="examples must be from 1 to 1797"):
        study.depth_profile(2, count)
