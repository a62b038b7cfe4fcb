"""Deep networks far outside the range of a float, against fifty digits.

``python -m benchmarks.range_check`` runs three networks of depth 2000 and width 64 in gradsim, in
float64 and float32, and once more in mpmath on the same weights, and prints by how many decades
the log10 norms of delta and of the weight gradients differ.  It takes about three minutes.
"""

import math
import time

import numpy as np
from mpmath import mp

import gradsim as gs

DIGITS, SEED = 50, 0
CASES = {
    "sigmoid, sigma_w = 1": gs.MLP(depth=2000, width=64, activation="sigmoid"),
    "relu, sigma_w^2 = 1/2": gs.MLP(
        depth=2000, width=64, activation="relu", sigma_w=math.sqrt(0.5)
    ),
    "tanh, sigma_w = 1/2": gs.MLP(depth=2000, width=64, activation="tanh", sigma_w=0.5),
}
ALLOWED = {"float64": 1e-9, "float32": 1e-3}  # decades


def value_and_slope(activation: str, z):
    """phi(z) and phi'(z) of one multiple-precision number."""
    if activation == "relu":
        return (z, mp.one) if z > 0 else (mp.zero, mp.zero)
    if activation == "sigmoid":
        e = mp.exp(-abs(z))
        return (mp.one if z > 0 else e) / (1 + e), e / (1 + e) ** 2
    e = mp.exp(-2 * abs(z))
    return mp.tanh(z), 4 * e / (1 + e) ** 2


def log10_norm(vector) -> float:
    """log10 of a Euclidean norm; -inf for zeros."""
    square = mp.fdot(vector, vector)
    return float(mp.log10(square) / 2) if square else -math.inf


def exact(net: gs.Network) -> tuple[np.ndarray, np.ndarray]:
    """log10 norms of delta and of the weight gradients of a bias-free network, by layer.

    Its cost is the squared error of its only example.
    """
    name = net.model.activation
    matrices = [[[mp.mpf(x) for x in row] for row in w.tolist()] for w in net.weights]
    a, values, slopes = [mp.mpf(x) for x in net.inputs[0].tolist()], [], []
    for matrix in matrices:
        values.append(a)
        pairs = [value_and_slope(name, mp.fdot(row, a)) for row in matrix]
        a, slope = (list(side) for side in zip(*pairs, strict=True))
        slopes.append(slope)
    up = [x - mp.mpf(y) for x, y in zip(a, net.targets[0].tolist(), strict=True)]
    delta_norms, weight_norms = [], []
    for matrix, value, slope in zip(*(x[::-1] for x in (matrices, values, slopes)), strict=True):
        delta = [s * u for s, u in zip(slope, up, strict=True)]
        delta_norms.append(log10_norm(delta))
        weight_norms.append(delta_norms[-1] + log10_norm(value))
        up = [mp.fdot(column, delta) for column in zip(*matrix, strict=True)]
    return np.array(delta_norms[::-1]), np.array(weight_norms[::-1])


def main() -> None:
    """Run the three cases and print one line for each and dtype."""
    mp.dps = DIGITS
    print("case, dtype: largest difference in decades of ||delta||, ||dC/dW||; smallest ||delta||")
    failed = False
    for label, model in CASES.items():
        begin = time.perf_counter()
        delta, weight = exact(gs.network(model, SEED))
        seconds = time.perf_counter() - begin
        for dtype, allowed in ALLOWED.items():
            ds = gs.simulate(model, [SEED], dtype=dtype).isel(seed=0)
            found = ds.log10_delta_norm.values, ds.log10_weight_grad_norm.values
            errors = [float(np.max(np.abs(x - y))) for x, y in zip(found, (delta, weight))]
            good = max(errors) <= allowed and ds.status == 0
            failed |= not good
            print(
                f"{label}, {dtype}: {errors[0]:.2g}, {errors[1]:.2g}; 10^{delta[0]:.2f}"
                f"{'' if good else '  FAILED'}  (mpmath: {seconds:.0f} s)",
                flush=True,
            )
    if failed:
        raise SystemExit("differences beyond the allowed ones")


if __name__ == "__main__":
    main()
