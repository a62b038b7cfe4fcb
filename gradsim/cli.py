"""The command line ``gradsim``: arguments, messages and exit codes; `_commands` does the work."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
CODES = """\
exit codes: 0 done; 1 a check failed, a file is damaged, or a run could not be finished; 2 wrong
arguments or a wrong configuration; 130 interrupted.  Errors are one line on stderr."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Words after ``gradsim``; None means those that this process was given.

    Returns
    -------
    int
        Exit code: 0 done, 1 failed, 2 wrong arguments, 130 interrupted.

    Raises
    ------
    SystemExit
        After ``--help`` (0) and for words that are no command of this program (2).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["study"] and given[1:2] not in (["-h"], ["--help"]):
        # A program beside this one, with options of its own: started by name, not built upon.
        return _guarded(lambda: import_module("gradsim.studies.__main__").main(given[1:]))
    asked = parser().parse_args(given)
    return _guarded(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> int:
    """Run a command and print its answer: facts as JSON, else as its text."""
    from gradsim import _commands

    facts = getattr(_commands, asked.command)(asked)
    print(json.dumps(facts) if asked.json else _commands.text(facts), flush=True)
    return DONE


def _guarded(command: Callable[[], int]) -> int:
    """Exit code of a command; what it raises becomes one line on stderr."""
    from gradsim import _commands

    try:
        return command()
    except KeyboardInterrupt:
        exec("")  # under -m, Python would end by SIGINT had it come within an `exec` of text
        return _said("interrupted; finished parts of a store are kept", INTERRUPTED)
    except _commands.FAILURES as error:
        return _said(error, FAILED)
    except (TypeError, ValueError, FileNotFoundError, IsADirectoryError) as error:
        return _said(error, WRONG)
    except (OSError, MemoryError) as error:
        return _said(error, FAILED)


def _said(error: Any, code: int) -> int:
    print(f"gradsim: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return code


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="gradsim", description="Ensembles of backward passes through random deep networks.",
        epilog=CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"gradsim {_version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, epilog=CODES)
        added.add_argument("--json", action="store_true", help="print the answer as JSON")
        return added

    run = command("run", "run a configuration file (TOML); a run that has a store goes on")
    run.add_argument("config", metavar="CONFIG.toml")
    run.add_argument("--store", metavar="FOLDER", help="run folder, in place of the file's own")
    run.add_argument("--out", metavar="FILE.nc", help="result file")
    share = "the I-th of N shares of the seeds, I = 1..N, in a store or file of its own; then merge"
    run.add_argument("--shard", metavar="I/N", help=share)
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    estimate = command("estimate", "say what a configuration file will take, without running it")
    estimate.add_argument("config", metavar="CONFIG.toml")
    for each in (run, estimate):
        each.add_argument("--threads", type=int, help="threads (default: all processors)")
        each.add_argument("--memory-limit", type=int, metavar="BYTES", help="default: what is free")

    study = commands.add_parser("study", help="run a study, or list all of them",
                                description="The options of a study: gradsim study NAME --help",
                                epilog=CODES)  # fmt: skip
    study.add_argument("name", nargs="?", metavar="NAME")

    info = command("info", "say what a result file or a run folder holds, and whether it is intact")
    info.add_argument("path", metavar="FILE")
    verify = command("verify", "run a sample of the networks of a result again and compare")
    verify.add_argument("path", metavar="FILE")
    verify.add_argument("--sample", type=int, default=5, help="networks (default: 5)")
    verify.add_argument("--threads", type=int, help="threads (default: all processors)")
    merge = command("merge", "make one result of files and run folders of one configuration")
    merge.add_argument("out", metavar="OUT.nc")
    merge.add_argument("paths", nargs="+", metavar="FILE")
    merge.add_argument(
        "--gaps", action="store_true", help="take what is there if seeds are missing"
    )
    extend = command("extend", "add seeds to a result file or a run folder")
    extend.add_argument("path", metavar="FILE")
    extend.add_argument("seeds", type=int, metavar="N", help="all of the seeds 0..N-1")
    extend.add_argument("--threads", type=int, help="threads (default: all processors)")
    extend.add_argument("--quiet", action="store_true", help="no progress bar")
    return top


def _version() -> str:
    from gradsim import __version__

    return __version__


if __name__ == "__main__":
    sys.exit(main())
