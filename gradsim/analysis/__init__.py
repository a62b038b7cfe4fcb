"""Statistics over networks: quantiles, growth rates, moments, onset, shares, paired differences.

Norms are log10: an exact zero is -inf, an absent layer NaN. Only seeds are independent samples,
so intervals resample whole seeds, with all their examples and layers.
"""

from gradsim.analysis._calibrate import calibrate_gain
from gradsim.analysis._decompose import decompose
from gradsim.analysis._depth_law import depth_law
from gradsim.analysis._growth import growth_rate
from gradsim.analysis._labels import LAYER_DIMS, layered
from gradsim.analysis._moments import moments
from gradsim.analysis._onset import onset
from gradsim.analysis._paired import paired_difference
from gradsim.analysis._phase_diagram import phase_diagram
from gradsim.analysis._predictability import predictability
from gradsim.analysis._quantile import quantile
from gradsim.analysis._shares import exploded_share, vanished_share

__all__ = [
    "LAYER_DIMS",
    "calibrate_gain",
    "decompose",
    "depth_law",
    "exploded_share",
    "growth_rate",
    "layered",
    "moments",
    "onset",
    "paired_difference",
    "phase_diagram",
    "predictability",
    "quantile",
    "vanished_share",
]
