"""Command line of the studies: the arguments that all of them take."""

import argparse
import os


def parser(name: str, text: str, networks: int | str, quick: int | str) -> argparse.ArgumentParser:
    """Arguments that all studies take."""
    result = argparse.ArgumentParser(
        prog=name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--seeds", type=int, help=f"networks (default: {networks})")
    result.add_argument("--out", default="results", help="output folder (default: results)")
    result.add_argument("--threads", type=int, help="threads (default: all processors)")
    result.add_argument("--store", help="folder in which a stopped study goes on")
    result.add_argument("--quick", action="store_true", help=f"{quick} networks")
    result.set_defaults(full_run=networks, quick_run=quick)
    return result


def seeds_of(asked: argparse.Namespace) -> int:
    """Number of networks that the arguments ask for; --seeds goes before --quick."""
    if asked.seeds is not None:
        return asked.seeds
    return asked.quick_run if asked.quick else asked.full_run


def store_of(asked: argparse.Namespace, name: str) -> str | None:
    """Run folder of a study; several studies may share the folder that is given."""
    return None if asked.store is None else os.path.join(asked.store, name)
