"""Every activation in multiple precision: value, slope and second derivative of one mpf."""

from mpmath import mp, mpf


def sigmoid(z):
    t = mp.exp(-abs(z))
    return (mpf(1) if z > 0 else t) / (1 + t)


def bell(z):
    t = mp.exp(-abs(z))
    return t / (1 + t) ** 2


def complement(z):
    return mp.erfc(z) if abs(z) < 1e4 else mpf(0 if z > 0 else 2)


def cdf(z):
    return complement(-z / mp.sqrt(2)) / 2


def density(z):
    return mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def gate(z):
    """Argument of the sigmoid of gelu_tanh, its slope and its second derivative."""
    c, k = mp.sqrt(8 / mp.pi), mpf("0.044715")
    return c * (z + k * z**3), c * (1 + 3 * k * z * z), 6 * c * k * z


def bent(s):
    """Second derivative of the sigmoid at its value s."""
    return s * (1 - s) * (1 - 2 * s)


def mish(z):
    """tanh(softplus z), its slope and its second derivative."""
    t, right = mp.exp(-abs(z)), z > 0
    n, d = (1 + 2 * t, 1 + 2 * t + 2 * t * t) if right else (t * (2 + t), 2 + 2 * t + t * t)
    value, s = n / d, sigmoid(z)
    rest = 4 * (1 + t) ** 2 * (t * t if right else 1) / (d * d)  # 1 - value^2
    return value, rest * s, rest * (bell(z) - 2 * value * s * s)


ALPHA = mpf("1.67326324235437728481704299167")
LAMBDA = mpf("1.05070098735548049341933498529")
LECUN = mpf("1.7159")
ONE, ZERO = mpf(1), mpf(0)

EXACT = {  # name: (phi, phi', phi'')
    "identity": (lambda z: z, lambda z: ONE, lambda z: ZERO),
    "sigmoid": (sigmoid, bell, lambda z: bent(sigmoid(z))),
    "tanh": (
        mp.tanh, lambda z: mp.sech(z) ** 2, lambda z: -2 * mp.tanh(z) * mp.sech(z) ** 2
    ),
    "relu": (lambda z: max(z, ZERO), lambda z: ONE if z > 0 else ZERO, lambda z: ZERO),
    "leaky_relu": (
        lambda z: z if z > 0 else z / 4, lambda z: ONE if z > 0 else ONE / 4, lambda z: ZERO
    ),
    "elu": (
        lambda z: z if z > 0 else mp.expm1(z), lambda z: ONE if z > 0 else mp.exp(z),
        lambda z: ZERO if z > 0 else mp.exp(z),
    ),
    "selu": (
        lambda z: LAMBDA * (z if z > 0 else ALPHA * mp.expm1(z)),
        lambda z: LAMBDA * (ONE if z > 0 else ALPHA * mp.exp(z)),
        lambda z: ZERO if z > 0 else LAMBDA * ALPHA * mp.exp(z),
    ),
    "gelu": (
        lambda z: z * cdf(z), lambda z: cdf(z) + z * density(z),
        lambda z: density(z) * (2 - z * z),
    ),
    "gelu_tanh": (
        lambda z: z * sigmoid(gate(z)[0]),
        lambda z: sigmoid(gate(z)[0]) + z * bell(gate(z)[0]) * gate(z)[1],
        lambda z: 2 * bell(gate(z)[0]) * gate(z)[1]
        + z * (bent(sigmoid(gate(z)[0])) * gate(z)[1] ** 2 + bell(gate(z)[0]) * gate(z)[2]),
    ),
    "silu": (
        lambda z: z * sigmoid(z), lambda z: sigmoid(z) + z * bell(z),
        lambda z: 2 * bell(z) + z * bent(sigmoid(z)),
    ),
    "mish": (
        lambda z: z * mish(z)[0], lambda z: mish(z)[0] + z * mish(z)[1],
        lambda z: 2 * mish(z)[1] + z * mish(z)[2],
    ),
    "softplus": (lambda z: max(z, ZERO) + mp.log1p(mp.exp(-abs(z))), sigmoid, bell),
    "softsign": (
        lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2,
        lambda z: -2 * mp.sign(z) / (1 + abs(z)) ** 3,
    ),
    "hard_tanh": (
        lambda z: min(max(z, -ONE), ONE), lambda z: ONE if abs(z) < 1 else ZERO, lambda z: ZERO
    ),
    "hard_sigmoid": (
        lambda z: min(max(z + 3, ZERO), mpf(6)) / 6, lambda z: ONE / 6 if abs(z) < 3 else ZERO,
        lambda z: ZERO,
    ),
    "erf": (
        lambda z: mp.erf(z) if abs(z) < 1e3 else mp.sign(z),
        lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-z * z),
        lambda z: -4 * z / mp.sqrt(mp.pi) * mp.exp(-z * z),
    ),
    "sine": (mp.sin, mp.cos, lambda z: -mp.sin(z)),
    "arctan": (mp.atan, lambda z: 1 / (1 + z * z), lambda z: -2 * z / (1 + z * z) ** 2),
    "lecun_tanh": (
        lambda z: LECUN * mp.tanh(2 * z / 3), lambda z: 2 * LECUN / 3 * mp.sech(2 * z / 3) ** 2,
        lambda z: -8 * LECUN / 9 * mp.tanh(2 * z / 3) * mp.sech(2 * z / 3) ** 2,
    ),
}  # fmt: skip
