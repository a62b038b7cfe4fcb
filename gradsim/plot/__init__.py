"""Figures of labelled results: each function takes and returns matplotlib Axes."""

from gradsim.plot._bound import bound
from gradsim.plot._heatmap import heatmap
from gradsim.plot._histogram import histogram
from gradsim.plot._onset import onset
from gradsim.plot._phase_diagram import phase_diagram
from gradsim.plot._profile import OKABE_ITO, profile
from gradsim.plot._spectrum import spectrum

__all__ = [
    "OKABE_ITO",
    "bound",
    "heatmap",
    "histogram",
    "onset",
    "phase_diagram",
    "profile",
    "spectrum",
]
