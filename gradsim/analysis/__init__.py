"""Statistics over networks: quantiles, growth rates, onset distances and paired differences.

Norms are log10: an exact zero is -inf, an absent layer NaN. Only seeds are independent samples,
so intervals resample whole seeds, with all their examples and layers.
"""

from gradsim.analysis._calibrate import calibrate_gain
from gradsim.analysis._growth import growth_rate
from gradsim.analysis._labels import LAYER_DIMS, layered
from gradsim.analysis._onset import onset
from gradsim.analysis._paired import paired_difference
from gradsim.analysis._quantile import quantile

__all__ = [
    "LAYER_DIMS",
    "calibrate_gain",
    "growth_rate",
    "layered",
    "onset",
    "paired_difference",
    "quantile",
]
