"""Antisymmetric recurrent networks: I + eps (W - W^T - gamma I)."""

import math

import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real, whole
from gradsim.theory._labelled import labelled


def antisymmetric(
    step_size: float, sigma_w: float = 1.0, damping: float = 0.0, width: int | None = None
) -> xr.Dataset:
    """Growth of gradients through the linear antisymmetric RNN, h' = h + eps (W - W^T - gamma) h.

    The flow of an antisymmetric matrix keeps every norm; its Euler steps do not. W - W^T is normal,
    so that the growth of a vector is that of its eigencomponents.

    Parameters
    ----------
    step_size
        eps > 0.
    sigma_w
        W_ij ~ N(0, sigma_w^2 / N).
    damping
        gamma, subtracted on the diagonal.
    width
        Units N >= 1; None is infinite width.

    Returns
    -------
    xarray.Dataset
        Scalars, each a factor per step: `rms`, the root of E ||J v||^2 / ||v||^2 for one step,
        exact at any width; `largest_modulus` of the eigenvalues of J and `largest_frequency`, that
        of W - W^T at infinite width (asymptotic; finite matrices stay below by O(N^(-2/3)));
        `neutral_damping`, the gamma at which the fastest component neither grows nor decays (nan
        where eps^2 w^2 > 1: there is none).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    B. Chang, M. Chen, E. Haber and E. H. Chi, "AntisymmetricRNN: a dynamical system view on
    recurrent neural networks", ICLR 2019 (the Euler step with its diffusion gamma), derived here
    for random W; the edge 2 sqrt(2) sigma_w is Wigner's semicircle law for i (W - W^T), whose
    entries have the variance 2 sigma_w^2 / N.

    Examples
    --------
    >>> round(antisymmetric(0.1).largest_modulus.item(), 8)
    1.03923048
    """
    eps = real("antisymmetric", "step_size", step_size)
    sigma, gamma = (
        real("antisymmetric", "sigma_w", sigma_w),
        real("antisymmetric", "damping", damping, least=None),
    )
    if eps == 0:
        raise ValueError(f"step_size must be > 0, got {brief(step_size)}")
    share = 1.0 if width is None else 1 - 1 / whole("antisymmetric", "width", width)
    edge = 2 * math.sqrt(2) * sigma
    turn = (eps * edge) ** 2
    kept = 1 - eps * gamma
    neutral = (1 - math.sqrt(1 - turn)) / eps if turn <= 1 else math.nan
    values = {
        "rms": (math.sqrt(kept**2 + 2 * (eps * sigma) ** 2 * share), "rms growth per step",
                "sqrt((1 - eps gamma)^2 + 2 eps^2 sigma_w^2 (1 - 1/N))"),
        "largest_modulus": (math.sqrt(kept**2 + turn), "largest modulus, infinite width",
                            "sqrt((1 - eps gamma)^2 + 8 eps^2 sigma_w^2)"),
        "largest_frequency": (edge, "largest eigenvalue of W - W^T over i", "2 sqrt(2) sigma_w"),
        "neutral_damping": (neutral, "damping that stills the fastest component",
                            "(1 - sqrt(1 - 8 eps^2 sigma_w^2)) / eps"),
    }  # fmt: skip
    validity = "rms exact; the others asymptotic (infinite width)"
    return labelled("Antisymmetric RNN", validity, values)
