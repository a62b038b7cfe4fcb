"""Do all contenders compute the same thing?  They are run on the arrays of one network."""

import numpy as np

from .cases import Case, reference

TOLERANCE = {"float32": 1e-3, "float64": 1e-8}

#: Peers square raw values and keep no exponents: log10 norms that they can hold.
HOLDABLE = {"float32": 15.0, "float64": 140.0}


def random_arrays(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of one network, for use without gradsim."""
    rng = np.random.default_rng(1)
    n = case.width
    weights = rng.standard_normal((case.matrices, n, n)) / np.sqrt(n)
    return weights, rng.standard_normal(n), rng.standard_normal(n)


def sensitivity(case: Case, dtype: str, arrays, expected: dict) -> dict:
    """Ten times the change that rounding-sized noise in the arrays makes, the largest of a row.

    Rows in the chaotic phase amplify a rounding error, and a unit at the kink of relu may flip.
    """
    rng = np.random.default_rng(2)
    eps = np.finfo(dtype).eps
    largest = {name: np.zeros(case.rows) for name in expected}
    for _ in range(8):
        noisy = [array * (1 + eps * rng.uniform(-1, 1, array.shape)) for array in arrays]
        for name, value in reference(case, *noisy).items():
            with np.errstate(invalid="ignore"):
                change = np.nan_to_num(np.abs(value - expected[name])).reshape(case.rows, -1)
            largest[name] = np.maximum(largest[name], change.max(axis=1))
    return {name: 10 * value for name, value in largest.items()}


def holdable(expected: dict, dtype: str) -> dict:
    """Mark the values that a peer without exponents can hold."""
    limit = HOLDABLE[dtype]
    alive = np.ones(len(next(iter(expected.values()))), bool)
    if "delta" in expected:
        states = expected["weight"] - expected["delta"]
        alive = (np.abs(np.where(np.isnan(states), np.inf, states)) < limit).all(axis=1)
    masks = {}
    for name, value in expected.items():
        within = np.abs(value) < limit
        masks[name] = within & (alive[:, None] if value.ndim == 2 else alive)
    return masks


def compare(expected: dict, found: dict, slack: dict, masks: dict, tolerance: float) -> tuple:
    """Return excess over the allowance, largest difference where that is tight, and count."""
    excess, largest, count = -np.inf, 0.0, 0
    for name, value in expected.items():
        mask = masks[name]
        with np.errstate(invalid="ignore"):
            difference = np.abs(found[name].astype(float) - value)
        rows = np.maximum(tolerance, slack[name])
        allowed = np.broadcast_to(rows[:, None] if value.ndim == 2 else rows, value.shape)
        over = np.where(np.isnan(difference), np.inf, difference - allowed)
        excess = max(excess, over[mask].max(initial=-np.inf))
        largest = max(largest, difference[mask & (allowed == tolerance)].max(initial=0.0))
        count += int(mask.sum())
    return excess, largest, count


def check_case(case: Case, dtype: str, peers: list, own) -> bool:
    """Print one line per contender; True when all agree with the reference."""
    arrays = random_arrays(case) if own is None else own.arrays_of(case, seed=0)
    rounded = tuple(array.astype(dtype).astype(np.float64) for array in arrays)
    with np.errstate(all="ignore"):
        expected = reference(case, *rounded)
        slack = sensitivity(case, dtype, rounded, expected)
        held = holdable(expected, dtype)
    finite = {name: np.isfinite(value) for name, value in expected.items()}
    results = [
        (contender.name, module.norms_of(contender, case, dtype, *rounded), held)
        for module in peers
        for contender in module.CONTENDERS
        if contender.answers(case)
    ]
    if own is not None:
        results.append(("gradsim", own.simulated_norms(case, dtype, seed=0), finite))
    agreed = True
    for name, found, masks in results:
        excess, largest, count = compare(expected, found, slack, masks, TOLERANCE[dtype])
        verdict = "agrees" if excess <= 0 else "DIFFERS"
        agreed &= bool(excess <= 0)
        print(f"{case.key:3} {dtype} {name:16} {verdict}: {count} values, {largest:.1e} decades")
    return agreed
