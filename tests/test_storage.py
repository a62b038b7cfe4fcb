"""Result files: exact round trips, refusals, and no partial file whatever happens."""

import hashlib
import json
import os
import pickle
import threading
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradsim import storage


def result() -> xr.Dataset:
    """Build a small depth sweep with every dtype that results have."""
    norm = np.linspace(-1250.0, 3.0, 2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    norm[:, 0, :, 2:] = np.nan
    norm[1, 1, 2, 0] = -np.inf
    ds = xr.Dataset(
        {
            "log10_delta_norm": (("activation", "depth", "seed", "layer"), norm),
            "status": (("activation", "depth", "seed"), np.zeros((2, 2, 3), dtype=np.int8)),
            "status_layer": (("activation", "depth", "seed"), np.ones((2, 2, 3), dtype=np.int32)),
            "clipped": (("seed",), np.array([True, False, True])),
            "scalar": ((), 0.5),
        },
        {
            "activation": ["tanh", "leaky_relu"],
            "depth": np.array([2, 4]),
            "seed": np.array([0, 17, 2**64 - 1], dtype=np.uint64),
            "layer": np.arange(1, 5),
            "fan_in": ("layer", np.array([8, 64, 64, 64])),
        },
        {
            "Conventions": "gradsim-1.0",
            "title": "gradsim",
            "gradsim_config": json.dumps({"seeds": list(range(20_000)), "name": "n\u00e9ant"}),
            "elapsed": 0.25,
            "networks": 3,
        },
    )
    for name, variable in ds.variables.items():
        variable.attrs |= {"long_name": f"the {name}", "units": "1", "formula": "x"}
    return ds


def assert_same(loaded: xr.Dataset, ds: xr.Dataset) -> None:
    xr.testing.assert_identical(loaded, ds)
    assert list(loaded.variables) == list(ds.variables)
    assert dict(loaded.sizes) == dict(ds.sizes)
    for name in ds.variables:
        assert loaded[name].dims == ds[name].dims
        assert loaded[name].dtype == ds[name].dtype, name
    assert {k: type(v) for k, v in loaded.attrs.items()} == {
        k: type(v) for k, v in ds.attrs.items()
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "result.nc"


@pytest.mark.parametrize("lazy", [False, True])
def test_load__gives_back_what_was_saved(path, lazy):
    ds = result()
    storage.save(ds, path)
    with storage.load(str(path), lazy=lazy) as loaded:
        assert_same(loaded, ds)


numbers = st.sampled_from(["i1", "i4", "i8", "u1", "u4", "u8", "f4", "f8", "?"])
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
plain_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
attributes = st.dictionaries(
    st.from_regex(r"attr_[a-z]{1,5}", fullmatch=True),
    plain_text | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    max_size=3,
)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.data(), attrs=attributes)
def test_round_trip__is_exact_for_any_numbers_and_text(tmp_path_factory, data, attrs):
    array = data.draw(numbers.flatmap(lambda code: hnp.arrays(code, shapes)))
    labels = data.draw(st.lists(plain_text, min_size=1, max_size=4))
    dims = [f"dim{axis}_{size}" for axis, size in enumerate(array.shape)]
    text = np.array(labels)
    ds = xr.Dataset({"x": (dims, array, attrs)}, {"label": ("label", text)}, attrs)
    path = tmp_path_factory.mktemp("files") / "x.nc"
    storage.save(ds, path)
    assert_same(storage.load(path), ds)


def test_save__stores_object_arrays_of_str_as_str(path):
    storage.save(xr.Dataset(coords={"activation": np.array(["tanh", "relu"], dtype=object)}), path)
    assert storage.load(path).activation.dtype == np.dtype("<U4")


def test_save__ignores_encoding_from_an_earlier_file(path):
    ds = xr.Dataset({"x": ("seed", np.array([200, 7]))})
    ds.x.encoding = {"dtype": "int8"}
    ds.encoding = {"unlimited_dims": ["seed"]}
    storage.save(ds, path)
    assert storage.load(path).x.values.tolist() == [200, 7]
    with netCDF4.Dataset(path) as file:
        assert not file.dimensions["seed"].isunlimited()


@pytest.mark.parametrize("units", ["days since 2000-01-01", "seconds"])
def test_load__never_takes_numbers_for_dates(path, units):
    ds = xr.Dataset({"x": ("seed", np.array([1, 2]), {"units": units})})
    storage.save(ds, path)
    assert_same(storage.load(path), ds)


def test_file__ends_with_80_bytes_of_sha256(path):
    storage.save(result(), path)
    content = path.read_bytes()
    digest = hashlib.sha256(content[:-80]).hexdigest()
    assert content[-80:] == f"gradsim-sha256 {digest}\n".encode()


def test_file__opens_with_plain_xarray(path):
    storage.save(result(), path)
    with xr.open_dataset(path) as opened:
        xr.testing.assert_identical(opened.load(), result())


def test_file__has_checksums_and_compression_on_every_array(path):
    storage.save(result(), path)
    with netCDF4.Dataset(path) as file:
        for name, variable in file.variables.items():
            filters = variable.filters()
            if variable.ndim:
                assert filters["fletcher32"], name
                assert filters["shuffle"], name
                assert filters["zlib"], name
                assert filters["complevel"] == 1, name


def test_load__refuses_a_change_of_any_byte(path):
    storage.save(xr.Dataset({"x": ("seed", [1.0])}), path)
    content = bytearray(path.read_bytes())
    with path.open("r+b", buffering=0) as file:
        for position in range(len(content)):
            os.pwrite(file.fileno(), bytes([content[position] ^ (1 << position % 8)]), position)
            with pytest.raises(storage.InvalidFileError):
                storage.load(path)
            os.pwrite(file.fileno(), content[position : position + 1], position)
    assert storage.load(path).x.item() == 1.0


@pytest.mark.parametrize("kept", [0, 1, 79, 80, 81, 0.5, -81, -80, -79, -1])
def test_load__refuses_a_truncated_file(path, kept):
    storage.save(result(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else kept])
    with pytest.raises(storage.InvalidFileError, match=r"truncated|not a NetCDF-4"):
        storage.load(path)


def test_load__refuses_bytes_added_behind_the_trailer(path):
    storage.save(result(), path)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(storage.InvalidFileError, match="truncated or was not written"):
        storage.load(path)


def test_load__names_an_altered_file(path):
    storage.save(result(), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="checksum does not match"):
        storage.load(path)


def test_load__refuses_a_file_that_another_program_wrote(path):
    result().to_netcdf(path, engine="netcdf4")
    with pytest.raises(storage.InvalidFileError, match=r"not written by gradsim\.save"):
        storage.load(path)
    path.write_text("seed,norm\n")
    with pytest.raises(storage.InvalidFileError, match="not a NetCDF-4 file"):
        storage.load(path)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("version", ["gradsim-2.0", "CF-1.11, gradsim-10.1", "gradsim-next"])
def test_load__refuses_a_newer_format(path, version, lazy):
    storage.save(result().assign_attrs(Conventions=version), path)
    with pytest.raises(storage.InvalidFileError, match=version.split(" ")[-1]):
        storage.load(path, lazy=lazy)


def test_load__reads_later_minor_versions(path):
    storage.save(result().assign_attrs(Conventions="gradsim-1.7"), path)
    assert storage.load(path).attrs["Conventions"] == "gradsim-1.7"


def test_load__says_when_there_is_no_file(path):
    with pytest.raises(FileNotFoundError, match=r"result\.nc"):
        storage.load(path)


def _is_open(path) -> bool:
    return any(os.path.realpath(link) == str(path) for link in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="lists open files through /proc")
def test_load__closes_the_file_unless_lazy(path):
    storage.save(result(), path)
    loaded = storage.load(path)
    assert not _is_open(path)
    with storage.load(path, lazy=True):
        assert _is_open(path)
    assert not _is_open(path)
    assert_same(loaded, result())


def test_lazy__reads_only_on_use_and_may_be_saved_over_itself(path):
    storage.save(result(), path)
    with storage.load(path, lazy=True) as lazy:
        assert not lazy.log10_delta_norm.variable._in_memory
        copy = pickle.loads(pickle.dumps(lazy))
        storage.save(lazy, path)
        assert_same(copy, result())
        copy.close()
    assert_same(storage.load(path), result())


VALUES = {
    "complex": np.array([1j]),
    "float16": np.array([1], dtype=np.float16),
    "longdouble": np.array([1], dtype=np.longdouble),
    "object": np.array([{}], dtype=object),
    "mixed": np.array(["tanh", None], dtype=object),
    "surrogate": np.array(["\ud800"]),
    "datetime64": np.array(["2024-02-29"], dtype="datetime64[ns]"),
    "bytes": np.array([b"tanh"]),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_save__refuses_variables_that_would_change(path, values):
    with pytest.raises(TypeError, match="variable 'bad'"):
        storage.save(xr.Dataset({"good": 1.0, "bad": ("seed", values)}), path)
    assert os.listdir(path.parent) == []


def test_save__refuses_a_multiindex(path):
    ds = result()[["scalar"]].expand_dims(a=[1, 2], b=[1, 2]).stack(ab=("a", "b"))
    with pytest.raises(TypeError, match="variable 'ab'"):
        storage.save(ds, path)


@pytest.mark.parametrize("value", [None, True, {}, [3], np.zeros(2), np.bool_(1), b"x"], ids=repr)
def test_save__refuses_attributes_of_other_types(path, value):
    for ds in (xr.Dataset(attrs={"bad": value}), xr.Dataset({"x": ((), 1.0, {"bad": value})})):
        with pytest.raises(TypeError, match=r"attribute 'bad' of .* must be a str, int or float"):
            storage.save(ds, path)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("value", [2**63, -(2**70), np.uint64(2**63), "a\0b", "\udc80", 1j * 1.5])
def test_save__refuses_attributes_that_would_change(path, value):
    with pytest.raises((ValueError, TypeError), match="attribute 'bad'"):
        storage.save(xr.Dataset(attrs={"bad": value}), path)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("name", ["_FillValue", "scale_factor", "coordinates", "dtype"])
def test_save__refuses_attributes_that_netcdf_takes_for_itself(path, name):
    with pytest.raises(ValueError, match=f"attribute '{name}' of variable 'x' is reserved"):
        storage.save(xr.Dataset({"x": ("seed", [1.0], {name: 3.0})}), path)


@pytest.mark.parametrize("name", ["a/b", "a b", "", 3, "\u03c3"])
def test_save__refuses_names_that_would_change(path, name):
    with pytest.raises(ValueError, match="names in"):
        storage.save(xr.Dataset({name: ("seed", [1.0])}), path)


def test_save__refuses_other_types_and_places(path, tmp_path):
    with pytest.raises(TypeError, match=r"must be an xarray\.Dataset, got DataArray"):
        storage.save(result().status, path)
    with pytest.raises(TypeError, match=r"must be a str or os\.PathLike, got int"):
        storage.save(result(), 3)
    with pytest.raises(TypeError, match=r"must be a str or os\.PathLike, got NoneType"):
        storage.load(None)
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing' does not exist"):
        storage.save(result(), tmp_path / "missing" / "x.nc")
    with pytest.raises(IsADirectoryError, match="must name a file"):
        storage.save(result(), tmp_path)


@pytest.mark.parametrize("step", ["write_netcdf", "append_trailer"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_save__leaves_the_old_file_when_it_fails(path, monkeypatch, step, error):
    storage.save(result(), path)
    before = path.read_bytes()
    work = getattr(storage, step)

    def fail(*args):
        work(*args)
        raise error

    monkeypatch.setattr(storage, step, fail)
    with pytest.raises(type(error)):
        storage.save(xr.Dataset({"x": 1.0}), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_save__is_on_disk_before_it_has_its_name(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(
        os, "replace", lambda *names: (calls.append(os.path.dirname(names[0])), replace(*names))
    )
    storage.save(result(), path)
    assert calls == ["fsync", str(path.parent), "fsync"]


def test_save__follows_links_and_gives_ordinary_permissions(path, tmp_path):
    link, plain = tmp_path / "link.nc", tmp_path / "plain"
    link.symlink_to(path)
    storage.save(result(), link)
    plain.touch()
    assert link.is_symlink()
    assert path.stat().st_mode == plain.stat().st_mode


def test_files__may_be_used_from_many_threads(tmp_path):
    ds, same = result(), []

    def work(index: int) -> None:
        for _ in range(3):
            storage.save(ds, tmp_path / f"{index}.nc")
            with storage.load(tmp_path / f"{index}.nc", lazy=index % 2 == 0) as loaded:
                same.append(loaded.identical(ds))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 18
