"""gradsim: ensembles of backward passes through random deep networks.

Random deep MLPs and unrolled RNNs are run backward in large ensembles; every result is a labelled
:class:`xarray.Dataset` with its own seed, layer and condition.
"""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version

try:
    __version__ = _version("gradsim")
except PackageNotFoundError:  # run from the repository, uninstalled
    __version__ = "0.1.0"

from gradsim import analysis, config, inputs, plot, theory
from gradsim._cluster import PartialRunError
from gradsim._from_arrays import from_arrays
from gradsim.activations import activations
from gradsim.cells import cell, cells
from gradsim.estimate import Estimate, estimate
from gradsim.expressions import activation
from gradsim.extend import extend
from gradsim.gradients import Gradients, backward
from gradsim.initializers import initializer, initializers
from gradsim.load import load
from gradsim.measurements import measurements
from gradsim.merge import merge
from gradsim.models import MLP, RNN
from gradsim.network import Network, network
from gradsim.own_measurements import measurement
from gradsim.scaled import Scaled, UnderflowError
from gradsim.simulate import simulate
from gradsim.storage import save
from gradsim.train import train
from gradsim.verify import VerificationError, verify
from gradsim.views import View

__all__ = [
    "MLP",
    "RNN",
    "Estimate",
    "Gradients",
    "Network",
    "PartialRunError",
    "Scaled",
    "UnderflowError",
    "VerificationError",
    "View",
    "activation",
    "activations",
    "analysis",
    "backward",
    "cell",
    "cells",
    "config",
    "estimate",
    "extend",
    "from_arrays",
    "initializer",
    "initializers",
    "inputs",
    "load",
    "measurement",
    "measurements",
    "merge",
    "network",
    "plot",
    "save",
    "simulate",
    "theory",
    "train",
    "verify",
]
