"""Theory on the same axes as the measurements: what infinite width predicts for a model."""

from gradsim.theory.length_map import chi_1, edge_of_chaos, fixed_point, q_map
from gradsim.theory.mean_field import mean_field, profile

__all__ = ["chi_1", "edge_of_chaos", "fixed_point", "mean_field", "profile", "q_map"]
