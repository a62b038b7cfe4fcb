"""Histograms, spectra and onsets: what is drawn, its law, its labels and what is refused."""

import numpy as np
import pytest
from figures import texts

import gradsim as gs
from gradsim import plot, theory

EXACT = {"loss": "linear", "output": "identity"}
HE = 2**0.5


def run(model, seeds, **more):
    return gs.simulate(model, seeds, progress=False, **more)


@pytest.fixture(scope="module")
def partials():
    model = gs.MLP(depth=5, width=120, sigma_w=1.4, sigma_b=0.3, **EXACT)
    return run(model, 12, measure=["gradient", "partials"])


def dashed(ax):
    return [line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata())]


def cumulated(x, density):
    return np.cumsum(density * np.gradient(x))


@pytest.mark.parametrize("of", ["weight", "bias"])
def test_histogram__is_that_of_the_law(partials, ax, of):
    assert plot.histogram(partials, of=of, layers=[1, 3], ax=ax) is ax
    assert len(ax.patches) == len(dashed(ax)) == 2
    for patch, line in zip(ax.patches, dashed(ax)):
        density, edges, _ = patch.get_data()
        measured = np.cumsum(density * np.diff(edges))
        law = cumulated(*line.get_data())
        assert measured[-1] == pytest.approx(1, abs=1e-4)  # less what lies below the window
        gap = np.interp(edges[1:], line.get_xdata(), law) - measured
        assert abs(gap).max() < 4 * 0.5 / np.sqrt(12 * 120)  # networks with 120 units each
    assert texts(ax) == ["layer 1", "layer 3", "law of wide networks"]
    assert "log10" in ax.get_xlabel()


def test_histogram__counts_zeros_and_says_why_there_is_no_law(ax):
    model = gs.MLP(depth=4, width=30, activation="relu", sigma_w=HE)
    ds = run(model, 5, measure="partials")
    plot.histogram(ds, ax=ax)
    assert not dashed(ax)
    density, edges, _ = ax.patches[0].get_data()
    share = ds.weight_partial_histogram.sel(layer=1).sum().item() / (5 * 30 * 30)
    assert np.sum(density * np.diff(edges)) == pytest.approx(share, abs=1e-9)
    assert "% zeros" in texts(ax)[0]
    with pytest.raises(ValueError, match="measure 'gradient' too"):
        plot.histogram(ds, theory=True)
    both = run(model, 5, inputs=3, measure=["gradient", "partials"])
    with pytest.raises(ValueError, match="mean over examples"):
        plot.histogram(both, theory=True)
    with pytest.raises(ValueError, match=r"must be in layer 1\.\.4"):
        plot.histogram(ds, layers=[9])
    with pytest.raises(ValueError, match="'weight_partial_histogram'"):
        plot.histogram(both.drop_vars("weight_partial_histogram"))


def test_partial_law__is_that_of_samples():
    law, rng = theory.partial_law("relu", 1.3, 0.7), np.random.default_rng(0)
    z, g, below = rng.standard_normal((3, 400_000))
    sizes = np.abs((z > 0) * g * np.maximum(below, 0))
    sizes /= np.sqrt(np.mean(sizes**2))
    edges = np.append(law.log10_partial.values[::50], law.log10_partial.values[-1] + 0.01)
    counts = np.histogram(np.log10(sizes[sizes > 0]), edges)[0] / sizes.size
    expected = np.add.reduceat(law.weight_density.values * 0.01, np.arange(0, 1400, 50))
    assert abs(np.cumsum(counts) - np.cumsum(expected)).max() < 4 * 0.5 / np.sqrt(sizes.size)
    assert law.weight_zero_share.item() == 0.75
    assert law.bias_zero_share.item() == 0.5


@pytest.mark.parametrize(("factors", "masks"), [(1, 0), (4, 0), (1, 1), (5, 5)])
def test_jacobian_density__has_the_moments_and_the_edge(factors, masks):
    ds = theory.jacobian_density(factors, HE if masks else 1.0, masks=masks)
    name = "relu" if masks else "identity"
    moments = theory.jacobian_moments(name, factors, HE if masks else 1.0)
    x, density = ds.log10_singular_value.values, ds.density.values
    for power, expected in ((1, moments.m_1), (2, moments.m_2)):
        found = np.trapezoid(density * 10 ** (2 * power * x), x)
        assert found == pytest.approx(expected.item(), rel=1e-5)
    assert np.trapezoid(density, x) == pytest.approx(1 - ds.zero_share.item(), abs=2e-3)
    assert 10 ** (2 * ds.log10_edge.item()) == pytest.approx(
        moments.largest_square.item(), rel=1e-5
    )


@pytest.mark.parametrize(("call", "words"), [
    (lambda: theory.jacobian_density(0), "factors must be an integer >= 1"),
    (lambda: theory.jacobian_density(2, masks=4), "masks must be at most factors"),
    (lambda: theory.jacobian_density(2, share=0.0), "share must be in"),
    (lambda: theory.jacobian_density(2, 0.0), "sigma_w must be > 0"),
    (lambda: theory.partial_law("tanh", -1.0), "q must be a finite number >= 0"),
])  # fmt: skip
def test_laws__refuse_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_spectrum__draws_the_eigenvalues_and_their_circle(ax):
    ds = run(gs.RNN(steps=1, width=40, sigma_w=0.8), 3, measure="spectrum")
    plot.spectrum(ds, ax=ax)
    points, circle, unit = ax.lines
    assert len(points.get_xdata()) == 120
    np.testing.assert_allclose(np.hypot(*circle.get_data()), 0.8)
    np.testing.assert_allclose(np.hypot(*unit.get_data()), 1.0)
    assert texts(ax) == ["eigenvalues", "circular law, radius 0.8", "unit circle"]
    symmetric = run(gs.RNN(steps=1, width=8, init="symmetric"), 2, measure="spectrum")
    with pytest.raises(ValueError, match="init='symmetric' has no circular law"):
        plot.spectrum(symmetric, theory=True)


@pytest.mark.parametrize("name", ["identity", "relu"])
def test_spectrum__draws_singular_values_with_their_law(ax, name):
    model = gs.MLP(depth=3, width=60, activation=name, sigma_w=HE, **EXACT)
    ds = run(model, 8, measure="jacobian")
    plot.spectrum(ds, layer=2, ax=ax)
    density, edges, _ = ax.patches[0].get_data()
    (law,) = [line for line in dashed(ax) if len(line.get_xdata()) > 10]
    measured = np.cumsum(density * np.diff(edges))
    middle = np.sum(density * np.diff(edges) * 10 ** (edges[1:] + edges[:-1]))
    exact = np.trapezoid(law.get_ydata() * 10 ** (2 * law.get_xdata()), law.get_xdata())
    assert middle == pytest.approx(exact, rel=0.1)
    assert measured[-1] == pytest.approx(0.5 if name == "relu" else 1.0, abs=0.1)
    assert "layer 2" in ax.get_xlabel()


@pytest.mark.parametrize("name", ["identity", "relu"])
def test_spectrum__draws_the_jacobian_of_the_input(ax, name):
    model = gs.MLP(depth=2, width=60, activation=name, sigma_w=HE, **EXACT)
    ds = run(model, 8, measure=gs.measurements.jacobian(layers=[0]))
    plot.spectrum(ds, ax=ax)
    density, edges, _ = ax.patches[0].get_data()
    (law,) = [line for line in dashed(ax) if len(line.get_xdata()) > 10]
    live = 0.5 if name == "relu" else 1.0  # of the units of the one hidden layer
    assert np.sum(density * np.diff(edges)) == pytest.approx(live, abs=0.1)
    middle = np.sum(density * np.diff(edges) * 10 ** (edges[1:] + edges[:-1]))
    wide = np.trapezoid(law.get_ydata() * 10 ** (2 * law.get_xdata()), law.get_xdata())
    assert middle == pytest.approx(wide, rel=0.1)
    assert "the input" in ax.get_xlabel()
    with pytest.raises(ValueError, match=r"spectrum.layer=1.: layer must be one of .0."):
        plot.spectrum(ds, layer=1)


def test_spectrum__says_what_it_knows_no_law_of():
    ds = run(gs.MLP(depth=3, width=6, **EXACT), 2, measure="jacobian")
    plot.spectrum(ds)
    with pytest.raises(ValueError, match="plain linear and relu"):
        plot.spectrum(ds, theory=True)
    with pytest.raises(ValueError, match="of must be one of"):
        plot.spectrum(ds, of="values")
    varied = run(gs.MLP(depth=2, width=6), 2, vary={"sigma_w": [1.0, 2.0]}, measure="jacobian")
    with pytest.raises(ValueError, match="must have one condition"):
        plot.spectrum(varied)
    plot.spectrum(varied.sel(sigma_w=2.0))


def test_onset__draws_shares_beside_their_law(ax):
    model = gs.MLP(depth=30, width=32, activation="relu", **EXACT)
    ds = run(model, 400, vary={"sigma_w": [1.0, 1.3]})
    plot.onset(ds, below=1e-2, ax=ax)
    solid = [line for line in ax.lines if line.get_linestyle() == "-"]
    laws = [line for line in dashed(ax) if len(line.get_xdata()) > 2]
    norms = ds.log10_delta_norm
    for line, law, sigma_w in zip(solid, laws, (1.0, 1.3)):
        here = norms.sel(sigma_w=sigma_w)
        share = (here - here.sel(layer=30) < -2).mean("seed")
        np.testing.assert_allclose(line.get_ydata(), share, atol=1e-12)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(29, -1, -1))
        assert abs(line.get_ydata() - law.get_ydata()).max() < 4 * 0.5 / 400**0.5
    dots = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    first = gs.analysis.onset(ds, below=1e-2).first_passage
    medians = first.quantile(0.5, "seed", method="inverted_cdf").values
    assert [line.get_xdata()[0] for line in dots] == [m for m in medians if np.isfinite(m)]
    assert "below 0.01" in ax.get_ylabel()
    assert texts(ax)[:2] == ["sigma_w = 1", "sigma_w = 1.3"]


def test_onset__refuses_by_name(ax):
    ds = run(gs.RNN(steps=5, width=6), 3)
    plot.onset(ds, above=10.0, ax=ax)
    assert "above 10" in ax.get_ylabel()
    with pytest.raises(ValueError, match="theory=True: none"):
        plot.onset(run(gs.RNN(steps=5, width=6, cell="gru"), 3), theory=True)
    with pytest.raises(ValueError, match="exactly one"):
        plot.onset(ds, below=0.1, above=10.0)
