"""Bad calls are refused before any work, in words that name the field and the value.

Each row of `BAD` is a call as a user would type it, the error, and what its message must hold.
"""

import json
import os
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim.kernels import engine

NAN, INF = float("nan"), float("inf")
LONGEST = 500  # characters of a message; other tests add to the names that some list
HOME = Path(gs.__file__).parent

MLP = gs.MLP(depth=3, width=4)
RNN = gs.RNN(steps=5, width=4)
DRIVEN = gs.RNN(steps=5, width=4, sigma_u=1.0)
SOFTMAX = gs.MLP(depth=3, width=4, output="softmax", loss="cross_entropy")
EYE = np.eye(4)
TWO = [EYE, EYE]


def sim(model=MLP, seeds=3, **arguments):
    return gs.simulate(model, seeds, **{"progress": False} | arguments)


def net(model=MLP, **arguments):
    return gs.network(model, 1, **arguments)


def changed(**arrays):
    return replace(net(), **arrays)


def written(name, value):
    """A network whose arrays have been written to."""
    network = net()
    array = getattr(network, name)
    array = array[0] if isinstance(array, list) else array
    array[..., 0] = value
    return network


def ones(*shape):
    return np.ones(shape)


def labelled(*dims, **coords):
    shape = [{"example": 2, "step": 5}.get(dim, 4) for dim in dims]
    return xr.DataArray(np.ones(shape), dims=dims, coords=coords)


BAD = [
    # models: sizes
    ("gs.MLP(depth=0)", ValueError, "depth", "0", ">= 1"),
    ("gs.MLP(depth=-3)", ValueError, "depth", "-3"),
    ("gs.MLP(depth=2.0)", TypeError, "depth", "2.0", "integer"),
    ("gs.MLP(depth=True)", TypeError, "depth", "True"),
    ("gs.MLP(depth='3')", TypeError, "depth", "'3'"),
    ("gs.MLP(depth=None)", TypeError, "depth", "None"),
    ("gs.MLP(width=0)", ValueError, "width", "0"),
    ("gs.MLP(width=NAN)", TypeError, "width", "nan"),
    ("gs.MLP(width=())", ValueError, "width", "()"),
    ("gs.MLP(width=(4,))", ValueError, "width", "(4,)"),
    ("gs.MLP(width=(4, 0, 3))", ValueError, "width", "0"),
    ("gs.MLP(width=(4, 3.5))", TypeError, "width", "3.5"),
    ("gs.MLP(width=(4, True))", TypeError, "width", "True"),
    ("gs.MLP(width={3, 4})", TypeError, "width", "{3, 4}"),
    ("gs.MLP(depth=3, width=(4, 4))", ValueError, "depth=3", "(4, 4)", "must be 1"),
    ("gs.MLP(width=(4, 4), input_width=3)", ValueError, "input_width=3", "must be 4"),
    ("gs.MLP(width=(4, 4), output_width=3)", ValueError, "output_width=3", "must be 4"),
    ("gs.MLP(input_width=0)", ValueError, "input_width", "0"),
    ("gs.MLP(output_width=2.5)", TypeError, "output_width", "2.5"),
    ("gs.RNN(steps=0)", ValueError, "steps", "0"),
    ("gs.RNN(steps=1.5)", TypeError, "steps", "1.5"),
    ("gs.RNN(width=(3, 4))", TypeError, "width", "(3, 4)"),
    ("gs.RNN(input_width=-1)", ValueError, "input_width", "-1"),
    # models: names
    ("gs.MLP(activation='tnah')", ValueError, "activation", "'tnah'", "did you mean 'tanh'"),
    ("gs.MLP(activation='softmax')", ValueError, "activation", "'softmax'"),
    ("gs.MLP(activation=None)", ValueError, "activation", "None"),
    ("gs.MLP(activation=['tanh'])", ValueError, "activation", "['tanh']"),
    ("gs.MLP(output='sofmax')", ValueError, "output", "did you mean 'softmax'"),
    ("gs.MLP(loss='crossentropy')", ValueError, "loss", "did you mean 'cross_entropy'"),
    ("gs.MLP(loss='cross_entropy')", ValueError, "output", "'sigmoid' or 'softmax'", "'tanh'"),
    ("gs.RNN(loss='cross_entropy')", ValueError, "cross_entropy", "sigmoid", "'tanh'"),
    ("gs.MLP(fan='both')", ValueError, "fan", "'both'", "average"),
    ("gs.MLP(init='orthogonal', fan='out')", ValueError, "fan", "orthogonal", "he_normal"),
    ("gs.MLP(nonzeros=3)", ValueError, "nonzeros", "gaussian", "sparse"),
    ("gs.MLP(init='sparse', nonzeros=0)", ValueError, "nonzeros", "0", ">= 1"),
    ("gs.MLP(init='sparse', nonzeros=2.5)", TypeError, "nonzeros", "2.5"),
    ("gs.MLP(init='sparse', nonzeros=8, width=(9, 7, 8))", ValueError, "nonzeros", "8", "7"),
    ("gs.RNN(init='he_normal', spectral_radius=0.9)", ValueError, "spectral_radius", "he_normal"),
    ("gs.RNN(init='spectral_radius', spectral_radius=-1)", ValueError, "spectral_radius", "-1"),
    ("gs.RNN(init='spectral_radius', spectral_radius=NAN)", ValueError, "spectral_radius", "nan"),
    ("gs.RNN(init='eigenvalues')", ValueError, "eigenvalues", "None"),
    ("gs.RNN(width=3, init='eigenvalues', eigenvalues=[1, 2])", ValueError, "eigenvalues", "3"),
    ("gs.RNN(width=2, init='eigenvalues', eigenvalues=[1j, 2])", TypeError, "eigenvalues", "1j"),
    ("gs.RNN(width=2, init='eigenvalues', eigenvalues=[INF, 2])", ValueError, "eigenvalues", "inf"),
    ("gs.RNN(width=2, init='eigenvalues', eigenvalues='12')", TypeError, "eigenvalues", "12"),
    ("gs.RNN(width=2, eigenvalues=[1, 2])", ValueError, "eigenvalues", "gaussian", "nonnormal"),
    ("gs.RNN(width=2, init='nonnormal', eigenvalues=[1, 2])", ValueError, "upper", "None"),
    (
        "gs.RNN(width=2, init='nonnormal', eigenvalues=[1, 2], upper=[[0, 1], [1, 0]])",
        ValueError, "upper", "strictly",
    ),
    ("gs.RNN(width=2, init='nonnormal', eigenvalues=[1, 2], upper=-1)", ValueError, "upper", "-1"),
    ("gs.MLP(input_width=3, init='symmetric')", ValueError, "symmetric", "square", "3"),
    ("sim(gs.MLP(init='symmetric'), inputs=ones(2, 5))", ValueError, "symmetric", "square", "5"),
    ("gs.MLP(width=(4, 5), init='spectral_radius')", ValueError, "spectral_radius", "square"),
    ("sim(gs.MLP(init='random_walk'))", ValueError, "random_walk", "relu", "'tanh'"),
    ("gs.theory.mean_field(gs.MLP(init='identity'))", ValueError, "identity", "mean-field"),
    ("gs.MLP(init='he_norml')", ValueError, "init", "did you mean 'he_normal'"),
    ("gs.MLP(cell='vanilla')", ValueError, "cell", "'vanilla'", "dense"),
    ("gs.RNN(cell='dense')", ValueError, "cell", "'dense'", "vanilla"),
    ("gs.RNN(tied=1)", TypeError, "tied", "1", "True or False"),
    ("gs.RNN(loss_at='first')", ValueError, "loss_at", "'first'", "last"),
    ("MLP.with_fields(dept=3)", ValueError, "'dept'", "did you mean 'depth'"),
    # models: numbers
    ("gs.MLP(sigma_w=-1)", ValueError, "sigma_w", "-1"),
    ("gs.MLP(sigma_w=NAN)", ValueError, "sigma_w", "nan"),
    ("gs.MLP(sigma_w=INF)", ValueError, "sigma_w", "inf"),
    ("gs.MLP(sigma_w='1')", TypeError, "sigma_w", "'1'"),
    ("gs.MLP(sigma_w=True)", TypeError, "sigma_w", "True"),
    ("gs.MLP(sigma_w=1j)", TypeError, "sigma_w", "1j"),
    ("gs.MLP(sigma_w=[1.0, 2.0])", TypeError, "sigma_w", "[1.0, 2.0]"),
    ("gs.MLP(sigma_w=10**400)", (TypeError, ValueError), "sigma_w"),
    ("gs.MLP(sigma_b=-0.1)", ValueError, "sigma_b", "-0.1"),
    ("gs.MLP(slope=NAN)", ValueError, "slope", "nan"),
    ("gs.MLP(slope=-1e7)", ValueError, "slope", "-10000000.0", "1e+06"),
    ("gs.RNN(sigma_u=-1)", ValueError, "sigma_u", "-1"),
    # initial states
    ("gs.RNN(initial_state='ones')", ValueError, "initial_state", "'ones'"),
    ("gs.RNN(initial_state=None)", (TypeError, ValueError), "initial_state", "None"),
    ("gs.RNN(width=4, initial_state=[1, 2, 3])", ValueError, "initial_state", "(3,)"),
    ("gs.RNN(width=4, initial_state=ones(2, 2, 4))", ValueError, "initial_state", "(2, 2, 4)"),
    ("gs.RNN(width=4, initial_state=ones(0, 4))", ValueError, "initial_state", "(0, 4)"),
    ("gs.RNN(width=4, initial_state=[1, 2, 3, NAN])", ValueError, "initial_state", "finite"),
    ("gs.RNN(width=2, initial_state=['a', 'b'])", TypeError, "initial_state", "'a'"),
    ("gs.RNN(width=2, initial_state=[1j, 0])", TypeError, "initial_state", "1j"),
    ("gs.RNN(width=4, initial_state=3)", TypeError, "initial_state", "3", "array"),
    ("gs.RNN(width=1, initial_state=[10**400])", TypeError, "initial_state", "array"),
    ("sim(gs.RNN(width=4, initial_state=ones(3, 4)))", ValueError, "initial_state", "3", "1"),
    # model and seeds
    ("sim('MLP')", TypeError, "model", "'MLP'"),
    ("sim(gs.MLP)", TypeError, "model", "MLP"),
    ("sim(None)", TypeError, "model", "None"),
    ("sim(seeds=None)", TypeError, "seeds", "None"),
    ("sim(seeds=0)", ValueError, "seeds", "0"),
    ("sim(seeds=-1)", ValueError, "seeds", "-1"),
    ("sim(seeds=2.0)", TypeError, "seeds", "2.0"),
    ("sim(seeds=True)", TypeError, "seeds", "True"),
    ("sim(seeds='3')", TypeError, "seeds", "'3'"),
    ("sim(seeds=[])", ValueError, "seeds", "empty"),
    ("sim(seeds=range(0))", ValueError, "seeds", "empty"),
    ("sim(seeds=[1, 2, 1])", ValueError, "seeds", "distinct", "1"),
    ("sim(seeds=[1, -1])", ValueError, "seeds", "-1"),
    ("sim(seeds=[2**64])", ValueError, "seeds", "18446744073709551616"),
    ("sim(seeds=[1.0, 2.0])", TypeError, "seeds", "1.0"),
    ("sim(seeds=[True])", TypeError, "seeds", "True"),
    ("sim(seeds=['a'])", TypeError, "seeds", "'a'"),
    ("sim(seeds=np.ones((2, 2), int))", TypeError, "seeds", "[1, 1]"),
    ("sim(seeds=np.array(1.5))", TypeError, "seeds", "1.5"),
    ("sim(seeds=xr.DataArray(3))", TypeError, "seeds", "DataArray"),
    ("sim(seeds=xr.DataArray([4.0]))", TypeError, "seeds", "4.0"),
    ("sim(seeds=range(3, -2, -1))", ValueError, "seeds", "-1"),
    ("sim(seeds=range(2**64, 2**64 + 2))", ValueError, "seeds", "18446744073709551616"),
    ("sim(seeds=10**5000)", ValueError, "seeds", "2**64"),
    ("sim(seeds=iter(int, 1))", ValueError, "seeds", "iterator", "range"),
    # vary
    ("sim(vary=3)", TypeError, "vary", "3"),
    ("sim(vary=['sigma_w'])", TypeError, "vary", "['sigma_w']"),
    ("sim(vary={'activations': ['tanh']})", ValueError, "vary", "did you mean 'activation'"),
    ("sim(vary={'steps': [1]})", ValueError, "vary", "MLP", "'steps'"),
    ("sim(RNN, vary={'depth': [1]})", ValueError, "vary", "RNN", "'depth'"),
    ("sim(vary={3: [1]})", (TypeError, ValueError), "vary", "3"),
    ("sim(vary={'sigma_w': []})", ValueError, "vary['sigma_w']", "empty"),
    ("sim(vary={'sigma_w': [1, 1.0]})", ValueError, "vary['sigma_w']", "distinct", "[1, 1.0]"),
    ("sim(vary={'width': [(4, 4), (4, 4)]})", ValueError, "vary['width']", "distinct"),
    ("sim(vary={'sigma_w': 1.0})", TypeError, "vary['sigma_w']", "1.0"),
    ("sim(vary={'sigma_w': None})", TypeError, "vary['sigma_w']", "None"),
    ("sim(vary={'sigma_w': {1.0, 2.0}})", TypeError, "vary['sigma_w']", "sequence"),
    ("sim(vary={'activation': 'tanh'})", TypeError, "vary['activation']", "'tanh'"),
    ("sim(vary={'activation': ['tanh', 'rleu']})", ValueError, "activation", "did you mean 'relu'"),
    ("sim(vary={'sigma_w': [1, -1]})", ValueError, "sigma_w", "-1"),
    ("sim(vary={'sigma_w': ones(2, 2) * [[1], [2]]})", TypeError, "sigma_w", "(1.0, 1.0)"),
    ("sim(vary={'depth': [3, True]})", TypeError, "depth", "True"),
    ("sim(vary={'depth': [2.0, 3.0]})", TypeError, "depth", "2.0"),
    ("sim(gs.MLP(width=(4, 4)), vary={'depth': [2]})", ValueError, "vary['depth']", "width"),
    ("sim(gs.MLP(), vary={'width': [(4, 4), (4, 5, 4)], 'depth': [1, 2]})", ValueError, "depth"),
    ("sim(vary={'loss': ['mse', 'cross_entropy']})", ValueError, "cross_entropy", "'tanh'"),
    # inputs
    ("sim(inputs=0)", ValueError, "inputs", "0"),
    ("sim(inputs=-1)", ValueError, "inputs", "-1"),
    ("sim(inputs=True)", TypeError, "inputs", "True"),
    ("sim(inputs=2.0)", TypeError, "inputs", "2.0"),
    ("sim(inputs='x')", TypeError, "inputs", "'x'"),
    ("sim(inputs=[])", ValueError, "inputs", "empty"),
    ("sim(inputs=ones(0, 4))", ValueError, "inputs", "(0, 4)"),
    ("sim(inputs=[[1, 2], [3]])", ValueError, "inputs", "rectangular"),
    ("sim(inputs=ones(2, 2, 4))", ValueError, "inputs", "(2, 2, 4)"),
    ("sim(inputs=ones(2, 4) * NAN)", ValueError, "inputs", "finite", "8"),
    ("sim(inputs=-INF * ones(2, 4))", ValueError, "inputs", "finite"),
    ("sim(inputs=ones(2, 4) * 1j)", TypeError, "inputs", "complex128"),
    ("sim(inputs=[['a'] * 4])", TypeError, "inputs", "<U1"),
    ("sim(inputs=[[1, None, 3, 4]])", TypeError, "inputs", "object"),
    ("sim(inputs=ones(2, 4).astype('longdouble') * np.longdouble('1e400'))",
     ValueError, "inputs", "finite"),
    ("sim(inputs=np.ma.masked_less(ones(2, 4), 2))", ValueError, "inputs", "masked", "8"),
    ("sim(inputs={'a': 1})", TypeError, "inputs", "{'a': 1}"),
    ("sim(inputs=xr.Dataset({'a': 1.0}))", TypeError, "inputs", "Dataset"),
    ("sim(gs.MLP(input_width=5), inputs=ones(2, 4))", ValueError, "input_width=5", "4 features"),
    ("sim(gs.MLP(width=(5, 4)), inputs=ones(2, 4))", ValueError, "5", "inputs", "4 features"),
    ("sim(vary={'input_width': [4, 5]}, inputs=ones(2, 4))", ValueError, "input_width=5"),
    ("sim(inputs=labelled('sample', 'feature'))", ValueError, "inputs", "sample", "example"),
    ("sim(inputs=labelled('example', 'unit'))", ValueError, "inputs", "unit", "feature"),
    ("sim(inputs=labelled('example', 'step', 'feature'))", ValueError, "inputs", "step"),
    ("sim(inputs=labelled('example', 'feature', seed=('example', [8, 9])), batch='each')",
     ValueError, "inputs", "'seed'"),
    ("sim(inputs=labelled('example', 'feature', log10_loss=('example', [8, 9])), batch='each')",
     ValueError, "inputs", "'log10_loss'"),
    ("sim(inputs=labelled('example', 'feature', sigma_w=('example', [8, 9])), batch='each', "
     "vary={'sigma_w': [1, 2]})", ValueError, "inputs", "'sigma_w'"),
    ("sim(inputs=labelled('example', 'feature', layer=('example', [8, 9])), batch='each')",
     ValueError, "inputs", "'layer'"),
    ("sim(inputs=labelled('example', 'feature', fan_in=('example', [8, 9])), batch='each')",
     ValueError, "inputs", "'fan_in'"),
    ("sim(RNN, inputs=2)", ValueError, "sigma_u", "0.0", "inputs"),
    ("sim(RNN, inputs=ones(2, 5, 4))", ValueError, "sigma_u", "inputs"),
    ("sim(DRIVEN, vary={'sigma_u': [1, 0]}, inputs=2)", ValueError, "sigma_u", "0", "inputs"),
    ("sim(DRIVEN, inputs=ones(2, 4))", ValueError, "inputs", "step", "(2, 4)"),
    ("sim(DRIVEN, inputs=ones(2, 4, 4))", ValueError, "steps=5", "4 steps"),
    ("sim(DRIVEN, vary={'steps': [3, 9]}, inputs=ones(2, 5, 4))", ValueError, "steps=9", "5"),
    ("sim(DRIVEN, inputs=labelled('example', 'feature'))", ValueError, "inputs", "step"),
    # targets
    ("sim(targets=ones(2, 4))", ValueError, "targets", "(2, 4)"),
    ("sim(targets=ones(1, 1, 4))", ValueError, "targets", "(1, 1, 4)"),
    ("sim(targets=3)", ValueError, "targets", "()"),
    ("sim(targets=[1, 2, NAN, 4])", ValueError, "targets", "finite"),
    ("sim(targets='label')", TypeError, "targets", "<U5"),
    ("sim(targets=[])", ValueError, "targets", "empty"),
    ("sim(targets=xr.Dataset())", TypeError, "targets", "Dataset"),
    ("sim(gs.MLP(output_width=3), targets=ones(4))", ValueError, "targets", "3", "4"),
    ("sim(vary={'output_width': [4, 3]}, targets=ones(4))", ValueError, "targets", "3", "4"),
    ("sim(targets=labelled('example', 'class'))", ValueError, "targets", "class"),
    ("sim(SOFTMAX, targets=[4])", ValueError, "targets", "0..3", "4"),
    ("sim(SOFTMAX, targets=[-1])", ValueError, "targets", "0..3", "-1"),
    ("sim(SOFTMAX, targets=[1, 2, 3], inputs=2)", ValueError, "targets", "2", "3"),
    ("sim(SOFTMAX, targets=[1.0, 2.0], inputs=2)", (TypeError, ValueError), "targets", "labels"),
    ("sim(SOFTMAX, targets=[[0, 0, 0, 1.5]])", ValueError, "targets", "[0, 1]", "cross_entropy"),
    ("sim(SOFTMAX, targets=[[1, 2]])", ValueError, "targets", "labels", "(1, 2)"),
    ("sim(SOFTMAX.with_fields(output_width=4), targets=[0.5, 0.5, 0])",
     ValueError, "targets", "4 features", "labels", "3"),
    ("sim(RNN, targets=ones(1, 3, 4))", ValueError, "targets", "5 steps", "3"),
    ("sim(RNN, targets=ones(1, 5, 3))", ValueError, "targets", "4 features", "3"),
    ("sim(RNN, targets=ones(1, 1, 5, 4))", ValueError, "targets", "(1, 1, 5, 4)"),
    ("sim(vary={'loss': ['mse', 'linear']}, targets=ones(4))", ValueError, "targets", "linear"),
    # other arguments of simulate
    ("sim(batch='all')", ValueError, "batch", "'all'", "each"),
    ("sim(batch=32)", ValueError, "batch", "32"),
    ("sim(measure='gradients')", ValueError, "'gradients'", "did you mean 'gradient'"),
    ("sim(measure=[])", TypeError, "measure", "[]"),
    ("sim(measure=None)", TypeError, "measure", "None"),
    ("sim(measure=[3])", TypeError, "measure", "3"),
    ("sim(measure=[[3] * 1000])", TypeError, "measure", "3"),
    ("sim(measure=['signal', 'signal'])", ValueError, "measure", "repeat", "signal"),
    ("gs.measurements.gradient(totals=True)", TypeError, "gradient", "'totals'", "total"),
    ("gs.measurements.gradient(total=1)", TypeError, "total=1", "bool"),
    ("gs.measurements.signal(total=True)", TypeError, "signal", "'total'"),
    ("sim(dtype='float16')", ValueError, "dtype", "'float16'", "float32"),
    ("sim(dtype='flaot32')", (TypeError, ValueError), "dtype", "'flaot32'"),
    ("sim(dtype=int)", ValueError, "dtype", "int"),
    ("sim(dtype=None)", (TypeError, ValueError), "dtype", "None"),
    ("sim(dtype='>f8')", ValueError, "dtype", "'>f8'"),
    ("sim(dtype=',')", TypeError, "dtype", "','"),
    ("sim(dtype={'names': 3})", TypeError, "dtype", "names"),
    ("sim(key=-1)", ValueError, "key", "-1"),
    ("sim(key=2**32)", ValueError, "key", "4294967296", "2**32"),
    ("sim(key=1.0)", TypeError, "key", "1.0"),
    ("sim(key=True)", TypeError, "key", "True"),
    ("sim(key=None)", TypeError, "key", "None"),
    ("sim(threads=0)", ValueError, "threads", "0"),
    ("sim(threads=1.5)", TypeError, "threads", "1.5"),
    ("sim(threads='all')", TypeError, "threads", "'all'"),
    ("sim(memory_limit=0)", ValueError, "memory_limit", "0"),
    ("sim(memory_limit='1GB')", TypeError, "memory_limit", "'1GB'"),
    ("sim(memory_limit=1000)", MemoryError, "memory_limit"),
    ("sim(progress='yes')", TypeError, "progress", "'yes'"),
    ("sim(progress=1)", TypeError, "progress", "1"),
    # no critical point
    ("sim(gs.MLP(init='critical', activation='relu', sigma_b=0.5))", ValueError, "relu", "0.5"),
    ("sim(gs.RNN(init='critical', activation='identity', sigma_b=1.0))", ValueError, "identity"),
    ("sim(gs.RNN(init='critical', activation='relu', sigma_u=1.0))", ValueError, "relu"),
    # network and backward
    ("gs.network('m', 1)", TypeError, "model", "'m'"),
    ("gs.network(net(), 1)", TypeError, "model", "Network"),
    ("gs.network(MLP, -1)", ValueError, "seed", "-1"),
    ("gs.network(MLP, 2**64)", ValueError, "seed", "18446744073709551616"),
    ("gs.network(MLP, 1.0)", TypeError, "seed", "1.0"),
    ("gs.network(MLP, None)", TypeError, "seed", "None"),
    ("gs.network(MLP, 1, key=2**32)", ValueError, "key", "4294967296"),
    ("gs.network(gs.MLP(input_width=3), 1, inputs=ones(2, 4))", ValueError, "input_width=3", "4"),
    ("gs.network(SOFTMAX, 1, targets=[9])", ValueError, "targets", "9"),
    ("gs.backward(MLP)", TypeError, "backward", "Network", "MLP"),
    ("gs.backward(None)", TypeError, "Network", "None"),
    ("gs.backward([np.eye(100)])", TypeError, "Network", "list"),
    ("gs.network(SOFTMAX, 1, targets=[1.0, 2.0], inputs=2)", ValueError, "targets", "labels"),
    ("gs.network(gs.MLP(width=4, output_width=3), 1, targets=ones(4))", ValueError, "targets", "3"),
    ("gs.network(RNN, 1, targets=ones(1, 3, 4))", ValueError, "targets", "5 steps", "3"),
    # a Network in place of a model
    ("sim(net(), vary={'sigma_w': [1, 2]})", ValueError, "vary['sigma_w']", "activation"),
    ("sim(net(), vary={'depth': [1, 2]})", ValueError, "vary['depth']"),
    ("sim(net(), vary={'actvation': ['tanh']})", ValueError, "'actvation'", "'activation'"),
    ("sim(net(RNN), vary={'tied': [True, False]})", ValueError, "vary['tied']"),
    ("sim(net(RNN.with_fields(tied=False)), vary={'steps': [2]})", ValueError, "vary['steps']"),
    ("sim(net(), vary=3)", TypeError, "vary", "3"),
    ("sim(net(), inputs=ones(1, 5))", ValueError, "inputs", "4", "5"),
    ("sim(net(), targets=ones(3))", ValueError, "targets", "4", "3"),
    ("sim(net(DRIVEN), inputs=ones(1, 5, 3))", ValueError, "inputs", "4", "3"),
    ("sim(gs.from_arrays(TWO), None)", TypeError, "seeds", "None"),
    ("sim(changed(weights=[EYE, EYE]))", ValueError, "weights"),
    ("sim(changed(weights=[EYE, EYE, np.eye(3)]))", ValueError, "weights"),
    ("sim(changed(biases=[ones(3)] * 3))", ValueError, "biases"),
    ("gs.backward(changed(weights=[EYE * NAN] * 3))", ValueError, "weights", "finite"),
    ("gs.backward(written('weights', NAN))", ValueError, "weights", "finite"),
    ("sim(written('weights', NAN))", ValueError, "weights", "finite"),
    ("gs.backward(written('biases', INF))", ValueError, "biases", "finite"),
    ("gs.backward(written('inputs', NAN))", ValueError, "inputs", "finite"),
    ("gs.backward(changed(inputs=ones(1, 5)))", ValueError, "inputs", "4", "5"),
    ("gs.backward(changed(model=MLP, inputs=ones(1, 5)))", ValueError, "inputs", "4", "5"),
    ("gs.backward(changed(targets=ones(2, 4)))", ValueError, "targets", "(2, 4)"),
    ("gs.backward(changed(targets=ones(1, 3)))", ValueError, "targets", "4", "3"),
    ("changed(weights=None)", TypeError, "weights", "None"),
    ("changed(model='MLP')", TypeError, "model", "'MLP'"),
    ("changed(model=gs.MLP(depth=3, width=5))", ValueError, "weights", "(5, 5)", "(4, 4)"),
    ("changed(input_weights=EYE)", ValueError, "input_weights", "sigma_u"),
    ("replace(net(DRIVEN), input_weights=None)", TypeError, "input_weights", "None"),
    ("replace(net(DRIVEN), input_weights=ones(4, 2))", ValueError, "input_weights", "(4, 2)"),
    # from_arrays
    ("gs.from_arrays([])", (TypeError, ValueError), "weights", "[]"),
    ("gs.from_arrays(None)", TypeError, "weights", "None"),
    ("gs.from_arrays('abc')", TypeError, "weights", "'abc'"),
    ("gs.from_arrays(EYE)", ValueError, "weights[0]", "(4,)"),
    ("gs.from_arrays([EYE, np.eye(3)])", ValueError, "weights[1]", "(3, 3)", "4 columns"),
    ("gs.from_arrays([EYE * NAN])", ValueError, "weights[0]", "finite"),
    ("gs.from_arrays([EYE * 1j])", TypeError, "weights[0]", "complex128"),
    ("gs.from_arrays(TWO, [ones(4)])", ValueError, "biases", "[4, 4]", "[4]"),
    ("gs.from_arrays(TWO, [ones(4), ones(3)])", ValueError, "biases", "[4, 3]"),
    ("gs.from_arrays(TWO, [ones(4), ones(4) * INF])", ValueError, "biases[1]", "finite"),
    ("gs.from_arrays(TWO, 3)", TypeError, "biases", "3"),
    ("gs.from_arrays(TWO, activation='tnah')", ValueError, "activation", "did you mean 'tanh'"),
    ("gs.from_arrays(TWO, sigma_w=1)", TypeError, "'sigma_w'", "activation"),
    ("gs.from_arrays(TWO, cell='grue')", ValueError, "cell", "'grue'", "'gru'"),
    ("gs.from_arrays(TWO, steps=3)", ValueError, "steps", "RNN"),
    ("gs.from_arrays(TWO, input_weights=EYE)", ValueError, "input_weights", "RNN"),
    ("gs.from_arrays(TWO, loss_at='all')", TypeError, "loss_at"),
    ("gs.from_arrays(TWO, inputs=ones(2, 3))", ValueError, "inputs", "4", "3"),
    ("gs.from_arrays(TWO, targets=ones(3))", ValueError, "targets", "4", "3"),
    ("gs.from_arrays(TWO, targets=ones(2, 4))", ValueError, "targets", "(2, 4)"),
    ("gs.from_arrays(TWO, inputs=3)", TypeError, "inputs", "3", "array"),
    ("gs.from_arrays(None, cell='vanilla', steps=3)", TypeError, "weights", "None"),
    ("gs.from_arrays([], cell='vanilla', steps=3)", TypeError, "weights", "[]"),
    ("gs.from_arrays([[[1, 2], [3]]], cell='vanilla')", ValueError, "weights[0]", "rectangular"),
    ("gs.from_arrays(EYE, [[1, 2], [3]], cell='vanilla', steps=3)", ValueError, "biases", "[4]"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, targets=ones(3))", ValueError, "targets", "4"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, input_weights=[EYE, EYE])",
     ValueError, "input_weights", "(4, 4)"),
    ("gs.from_arrays([EYE] * 3, cell='vanilla', input_weights=EYE)", ValueError, "input_weights"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, input_weights=EYE, inputs=ones(2, 2, 4))",
     ValueError, "inputs", "steps=3", "2"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, input_weights=EYE, inputs=ones(2, 3, 5))",
     ValueError, "inputs", "4", "5"),
    ("gs.from_arrays(TWO, loss='cross_entropy', output='softmax', targets=[7])",
     ValueError, "targets", "7"),
    ("gs.from_arrays(EYE, cell='vanilla')", TypeError, "steps", "None"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=0)", ValueError, "steps", "0"),
    ("gs.from_arrays(ones(3, 4), cell='vanilla', steps=3)", ValueError, "square", "(3, 4)"),
    ("gs.from_arrays([EYE, np.eye(3)], cell='vanilla')", ValueError, "square", "(3, 3)"),
    ("gs.from_arrays([EYE] * 3, cell='vanilla', steps=4)", ValueError, "steps=4", "3"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, input_weights=ones(3, 2))",
     ValueError, "input_weights"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, input_weights=3)",
     (TypeError, ValueError), "input_weights", "3"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, input_weights=[])",
     (TypeError, ValueError), "input_weights", "[]"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, output='tanh')", TypeError, "output"),
    ("gs.from_arrays(EYE, cell='vanilla', steps=3, inputs=ones(2, 3, 4))",
     ValueError, "inputs", "input_weights"),
    # files and registries
    ("gs.save(3, 'a.nc')", TypeError, "ds", "int"),
    ("gs.save(xr.Dataset(), 3)", TypeError, "path", "int"),
    ("gs.save(xr.Dataset(), '/no/such/folder/a.nc')", FileNotFoundError, "/no/such/folder"),
    ("gs.save(xr.Dataset({'a': ('x', [1j])}), 'a.nc')", TypeError, "'a'", "complex128"),
    ("gs.save(xr.Dataset(attrs={'a': None}), 'a.nc')", TypeError, "'a'", "None"),
    ("gs.save(xr.Dataset(attrs={'a': ['x' * 1000]}), 'a.nc')", TypeError, "'a'", "list"),
    ("gs.load('/no/such/file.nc')", FileNotFoundError, "/no/such/file.nc"),
    ("gs.load(3)", TypeError, "path", "int"),
    ("gs.load(__file__)", ValueError, "test_bad_input.py", "NetCDF"),
    ("gs.activations['tnah']", ValueError, "activation", "did you mean 'tanh'"),
    ("gs.initializers['xavier']", ValueError, "init", "'xavier'", "glorot_normal"),
    ("gs.cells['dens']", ValueError, "cell", "did you mean 'dense'"),
    ("gs.measurements['gradeint']", ValueError, "measurement", "did you mean 'gradient'"),
    ("gs.measurements.jacobean", AttributeError, "'jacobean'", "gradient"),
]  # fmt: skip


@pytest.fixture
def _idle(monkeypatch):
    """Fail where the engine is called."""

    def refuse(*_):
        raise AssertionError("the engine ran")

    monkeypatch.setattr(engine, "run", refuse)


@pytest.mark.usefixtures("_idle")
@pytest.mark.parametrize("call", BAD, ids=[row[0] for row in BAD])
def test_bad_input__is_refused_in_words(call):
    text, kind, *parts = call
    with pytest.raises(kind) as info:
        eval(text)
    message = str(info.value)
    assert all(part in message for part in parts), message
    assert len(message) <= LONGEST
    file = traceback.extract_tb(info.tb)[-1].filename
    assert Path(file).is_relative_to(HOME), f"raised by accident in {file}: {message}"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("gs.MLP(widht=3)", "widht"),
        ("gs.MLP(steps=3)", "steps"),
        ("gs.RNN(depth=3)", "depth"),
        ("gs.RNN(output='tanh')", "output"),
        ("sim(sedes=3)", "sedes"),
        ("sim(sigma_w=2)", "sigma_w"),
    ],
)
def test_bad_input__unknown_arguments_are_named(text, word):
    with pytest.raises(TypeError, match=word):
        eval(text)


GOOD = [
    ("sim(seeds=xr.DataArray([4, 7]))", {"seed": 2}),
    ("sim(seeds=range(9, 1, -4))", {"seed": 2}),
    ("sim(seeds=np.uint64(3))", {"seed": 3}),
    ("sim(seeds=iter([2**64 - 1, 0]))", {"seed": 2}),
    ("sim(gs.MLP(depth=np.int8(3), width=np.uint8(4), sigma_w=np.float32(1)))", {"layer": 3}),
    ("sim(gs.MLP(width=[4, 5, 3]))", {"layer": 2}),
    ("sim(gs.MLP(), vary={'width': [(4, 4), (4, 5, 4)]})", {"width": 2, "layer": 2}),
    ("sim(gs.MLP(), vary={'width': [4, (4, 5, 4)]})", {"width": 2, "layer": 10}),
    ("sim(vary={'activation': np.array(['relu', 'tanh'])})", {"activation": 2}),
    ("sim(vary={'output': [None, 'tanh']})", {"output": 2}),
    ("sim(RNN)", {"step": 5, "state_step": 6}),
    ("sim(RNN, vary={'sigma_u': [0, 1.0]})", {"sigma_u": 2}),
    ("sim(RNN, vary={'initial_state': ['zeros', (1, 2, 3, 4)]})", {"initial_state": 2}),
    ("sim(RNN, vary={'initial_state': [np.zeros(4), np.ones(4)]})", {"initial_state": 2}),
    ("sim(inputs=[1, 2, 3, 4])", {"seed": 3}),
    ("sim(inputs=ones(2, 4) > 0)", {"seed": 3}),
    ("sim(inputs=labelled('feature', 'example', word=('example', ['a', 'b'])), batch='each')",
     {"example": 2}),
    ("sim(targets=ones(3))", {"layer": 3}),
    ("sim(SOFTMAX, targets=[3, 0], inputs=2)", {"seed": 3}),
    ("sim(SOFTMAX, inputs=2, targets=[3, 0], vary={'loss': ['mse', 'cross_entropy']})",
     {"loss": 2}),
    ("sim(SOFTMAX.with_fields(output_width=10**6), 1, targets=[10**6 - 1])", {"seed": 1}),
    ("sim(RNN, targets=ones(1, 7, 4))", {"step": 5}),
    ("sim(RNN, vary={'steps': [2, 5]}, targets=ones(1, 5, 4))", {"steps": 2}),
    ("sim(inputs=labelled('example', 'feature', seed=('example', [8, 9])))", {"seed": 3}),
    ("sim(threads=10**9)", {"seed": 3}),
    ("sim(memory_limit=10**30)", {"seed": 3}),
    ("sim(net(), None)", {"seed": 1}),
    ("sim(net(), 5)", {"seed": 5}),
    ("sim(net(RNN), 2, vary={'steps': [2, 9]})", {"step": 9}),
]  # fmt: skip


@pytest.mark.parametrize("call", GOOD, ids=[row[0] for row in GOOD])
def test_unusual_input__is_accepted(call):
    text, sizes = call
    assert eval(text).sizes.items() >= sizes.items()


# Too large --------------------------------------------------------------------------------------

HUGE = [
    ("gs.simulate(MLP, 10**30)", (MemoryError, ValueError)),
    ("gs.simulate(MLP, 10**12)", (MemoryError, ValueError)),
    ("gs.simulate(MLP, range(10**12))", (MemoryError, ValueError)),
    ("gs.simulate(MLP, range(2**63, 2**64))", (MemoryError, ValueError)),
    ("gs.simulate(MLP, 10**6, vary={'depth': [1000]}, memory_limit=10**8)", (MemoryError,)),
    ("gs.simulate(MLP, 10**6, vary={'sigma_w': np.linspace(1, 2, 1000)})", (MemoryError,)),
    (
        "gs.simulate(MLP, 1, vary={n: np.linspace(1, 2, 1000) for n in NAMES})",
        (MemoryError, ValueError),
    ),
    ("gs.simulate(MLP, 10**6, inputs=10**4, batch='each')", (MemoryError,)),
    ("gs.simulate(MLP, 1, inputs=10**15)", (MemoryError,)),
    ("gs.simulate(MLP, 1, inputs=10**9)", (MemoryError,)),
    ("gs.simulate(MLP, 1, inputs=10**400)", (MemoryError,)),
    ("gs.simulate(MLP, 1, vary={'sigma_w': range(10**12)})", (MemoryError,)),
    ("gs.simulate(gs.MLP(width=10**9, depth=2), 1)", (MemoryError,)),
    ("gs.simulate(gs.MLP(depth=10**9), 1)", (MemoryError,)),
    ("gs.simulate(gs.MLP(depth=2**63, width=1), 1)", (MemoryError, ValueError)),
    ("gs.simulate(gs.MLP(depth=1, width=2**63), 1)", (MemoryError, ValueError)),
    ("gs.simulate(gs.MLP(depth=10**6, width=4096), 1)", (MemoryError,)),
    ("gs.simulate(gs.RNN(width=10**6), 1)", (MemoryError,)),
    ("gs.simulate(gs.RNN(steps=10**12), 1)", (MemoryError,)),
    ("gs.simulate(gs.RNN(steps=10**8, width=1), 1)", (MemoryError,)),
    ("gs.simulate(gs.RNN(steps=10**8, width=1), 1, memory_limit=10**10)", (MemoryError,)),
    ("gs.simulate(gs.MLP(depth=10**8, width=1), 1, measure='signal')", (MemoryError,)),
    ("gs.network(gs.MLP(width=10**6), 1)", (MemoryError,)),
    ("gs.network(gs.MLP(depth=10**9, width=1), 1)", (MemoryError,)),
    ("gs.network(gs.RNN(steps=10**9, width=1, tied=False), 1)", (MemoryError,)),
    ("gs.network(MLP, 1, inputs=10**15)", (MemoryError,)),
    ("gs.backward(gs.from_arrays(np.eye(4), cell='vanilla', steps=10**12))", (MemoryError,)),
    ("gs.simulate(MLP, [*range(100_000), 99_999])", (ValueError,)),  # repeated at the end
]

# Runs every call with a time limit and little memory, so that a missing check cannot harm.
CHILD = """
import json, re, resource, signal, sys, traceback
from pathlib import Path
import numpy as np
import gradsim as gs
MLP, NAMES = gs.MLP(depth=3, width=4), ["sigma_w", "sigma_b", "slope"]
def most():  # not ru_maxrss: a child starts with its parent's
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2 * 10**9,) * 2)
def late(*_):
    raise TimeoutError("no answer within 2 s")
signal.signal(signal.SIGALRM, late)
for call in json.loads(sys.argv[1]):
    used = most()
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    try:
        eval(call)
        answer = "nothing", "", ""
    except Exception as error:
        file = traceback.extract_tb(error.__traceback__)[-1].filename
        answer = type(error).__name__, str(error), file
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps([*answer, most() - used]), flush=True)
"""


@pytest.fixture(scope="module")
def answers():
    """Answer of each of `HUGE`: error, message, file that raised it, growth of the process."""
    calls = [text for text, _ in HUGE]
    out = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(calls)], capture_output=True, text=True,
        check=True, env=child_environment(),
    )  # fmt: skip
    return dict(zip(calls, map(json.loads, out.stdout.splitlines())))


def child_environment():
    """Environment in which a child finds this gradsim, installed or not."""
    return {**os.environ, "PYTHONPATH": str(HOME.parent)}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and limits memory")
@pytest.mark.parametrize("case", HUGE, ids=[row[0] for row in HUGE])
def test_too_large__is_refused_at_once(answers, case):
    text, kinds = case
    name, message, file, growth = answers[text]
    assert name in {kind.__name__ for kind in kinds}, f"{name}: {message}"
    assert Path(file).is_relative_to(HOME), f"raised by accident in {file}: {message}"
    assert message
    assert "Unable to allocate" not in message, "NumPy's own words"
    assert growth < 300e6


def test_from_arrays__keeps_dims_by_name_and_its_own_copies():
    weights, x, y = [ones(3, 4), ones(2, 3)], np.arange(8.0).reshape(2, 4), ones(2, 2) * [[1], [2]]
    named = gs.from_arrays(
        weights, inputs=xr.DataArray(x.T, dims=("feature", "example")),
        targets=xr.DataArray(y.T, dims=("feature", "example")),
    )  # fmt: skip
    plain = gs.from_arrays(weights, inputs=x, targets=y)
    np.testing.assert_array_equal(named.inputs, plain.inputs)
    np.testing.assert_array_equal(named.targets, plain.targets)
    weights[0][:] = 5.0
    np.testing.assert_array_equal(plain.weights[0], ones(3, 4))


def test_targets__of_every_step_serve_heads_of_every_depth():
    targets = np.random.default_rng(1).normal(size=(1, 5, 4))
    both = sim(RNN.with_fields(loss_at="all"), vary={"steps": [2, 5]}, targets=targets)
    for steps in (2, 5):
        alone = sim(RNN.with_fields(loss_at="all", steps=steps), targets=targets[:, :steps])
        np.testing.assert_allclose(both.log10_loss.sel(steps=steps), alone.log10_loss, rtol=1e-12)
