"""Where minibatch noise is small, and where it grows exponentially with depth.

The noise scale of the first layer's gradient, its variance over examples over its squared mean, in
tanh networks from the ordered to the chaotic phase, for inputs of correlation 0.8 and a cost that
is the same linear function of the output for each example. Where nearby inputs separate (chaos),
so do their gradients: their mean cancels, and the noise is all that a minibatch sees.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend

WIDTH, FEATURES, EXAMPLES, CORRELATION = 100, 64, 24, 0.8
DEPTHS = (5, 8, 11, 15)
SHALLOW, DEEP = 5, 15
GAINS = (0.8, 1.0, 1.3, 1.6)
MARGIN = 0.02  # decades a layer
CASES = ((0.8, False), (1.0, False), (1.3, True), (1.6, True))  # gain, what the condition says


def inputs() -> np.ndarray:
    """Examples (example, feature) of mean square 1 and correlation CORRELATION, exactly."""
    draw = np.random.default_rng(0).normal(size=(EXAMPLES + 1, FEATURES))
    basis = np.linalg.qr(draw.T)[0].T
    rows = CORRELATION**0.5 * basis[0] + (1 - CORRELATION) ** 0.5 * basis[1:]
    return rows * FEATURES**0.5


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Unbiased squared mean and variance of the gradient of layer 1, (sigma_w, depth, seed)."""
    model = gs.MLP(DEEP, WIDTH, activation="tanh", output="identity", loss="linear")
    ds = gs.simulate(
        model, seeds, vary={"sigma_w": GAINS, "depth": DEPTHS}, inputs=inputs(),
        measure=("gradient", "noise"), threads=threads,
    )  # fmt: skip
    names = {"gradient_square": "squared norm of the mean gradient of layer 1",
             "gradient_variance": "variance over examples of the gradient of layer 1"}  # fmt: skip
    found = {}
    for name, text in names.items():
        found[name] = ds[name].sel(layer=1, drop=True)
        found[name].attrs = {"long_name": text, "units": "1"}
    return xr.Dataset(found).transpose("sigma_w", "depth", "seed")


def log10_noise(square: Any, variance: Any) -> Any:
    """Noise scale over networks, a ratio of means: log10; +inf where no mean is left."""
    with np.errstate(divide="ignore"):
        return np.log10(variance.mean(-1)) - np.log10(np.maximum(square.mean(-1), 0.0))


def _growth(numbers: np.ndarray) -> float:
    """Decades per layer from the shallow to the deep network; (seed, depth and quantity)."""
    shallow, deep = (log10_noise(*numbers[:, i : i + 2].T) for i in (0, 2))
    return float(min(deep - shallow, 1e3)) / (DEEP - SHALLOW)


def expected(sigma_w: float, depth: int) -> float:
    """Theory of log10 of the noise scale: the gradient of layer 1 is delta x, correlation rho c."""
    law = gs.theory.correlation_profile("tanh", depth, sigma_w, c=CORRELATION, q=sigma_w**2)
    return float(np.log10(1 / (law.delta_correlation[0].item() * CORRELATION) - 1))


def estimate(ds: xr.Dataset) -> list[Row]:
    """Growth of the noise scale per layer of depth."""
    rows = []
    for sigma_w, _ in CASES:
        at = ds.sel(sigma_w=sigma_w)
        numbers = [at[name].sel(depth=depth) for depth in (SHALLOW, DEEP)
                   for name in ("gradient_square", "gradient_variance")]  # fmt: skip
        theory = (expected(sigma_w, DEEP) - expected(sigma_w, SHALLOW)) / (DEEP - SHALLOW)
        rows.append(bootstrap(_growth, np.column_stack(numbers), theory))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the noise scale of layer 1 against depth."""
    fig, ax = canvas(6.6, 4.6)
    fine = range(DEPTHS[0], DEPTHS[-1] + 1, 2)
    colors = [OKABE_ITO[i] for i in (5, 3, 1, 6)]
    for sigma_w, color in zip(GAINS, colors):
        at = ds.sel(sigma_w=sigma_w)
        phase = "chaotic" if sigma_w > 1 else "critical" if sigma_w == 1 else "ordered"
        noise = log10_noise(at.gradient_square.values, at.gradient_variance.values)
        ax.plot(DEPTHS, 10**noise, "o", color=color, label=f"sigma_w = {sigma_w:g}, {phase}")
        ax.plot(fine, [10 ** expected(sigma_w, depth) for depth in fine], color=color)
    ax.plot([], [], color="grey", label="theory, infinite width")
    ax.set(yscale="log", xlabel="depth (layers)")
    ax.set_ylabel(
        "noise scale of the first layer's gradient\n(variance over examples / squared mean)"
    )
    legend(fig, columns=3)
    return fig


STUDY = Study(
    name="minibatch_noise",
    claim="Minibatch noise grows exponentially with depth in the gradients of early layers.",
    statistic="decades per layer of depth, from 5 to 15 layers, of the noise scale of the first "
    "layer's gradient: variance over examples over squared mean, each a mean over networks",
    population="tanh MLP of width 100 and depth 5 to 15, W ~ N(0, sigma_w^2 / fan_in), no biases, "
    "cost v.z^L with one v for all examples, 24 inputs of correlation 0.8 and mean square 1",
    theory="gradients of two examples correlate by prod chi_c / chi_1: a constant in the ordered "
    "phase, where signals become parallel; E phi'^2 > (E phi')^2 is lost each layer in the chaotic "
    "one, where they decorrelate.",
    condition="It grows exponentially in the chaotic phase; in the ordered phase it is the same at "
    "every depth, and at the edge it grows by less than 0.02 decades per layer.",
    parts=tuple(
        Part(f"tanh, sigma_w = {g:g}: grows by 0.02 decades or more per layer", MARGIN, np.inf, so)
        for g, so in CASES
    ),
    networks=300, quick=40, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
