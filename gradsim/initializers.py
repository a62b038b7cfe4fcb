"""The registry of initialisers.

An initialiser is one entry.  Most draw each weight by address, from a distribution of unit
variance times a standard deviation: those that share the distribution share the draws, and differ
by a scale.  The others have a function that makes a matrix as a whole (`gradsim._matrices`).
"""

from collections.abc import Callable
from math import hypot, sqrt
from typing import Any

from gradsim import _matrices
from gradsim._initializer import Bias, Initializer, Make
from gradsim._random_walk import exact, published
from gradsim._registry import Registry, source_text


def _critical(model: Any, fan_in: int) -> float:
    """sigma_w at which chi_1 = 1 in mean field; inputs of unit mean square act as a bias."""
    from gradsim.theory.mean_field import edge_of_chaos  # SciPy is imported where it is needed

    sigma_b = hypot(model.sigma_b, getattr(model, "sigma_u", 0.0))
    try:
        return edge_of_chaos(model.activation, sigma_b, slope=model.slope)
    except ValueError as error:
        raise ValueError(f"init={model.init!r}: {error}") from error


def _radius(model: Any, fan_in: int) -> float:
    return 1.0 if model.spectral_radius is None else model.spectral_radius


_THIRD = 1 / 3
_TORCH_LINEAR = Bias("uniform", lambda n: sqrt(_THIRD / n))
_TORCH_RNN = Bias("triangular", lambda n: sqrt(2 * _THIRD / n), alone=_TORCH_LINEAR)
_SCHEMES = {
    "lecun": (1.0, "in", "1 / fan", "LeCun et al. 1998"),
    "glorot": (1.0, "average", "1 / fan", "Glorot and Bengio 2010, eq. 12"),
    "he": (2.0, "in", "2 / fan", "He et al. 2015, eq. 10"),
}
_SUSSILLO = "Sussillo and Abbott 2014"
_UNIFORM = "U(-a, a), a = sqrt(3 variance)"
_CUT = "N(0, s^2) within 2 s, s^2 = 1.2924 variance"
_FREE = ("fan",)


def _schemes() -> list[Initializer]:
    """Named schemes of entries, each normal and uniform."""
    return [
        Initializer(
            f"{scheme}_{shape}", formula, variance, fan, reference, distribution, scale,
            parameters=_FREE,
        )
        for scheme, (scale, fan, variance, reference) in _SCHEMES.items()
        for shape, distribution, formula in (
            ("normal", "gaussian", "N(0, variance)"), ("uniform", "uniform", _UNIFORM),
        )
    ]  # fmt: skip


_ENTRIES = [
    Initializer("gaussian", "N(0, variance)", "1 / fan", "in", "mean-field convention",
                parameters=_FREE),
    Initializer("uniform", _UNIFORM, "1 / fan", "in", "mean-field convention", "uniform",
                parameters=_FREE),
    Initializer("truncated_normal", _CUT, "1 / fan", "in", "variance corrected, as in Keras",
                "truncated", parameters=_FREE),
    *_schemes(),
    Initializer("pytorch_linear", "U(-a, a), a = fan_in^-1/2; b too, times sigma_b", "1/3 / fan",
                "in", "torch.nn.Linear", "uniform", _THIRD,
                bias=_TORCH_LINEAR),
    Initializer("pytorch_rnn",
                "U(-a, a), a = width^-1/2; b: sum of two such (b_n and b_hn of a GRU: one)"
                ", times sigma_b",
                "1/3 / fan", "out", "torch.nn.RNN, LSTM and GRU", "uniform", _THIRD,
                bias=_TORCH_RNN),
    Initializer("unscaled_normal", "N(0, 1)", "1", "-", "Nielsen 2015, chapter 1"),
    Initializer("random_walk", "N(0, g^2 / fan_in), mean log of the gradient's growth 0",
                "g(fan_in)^2 / fan", "in", f"{_SUSSILLO}, exact at any width", gain=exact),
    Initializer("random_walk_published",
                "g = exp(1/2N) (linear), sqrt(2) exp(1.2 / (max(N, 6) - 2.4)) (relu), N = fan_in",
                "g(fan_in)^2 / fan", "in", _SUSSILLO, gain=published),
    Initializer("critical", "N(0, sigma_w*^2 / fan_in), chi_1(sigma_w*) = 1", "sigma_w*^2 / fan",
                "in", "Poole et al. 2016; Schoenholz et al. 2017", gain=_critical),
    Initializer("orthogonal", "Haar; orthonormal rows or columns, whichever are fewer", "1 / fan",
                "max", "Saxe et al. 2014; Mezzadri 2007", make=_matrices.orthogonal),
    Initializer("identity", "ones on the diagonal", "-", "-", "Le et al. 2015",
                make=_matrices.identity, mean_field=False),
    Initializer("symmetric", "(A + A^T) / sqrt(2 n), A ~ N(0, 1)", "1 / fan, diagonal 2 / fan",
                "in", "GOE; Wigner 1955", make=_matrices.symmetric, square=True,
                mean_field=False),
    Initializer("sparse", "k = nonzeros of N(0, 1/k) in each row", "1 / fan", "in", "Martens 2010",
                make=_matrices.sparse, parameters=("nonzeros",), mean_field=False),
    Initializer("spectral_radius", "rho A / rho(A), A ~ N(0, 1/n) or sparse", "rho^2 / fan", "in",
                "Jaeger 2001", gain=_radius, make=_matrices.spectral_radius,
                parameters=("spectral_radius", "nonzeros"), square=True),
    Initializer("eigenvalues", "Q diag(eigenvalues) Q^T, Q Haar", "-", "-",
                "Goodfellow et al. 2016, section 10.7", make=_matrices.eigenvalues,
                parameters=("eigenvalues",), required=("eigenvalues",), square=True,
                mean_field=False),
    Initializer("nonnormal", "Q (diag(eigenvalues) + T) Q^T, T strictly upper, Q Haar", "-", "-",
                "Ganguli et al. 2008; Kerg et al. 2019", make=_matrices.nonnormal,
                parameters=("eigenvalues", "upper"), required=("eigenvalues", "upper"),
                square=True, mean_field=False),
]  # fmt: skip

initializers: Registry[Initializer] = Registry(
    "init",
    {entry.name: entry for entry in _ENTRIES},
    ("formula", "variance", "fan", "reference"),
)


def initializer(
    name: str, *, formula: str = "", reference: str = "", square: bool = False
) -> Callable[[Make], Make]:
    """Add an initialiser that makes a matrix as a whole.

    Parameters
    ----------
    name
        Name for the ``init`` of models.
    formula, reference
        Text for the table of :data:`gradsim.initializers`.
    square
        Whether the function makes square matrices only; others are then refused.

    Returns
    -------
    Callable
        Decorator of ``make(draw, n_out, n_in, model)``, which returns W (n_out, n_in) at
        sigma_w = 1.  ``draw.normals(*shape)`` and ``draw.uniforms(*shape)`` are the addressed
        numbers of the matrix: the function must use no others.

    Raises
    ------
    ValueError
        If the name is taken.

    Examples
    --------
    >>> @initializer("example_shift", square=True)
    ... def example_shift(draw, n_out, n_in, model):
    ...     return np.roll(np.eye(n_out), 1, axis=0)
    >>> "example_shift" in initializers
    True
    """

    def add(make: Make) -> Make:
        entry = Initializer(
            name, formula or make.__name__, "-", "-", reference, make=make, square=square,
            mean_field=False, source=source_text(make),
        )  # fmt: skip
        initializers.add(name, entry)
        return make

    return add
