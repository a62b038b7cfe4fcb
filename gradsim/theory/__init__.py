"""Theory on the same axes as the measurements: what is known of random networks.

Every function says whether it is exact or asymptotic, and cites where it comes from. Mean field
(:func:`mean_field`, :func:`profile`) is the limit of infinite width; :func:`finite_width` has the
laws at finite width; :func:`predict` and :func:`misfit` lay both beside a result.
"""

from gradsim.theory.antisymmetric import antisymmetric
from gradsim.theory.bounds import gaussian_norm_bound, norm_bounds
from gradsim.theory.correlation_map import c_map, c_star, chi_c, xi_c, xi_q
from gradsim.theory.correlation_profile import correlation_profile
from gradsim.theory.finite_width import finite_width
from gradsim.theory.gates import chrono_retention, gate, leaky, skip
from gradsim.theory.initial_gains import effective_sigma_w, initial_gains
from gradsim.theory.jacobian import (
    fuss_catalan_edge,
    fuss_catalan_moment,
    jacobian_moments,
    universal_edges,
)
from gradsim.theory.jacobian_density import jacobian_density
from gradsim.theory.length_map import chi_1, edge_of_chaos, fixed_point, q_map
from gradsim.theory.linear import linear_rnn
from gradsim.theory.lyapunov import critical_linear_gain, lyapunov, mean_real_eigenvalues
from gradsim.theory.mean_field import mean_field, profile
from gradsim.theory.minimal import minimal_rnn
from gradsim.theory.misfit import misfit
from gradsim.theory.partial_law import partial_law
from gradsim.theory.predict import predict
from gradsim.theory.random_walk import random_walk_gain, walk_coefficients
from gradsim.theory.recurrent import gradient_conditions, latch, recurrent
from gradsim.theory.residual import residual_growth
from gradsim.theory.scalar import scalar_product
from gradsim.theory.spectral_radius import (
    complex_radius_mean,
    complex_radius_probability,
    real_radius_probability,
    spectral_radius,
)
from gradsim.theory.symmetric import symmetric_growth, tied_growth
from gradsim.theory.units import largest_factor, saddle_nodes, shared_weight

__all__ = [
    "antisymmetric",
    "c_map",
    "c_star",
    "chi_1",
    "chi_c",
    "chrono_retention",
    "complex_radius_mean",
    "complex_radius_probability",
    "correlation_profile",
    "critical_linear_gain",
    "edge_of_chaos",
    "effective_sigma_w",
    "finite_width",
    "fixed_point",
    "fuss_catalan_edge",
    "fuss_catalan_moment",
    "gate",
    "gaussian_norm_bound",
    "gradient_conditions",
    "initial_gains",
    "jacobian_density",
    "jacobian_moments",
    "largest_factor",
    "latch",
    "leaky",
    "linear_rnn",
    "lyapunov",
    "mean_field",
    "mean_real_eigenvalues",
    "minimal_rnn",
    "misfit",
    "norm_bounds",
    "partial_law",
    "predict",
    "profile",
    "q_map",
    "random_walk_gain",
    "real_radius_probability",
    "recurrent",
    "residual_growth",
    "saddle_nodes",
    "scalar_product",
    "shared_weight",
    "skip",
    "spectral_radius",
    "symmetric_growth",
    "tied_growth",
    "universal_edges",
    "walk_coefficients",
    "xi_c",
    "xi_q",
]
