"""List the studies, or run one or all: ``python -m gradsim.studies [NAME|all [OPTIONS]]``."""

import ast
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

USAGE = "usage: python -m gradsim.studies NAME|all [OPTIONS]    (NAME --help lists the options)"


def studies() -> dict[str, str]:
    """Name and first line of every study, read without running any of them."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return {file.stem: _purpose(file) for file in files}


def _purpose(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study that the first argument names; without one, list them all."""
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    known = studies()
    if name in ("-h", "--help"):
        column = max(map(len, known)) + 2
        print(USAGE, "", *(f"{study:{column}}{text}" for study, text in known.items()), sep="\n")
        return 0
    if name == "all":
        return _run_all(list(known), rest)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"NAME must be one of {list(known)}, got {name!r}{hint}", file=sys.stderr)
        return 2
    return import_module(f"gradsim.studies.{name}").main(rest)


def _run_all(names: list[str], arguments: list[str]) -> int:
    """Run every study with the options that all of them take, and end with their verdicts."""
    from gradsim.studies import _study  # imports gradsim, which a list of studies does not need

    asked = _study.parser("all", "Run all studies.", "its own", "few").parse_args(arguments)
    for name in names:
        print(f"\n=== {name}\n")
        failed = import_module(f"gradsim.studies.{name}").main(arguments)
        if failed:
            return failed
    found, page = _study.judgements(asked.out, names), Path(asked.out) / "verdicts.md"
    page.write_text(_study.verdict_page(found), encoding="utf-8")
    print(f"\n=== verdicts\n\n{_study.verdict_table(found)}\n\n{page}: the same with numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
