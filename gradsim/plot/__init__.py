"""Figures of labelled results: each function takes and returns matplotlib Axes."""

from gradsim.plot._bound import bound
from gradsim.plot._decomposition import decomposition
from gradsim.plot._heatmap import heatmap
from gradsim.plot._misfit import misfit
from gradsim.plot._phase_diagram import phase_diagram
from gradsim.plot._profile import OKABE_ITO, profile

__all__ = [
    "OKABE_ITO",
    "bound",
    "decomposition",
    "heatmap",
    "misfit",
    "phase_diagram",
    "profile",
]
