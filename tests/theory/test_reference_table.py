"""The numbers of the sources, computed and simulated: one table, printed with `pytest -s`.

Every number is computed to the digits printed; those that are not are false, and said to be. Some
are simulated too: exact entries must lie within four standard errors; asymptotic ones are moved
to infinite width from three widths, and the remainder must be below a stated tolerance plus four
standard errors.
"""

import math

import pytest

from gradsim.theory._layer_law import Slopes, cumulants

from .reference import agrees
from .reference_feedforward import FALSE as FALSE_FORWARD
from .reference_feedforward import GROUPS as FORWARD
from .reference_recurrent import FALSE as FALSE_RECURRENT
from .reference_recurrent import GROUPS as RECURRENT
from .reference_simulated import ROWS as ROWS_FORWARD
from .reference_simulated_recurrent import ROWS as ROWS_RECURRENT

FALSE = FALSE_FORWARD | FALSE_RECURRENT
FORM = "{:<66} {:>14} {:>14} {:>22} {:>20}  {}"


@pytest.fixture(scope="module")
def computed():
    """(line, whether it agrees, whether it is known to be false) of every number."""
    found = []
    for group in (*FORWARD, *RECURRENT):
        for source, name, printed, value, same in group.lines():
            reason, true = FALSE.get((source, name), ("", None))
            note = f"{group.kind}; printed is false: {reason}" if reason else group.kind
            line = FORM.format(f"{source}, {name}", printed, f"{value:.10g}", "", "", note)
            right = same if true is None else abs(value - true) <= 1e-9 * abs(true)
            found.append((line, right, bool(reason) and same))
    return found


@pytest.fixture(scope="module")
def simulated():
    """(line, whether it agrees, whether simulation does) of every row."""
    return [judged(row) for row in (*ROWS_FORWARD, *ROWS_RECURRENT)]


def judged(row):
    expected = float(row.printed if row.computed is None else row.computed())
    simulated, error = row.simulated()
    gap, error = float(simulated - expected), math.hypot(error, row.error)
    if row.tolerance is None:
        verdict, holds = f"z = {gap / error:+.2f}", abs(gap) < 4 * error
        kind = "exact" if row.computed else "sampled, both errors"
    else:
        verdict, holds = f"remainder = {gap:+.1e}", abs(gap) < row.tolerance + 4 * error
        kind = f"asymptotic, tolerance {row.tolerance:g}"
    found = f"{float(simulated):.6g} +- {float(error):.1g}"
    shown = f"{expected:.10g}" if row.computed else ""
    line = FORM.format(row.source, row.printed, shown, found, verdict, kind)
    return line, agrees(row.printed, expected), holds


def test_table__is_printed(computed, simulated):
    print(
        "\n" + FORM.format("source", "printed", "computed", "simulated", "z or remainder", "kind")
    )
    for line, *_ in (*computed, *simulated):
        print(line)


def test_table__is_computed_to_the_digits_printed(computed, simulated):
    assert not [line for line, right, _ in computed if not right]
    assert not [line for line, same, _ in simulated if not same]


def test_table__names_false_numbers_that_are_false(computed):
    assert not [line for line, _, after_all in computed if after_all]
    assert sum("printed is false" in line for line, *_ in computed) == len(FALSE)


def test_table__is_that_of_simulation(simulated):
    assert not [line for line, _, holds in simulated if not holds]


def test_cumulants__of_the_errors_are_exact():
    """Fourth cumulants behind the error of a variance: polygamma functions for linear networks."""
    from scipy.special import polygamma

    law = cumulants(Slopes(1.0, 1.0), 20)
    assert law.fourth == pytest.approx(float(polygamma(3, 10.0)), rel=1e-12)
