"""A configuration file and the call in Python are one thing; what is wrong is found by line."""

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import config

MODEL = 'seeds = 2\n[model]\nkind = "MLP"\ndepth = 3\nwidth = 4\n'


def write(folder, text):
    path = folder / "run.toml"
    path.write_text(text)
    return path


def same(left, right):
    """Same numbers to the last bit, same labels and the same stored configuration."""
    assert left.attrs["gradsim_config"] == right.attrs["gradsim_config"]
    left, right = left.assign_attrs(right.attrs), right
    xr.testing.assert_identical(left, right)


# One thing in two forms -------------------------------------------------------------------------

MLP_FILE = """
seeds = {range = [3, 6]}
key = 7
dtype = "float32"
batch = "each"
inputs = "x.npy"
targets = {file = "data.npz", name = "labels"}
[model]
kind = "MLP"
width = [5, 6, 4]
output = "softmax"
loss = "cross_entropy"
[vary]
activation = ["tanh", "relu"]
norm = ["none", "layer"]
sigma_w = [1, 1.5]
[measure.gradient]
[measure.jacobian]
layers = [1]
k = 2
"""
RNN_FILE = """
seeds = [5, 2]
measure = ["signal", "gradient"]
inputs = "x.nc"
targets = [[0.5, 1, 2, 3], [0, 0, 0, 1.25]]
[model]
kind = "RNN"
steps = 3
width = 4
sigma_u = 0.5
initial_state = [0.5, 0.25, 0.0, -1.0]
[vary]
cell = ["vanilla", "lstm"]
"""


@pytest.fixture
def cases(tmp_path):
    """Each as the arguments of a call in Python beside its file."""
    draw = np.random.default_rng(1)
    x, labels = draw.normal(size=(2, 5)), np.array([1, 3], np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "data.npz", labels=labels, x=x)
    drive = xr.DataArray(
        draw.normal(size=(3, 2, 2)), dims=("step", "example", "feature"), name="drive"
    )
    drive.to_netcdf(tmp_path / "x.nc", engine="netcdf4")
    mlp = {
        "model": gs.MLP(width=(5, 6, 4), output="softmax", loss="cross_entropy"),
        "seeds": range(3, 6), "key": 7, "dtype": "float32", "batch": "each", "inputs": x,
        "targets": labels,
        "vary": {"activation": ["tanh", "relu"], "norm": [None, "layer"], "sigma_w": [1, 1.5]},
        "measure": ["gradient", gs.measurements.jacobian(layers=[1], k=2)],
    }  # fmt: skip
    rnn = {
        "model": gs.RNN(steps=3, width=4, sigma_u=0.5, initial_state=(0.5, 0.25, 0.0, -1.0)),
        "seeds": [5, 2], "measure": ["signal", "gradient"], "inputs": drive,
        "targets": np.array([[0.5, 1, 2, 3], [0, 0, 0, 1.25]]),
        "vary": {"cell": ["vanilla", "lstm"]},
    }  # fmt: skip
    return [(mlp, MLP_FILE), (rnn, RNN_FILE)]


def test_read__a_file_and_the_call_give_the_same_bits_and_configuration(cases, tmp_path):
    for call, text in cases:
        direct = gs.simulate(**call, progress=False)
        from_file = gs.simulate(**config.read(write(tmp_path, text)), progress=False)
        same(from_file, direct)


def test_read__inputs_of_known_correlation_and_paths_relative_to_the_file(tmp_path):
    text = 'inputs = {circle = 4}\nstore = "runs/a"\n' + MODEL
    call = config.read(write(tmp_path, text))
    assert call["inputs"] == gs.inputs.circle(4)
    assert call["store"] == str(tmp_path / "runs" / "a")


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "said"), [
    ("seeds = 0\n[model]\nkind = 'MLP'", r"line 1: simulate\(seeds=0\)"),
    ("seeds = 2\n[model]\nkind = 'MLP'\n\ndepth = 0", r"line 5, \[model\]: MLP\(depth=0\)"),
    ("seeds = 2\n[model]\nkind = 'MLP'\nwitdh = 3", r"line 4, \[model\].*did you mean 'width'"),
    ("seeds = 2\n[model]\nkind = 'CNN'", r"line 3, \[model\]: model: kind must be one of"),
    ("seeds = 2\n[model]\ndepth = 3", r"line 2, \[model\]: model: kind must be given"),
    ("seeds = 2\nmodel = 3", r"line 2: model must be a section \[model\], got 3"),
    ("sedes = 2\n[model]\nkind = 'MLP'", "line 1: key must be one of.*did you mean 'seeds'"),
    ("[model]\nkind = 'MLP'", "seeds must be given"),
    ("seeds = {range = [1]}\n[model]\nkind = 'MLP'", "line 1: seeds must be a number, a list or"),
    ("seeds = {first = 1}\n[model]\nkind = 'MLP'", "line 1: seeds must be a number, a list or"),
    ("seeds = 2\n[model]\nkind = 'MLP'\n[vary]\nactivation = ['than']",
     r"line 5, \[vary\]: MLP: activation must be one of.*did you mean 'tanh'"),
    ("seeds = 2\n[model]\nkind = 'MLP'\nsigma_w = 1\n[vary]\nsigma_w = [-1]",
     r"line 6, \[vary\]: MLP\(sigma_w=-1"),
    ("seeds = 2\n[model]\nkind = 'MLP'\n[vary]\nsigma_w = 3",
     r"line 5, \[vary\]: vary\['sigma_w'\]"),
    (MODEL + "[measure.jacobian]\nkk = 2", r"line 6, \[measure.jacobian\].*'jacobian' has .*'kk'"),
    ("measure = ['gradiant']\n" + MODEL, "line 1: measurement must be one of.*'gradient'"),
    ("batch = 'all'\n" + MODEL, "line 1: simulate: batch must be one of"),
    ("inputs = 'x.txt'\n" + MODEL, "line 1: inputs must be a file of"),
    ("inputs = {pear = 2}\n" + MODEL, r"line 1: inputs must be \{pair = c0\}"),
    ("inputs = [[1.0, nan]]\n" + MODEL, "line 1: inputs must be finite"),
    ("inputs = 2\nmeasure = ['noise']\n" + MODEL.replace("4\n", "4\nnorm = 'batch'\n"), "noise"),
    ("store = 3\n" + MODEL, "line 1: store must be a text, got 3"),
    ("seeds = = 2\n" + MODEL, "Invalid value .at line 1"),
])  # fmt: skip
def test_read__refuses_with_file_line_and_section(text, said, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(config.ConfigError, match=said) as caught:
        config.read(path)
    assert str(caught.value).startswith(str(path))


def test_read__a_file_with_several_arrays_needs_a_name(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.ones((2, 4)), y=np.ones((2, 4)))
    path = write(tmp_path, 'inputs = "data.npz"\n' + MODEL)
    with pytest.raises(config.ConfigError, match=r"name of an array in data\.npz must be"):
        config.read(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.npy"):
        config.read(write(tmp_path, 'inputs = "absent.npy"\n' + MODEL))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(config.ConfigError, match="UTF-8"):
        config.read(path)
