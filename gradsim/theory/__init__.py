"""Theory on the same axes as the measurements: what infinite width predicts for a model."""

from gradsim.theory.correlation_map import c_map, c_star, chi_c, xi_c, xi_q
from gradsim.theory.finite_width import finite_width
from gradsim.theory.length_map import chi_1, edge_of_chaos, fixed_point, q_map
from gradsim.theory.mean_field import mean_field, profile
from gradsim.theory.misfit import misfit
from gradsim.theory.predict import predict
from gradsim.theory.random_walk import random_walk_gain, walk_coefficients
from gradsim.theory.residual import residual_growth

__all__ = [
    "c_map",
    "c_star",
    "chi_1",
    "chi_c",
    "edge_of_chaos",
    "finite_width",
    "fixed_point",
    "mean_field",
    "misfit",
    "predict",
    "profile",
    "q_map",
    "random_walk_gain",
    "residual_growth",
    "walk_coefficients",
    "xi_c",
    "xi_q",
]
