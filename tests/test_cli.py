"""The command line: what it prints, where it writes, and its exit codes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

import gradsim as gs
from gradsim import cli, config

CONFIG = """
seeds = 20
measure = ["gradient", "signal"]
[model]
kind = "MLP"
depth = 4
width = 8
[vary]
activation = ["tanh", "relu"]
"""
CALL = {
    "model": gs.MLP(depth=4, width=8), "seeds": 20, "measure": ["gradient", "signal"],
    "vary": {"activation": ["tanh", "relu"]},
}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder to be in, with a configuration and the result of its call in Python."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run a command that must do well, and give its facts."""

    def run(*words, code=0):
        assert cli.main([*words, "--json"]) == code
        out = capsys.readouterr()
        assert out.err == ""
        return json.loads(out.out)

    return run


def numbers(ds):
    return ds.drop_attrs(deep=False)


def test_run__a_file_gives_the_bits_and_the_configuration_of_the_call(home, call):
    expected = gs.simulate(**CALL, progress=False)
    facts = call("run", "run.toml", "--out", "all.nc", "--store", "folder", "--threads", "1")
    assert facts["dims"] == {"activation": 2, "seed": 20, "layer": 4}
    assert (facts["out"], facts["store"]) == ("all.nc", "folder")
    for found in (gs.load("all.nc"), gs.load("folder")):
        assert found.attrs["gradsim_config"] == expected.attrs["gradsim_config"]
        xr.testing.assert_identical(numbers(found), numbers(expected))
    files = {path: os.stat(path).st_mtime_ns for path in (home / "folder" / "parts").iterdir()}
    call("run", "run.toml", "--store", "folder")  # goes on: there is nothing left to do
    assert files == {path: os.stat(path).st_mtime_ns for path in (home / "folder/parts").iterdir()}


def test_shards__merged_are_the_whole_run(home, call):
    for i in (3, 1, 2):
        facts = call("run", "run.toml", "--store", "job", "--shard", f"{i}/3")
        assert facts["store"] == os.path.join("job", f"shard-{i}-of-3")
    names = sorted(map(str, (home / "job").iterdir()))
    facts = call("merge", "all.nc", *names)
    assert facts["merged"] == 3
    expected = gs.simulate(**CALL, progress=False)
    assert gs.load("all.nc").attrs["gradsim_config"] == expected.attrs["gradsim_config"]
    xr.testing.assert_identical(numbers(gs.load("all.nc")), numbers(expected))


def test_shards__without_one_of_them_are_refused_unless_gaps_are_asked_for(home, call, capsys):
    for i in (1, 3):
        call("run", "run.toml", "--out", "part.nc", "--shard", f"{i}/3")
    paths = ["part.shard-1-of-3.nc", "part.shard-3-of-3.nc"]
    assert cli.main(["merge", "all.nc", *paths]) == 2
    assert "6..12" in capsys.readouterr().err.replace(" to ", "..")
    assert call("merge", "all.nc", *paths, "--gaps")["dims"]["seed"] == 13


def test_estimate_and_info__say_what_python_says(home, call, capsys):
    facts = call("estimate", "run.toml", "--threads", "1")
    assert facts["result_bytes"] == gs.estimate(**CALL, threads=1).result_bytes
    call("run", "run.toml", "--store", "folder", "--out", "all.nc")
    assert call("info", "all.nc")["seeds"] == "20, from 0 to 19"
    assert call("info", "folder")["missing"] == 0
    (home / "folder" / "manifest.log").unlink()
    for part in (home / "folder" / "parts").iterdir():
        part.unlink()
    assert call("info", "folder")["missing_places"] == ["0..19"]
    assert cli.main(["info", "all.nc"]) == 0
    assert "vary" in capsys.readouterr().out


def test_extend_and_verify__work_on_a_file(home, call, capsys):
    call("run", "run.toml", "--out", "all.nc")
    assert call("extend", "all.nc", "23", "--quiet")["dims"]["seed"] == 23
    facts = call("verify", "all.nc", "--sample", "2")
    assert (facts["verified"], facts["seeds"]) == (True, [0, 22])
    ds = gs.load("all.nc")
    ds.log10_delta_norm[{"seed": 22, "layer": 1}] += 1e-3
    gs.save(ds, "wrong.nc")
    assert cli.main(["verify", "wrong.nc", "--sample", "2"]) == 1
    said = capsys.readouterr().err
    assert "log10_delta_norm" in said
    assert said.count("\n") == 1


def test_info__a_damaged_file_is_a_failed_check(home, capsys):
    gs.save(gs.simulate(gs.MLP(depth=2, width=3), 2, progress=False), "all.nc")
    content = bytearray((home / "all.nc").read_bytes())
    content[len(content) // 2] ^= 1
    (home / "all.nc").write_bytes(content)
    assert cli.main(["info", "all.nc"]) == 1
    assert "all.nc" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [
    ("run run.toml", "--store FOLDER or --out FILE.nc must be given"),
    ("run absent.toml --out a.nc", "absent.toml"),
    ("run run.toml --out absent/a.nc", "the folder of --out 'absent/a.nc' does not exist"),
    ("run run.toml --out a.nc --shard 0/3", "--shard must be I/N with I = 1..N, got '0/3'"),
    ("run run.toml --out a.nc --shard 4/3", "--shard must be I/N"),
    ("run run.toml --out a.nc --shard 1/21", "there are 20 seeds, fewer than shares"),
    ("run run.toml --out a.nc --threads 0", "simulate(threads=0)"),
    ("run wrong.toml --out a.nc", "wrong.toml, line 3, [model]: MLP(depth=0)"),
    ("info absent.nc", "absent.nc"),
    ("study absent", "NAME must be one of"),
])  # fmt: skip
def test_errors__of_arguments_are_one_line_and_exit_code_2(home, capsys, words, said):
    (home / "wrong.toml").write_text("seeds = 2\n[model]\ndepth = 0\nkind = 'MLP'\n")
    assert cli.main(words.split()) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1
    assert not list(home.glob("*.nc"))


def test_errors__a_run_that_does_not_fit_is_exit_code_1(home, capsys):
    assert cli.main("run run.toml --out a.nc --memory-limit 20000".split()) == 1
    assert "memory_limit" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "code"), [("--help", 0), ("", 2), ("walk", 2), ("run", 2)])
def test_main__help_and_unknown_words_end_as_argparse_does(capsys, words, code):
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == code
    assert ("exit codes" in capsys.readouterr().out) == (code == 0)


@pytest.mark.parametrize("page", ["README.md", "docs/long_runs.md"])
def test_pages__show_files_that_can_be_read_and_commands_that_exist(page, tmp_path):
    text = (Path(__file__).parents[1] / page).read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "shown.toml").write_text(shown)
    assert config.read(tmp_path / "shown.toml")["model"] == gs.MLP(
        depth=50, width=64 if page == "README.md" else 32
    )
    lines = re.findall(r"^(?:\$ )?gradsim (.*)", text, re.MULTILINE)
    assert len(lines) > 3
    for line in lines:
        cli.parser().parse_args(shlex.split(line, comments=True))


def test_study__lists_all_without_a_name(capsys):
    assert cli.main(["study"]) == 0
    assert "depth_profile" in capsys.readouterr().out


def test_main__ctrl_c_ends_a_run_with_130_and_no_traceback(home):
    (home / "long.toml").write_text(CONFIG.replace("seeds = 20", "seeds = 100_000_000"))
    words = [sys.executable, "-m", "gradsim.cli", "run", "long.toml", "--store", "folder"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (home / "folder" / "lock").exists() and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert error.strip().startswith("gradsim: interrupted")
    assert "Traceback" not in error
