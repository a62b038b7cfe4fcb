"""Checks that the project does not pass yet are named in one file, and reported as such."""

from pathlib import Path

import pytest

GAPS = set(Path(__file__).with_name("known_gaps.txt").read_text().splitlines())


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name in GAPS:
            item.add_marker(pytest.mark.xfail(reason="known gap", strict=False))
