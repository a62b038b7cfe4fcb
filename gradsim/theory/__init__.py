"""Theory on the same axes as the measurements: what infinite width predicts for a model."""

from gradsim.theory.correlation_map import c_map, c_star, chi_c, xi_c, xi_q
from gradsim.theory.length_map import chi_1, edge_of_chaos, fixed_point, q_map
from gradsim.theory.mean_field import mean_field, profile
from gradsim.theory.residual import residual_growth

__all__ = [
    "c_map",
    "c_star",
    "chi_1",
    "chi_c",
    "edge_of_chaos",
    "fixed_point",
    "mean_field",
    "profile",
    "q_map",
    "residual_growth",
    "xi_c",
    "xi_q",
]
