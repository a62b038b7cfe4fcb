"""The README: what it shows runs, prints what it says, and names what exists."""

import ast
import contextlib
import io
import os
import re
import tomllib
from pathlib import Path

import pytest

import gradsim as gs
from gradsim.studies.depth_profile import depth_profile, summary

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="too slow as plain Python"
)


def blocks(language: str) -> list[str]:
    """Code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@compiled
@pytest.mark.usefixtures("_elsewhere")
def test_snippets__run_and_print_what_their_comments_say():
    code = "\n".join(blocks("python"))
    said = re.findall(r"^print\(.*\)  # (.+)$", code, re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == said
    assert len(said) == sum(isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
                            for node in ast.walk(ast.parse(code)))  # fmt: skip


@compiled
def test_caption__has_the_numbers_of_the_study():
    found = summary(depth_profile(60, 10, progress=False))
    deep = found[found.depth == 50].set_index(["activation", "gain"]).growth
    claims = re.search(
        r"sigmoid network at sigma_w = 1 shrinks by ([\d.]+) decades.* relu by ([\d.]+) at "
        r"sigma_w = 1 and by ([\d.]+) at He's scheme,.* tanh by ([\d.]+) at sigma_w = 1",
        README.replace("\n", " "),
    )
    assert claims
    keys = [("sigmoid", 0), ("relu", 0), ("relu", 1), ("tanh", 0)]
    for text, (activation, gain) in zip(claims.groups(), keys):
        measured = deep[activation, ["sigma_w = 1", "usual"][gain]]
        assert -float(text) == pytest.approx(measured, abs=0.008)


def test_commands__set_themselves_up_with_extras_that_exist():
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 2
    for command in commands:
        steps = command.split(" && ")
        assert steps[0] == "python3 -m venv .venv"
        extra = re.fullmatch(r'\.venv/bin/pip install -q -e "\.\[(\w+)\]"', steps[1])
        assert extra
        assert extra[1] in PROJECT["optional-dependencies"]
        assert steps[2].startswith(".venv/bin/python -m ")
    assert commands[0].split()[-3:] == ["gradsim.studies.depth_profile", "--out", "results"]
    assert commands[1].endswith("-m pytest")


def test_commands__are_those_of_continuous_integration():
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("no .ci/run in this copy")
    text = script.read_text(encoding="utf-8")
    assert "-m pytest" in text
    assert "[test" in text


def test_readme__agrees_with_the_project():
    versions = re.fullmatch(r">=([\d.]+),<3\.(\d+)", PROJECT["requires-python"])
    assert versions
    assert f"Python {versions[1]} to 3.{int(versions[2]) - 1}" in README
    assert README.splitlines()[0] == f"# {PROJECT['description']}"
    assert f"version {PROJECT['version']}," in README
    assert PROJECT["license"].replace("-", " ", 1).split("-")[0] in README


def test_readme__links_and_figure_exist():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).is_file()
    assert (ROOT / "docs" / "depth_profile.png").stat().st_size < 200_000


def test_readme__names_variables_that_exist():
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    known = {v.name for m in gs.measurements.values() for v in m.variables if "MLP" in v.models}
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert names
    assert names <= known
