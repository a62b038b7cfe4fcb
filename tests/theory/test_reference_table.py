"""The numbers of the sources, computed and simulated: one table, printed with `pytest -s`.

Every number is computed to the digits printed; those that are not are false, and said to be. Some
are simulated too: exact entries must lie within four standard errors; asymptotic ones are moved
to infinite width from three widths, and the remainder must be below a stated tolerance plus four
standard errors.
"""

import math

import pytest

from gradsim.theory._layer_law import Slopes, cumulants

from . import (
    reference_chaos,
    reference_edges,
    reference_feedforward,
    reference_finite_width,
    reference_products,
    reference_recurrent,
    reference_simulated,
    reference_simulated_cells,
    reference_simulated_chaos,
    reference_simulated_matrices,
    reference_simulated_nielsen,
    reference_simulated_recurrent,
)
from .reference import agrees

COMPUTED = (
    reference_feedforward, reference_edges, reference_finite_width, reference_products,
    reference_recurrent, reference_chaos,
)  # fmt: skip
SIMULATED = (
    reference_simulated, reference_simulated_nielsen, reference_simulated_recurrent,
    reference_simulated_matrices, reference_simulated_cells, reference_simulated_chaos,
)  # fmt: skip
FALSE = {key: true for module in COMPUTED
         for key, true in getattr(module, "FALSE", {}).items()}  # fmt: skip
ELSEWHERE = {  # printed results that are no row here, and where they are checked, or why not
    "Bengio et al. 1994, latch learnt at T = 4, 6, 15, 30, 50 and other rates": "study `latching`",
    "Bengio et al. 1994: h* flips the bit, 0.999 h* does not": "tests/theory/test_recurrent.py",
    "identities I1 to I6 of one network": "tests/test_exact_laws.py, tests/test_cell_laws.py",
    "norm bounds, Hochreiter's and Pascanu's inequalities": "tests/theory/test_bounds.py",
    "clipping of (3, 4) at 1": "tests/test_clipping.py",
    "samples of laws whose exact value is a row (5, 9, 10; 2c, 5a)": "the exact value is computed",
    "norms of W^t and spectra at N = 200, all exponents at N = 100, 200": "too long for a test",
    "lambda_max at N = 100 to 400, residual networks of more than 20 blocks": "too long for a test",
    "minimalRNN at N = 200 and tied, sampled": "untied: its limits are rows; tied: no theory",
    "gelu and He at width 200, sampled": "depth not stated: not reproducible as printed",
}
FORM = "{:<66} {:>14} {:>14} {:>22} {:>20}  {}"


@pytest.fixture(scope="module")
def computed():
    """(line, whether it agrees, whether it is known to be false) of every number."""
    found = []
    for group in (group for module in COMPUTED for group in module.GROUPS):
        for source, name, printed, value, same in group.lines():
            reason, true = FALSE.get((source, name), ("", None))
            note = f"{group.kind}; printed is false: {reason}" if reason else group.kind
            note += f"; printed to {group.error:.2g}" if group.error else ""
            line = FORM.format(f"{source}, {name}", printed, f"{value:.10g}", "", "", note)
            right = same if true is None else abs(value - true) <= 1e-9 * abs(true)
            found.append((line, right, bool(reason) and same))
    return found


@pytest.fixture(scope="module")
def simulated():
    """(line, whether it agrees, whether simulation does) of every row."""
    return [judged(row) for module in SIMULATED for row in module.ROWS]


def judged(row):
    expected = float(row.printed if row.computed is None else row.computed())
    simulated, error = row.simulated()
    gap = float(simulated - expected)
    if row.computed is None:
        error = math.hypot(error, row.error)
    if row.tolerance is None:
        verdict, holds = f"z = {gap / error:+.2f}", abs(gap) < 4 * error
        kind = "exact" if row.computed else "sampled, both errors"
        kind += "; printed is sampled" if row.computed and row.error else ""
    else:
        verdict, holds = f"remainder = {gap:+.1e}", abs(gap) < row.tolerance + 4 * error
        kind = f"asymptotic, tolerance {row.tolerance:g}"
    found = f"{float(simulated):.6g} +- {float(error):.1g}"
    shown = f"{expected:.10g}" if row.computed else ""
    line = FORM.format(row.source, row.printed, shown, found, verdict, kind)
    return line, agrees(row.printed, expected, 4 * row.error or None), holds


def test_table__is_printed(computed, simulated):
    print(
        "\n" + FORM.format("source", "printed", "computed", "simulated", "z or remainder", "kind")
    )
    for line, *_ in (*computed, *simulated):
        print(line)
    for what, where in ELSEWHERE.items():
        print(f"{what}: {where}")


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
