"""The exponential of a negative number, the normal tail and the arctangent, for `pairs`.

As in `vecmath`: float32 and float64 from one recipe, no libm, no branch, and NaN propagates.
"""

import math

from ._jit import by_dtype, jit
from .floats import FORMAT, casts, fma, polynomial
from .vecmath import exp_split

LIFT = 12  # `decay` is this power of two above its value, so that z exp(-z) has a tail of its own

# Near-minimax coefficients, lowest order first.
# Q(-w) = exp(-w^2 / 2) (1 / 2 + u P(t)) / (1 + 1.5 w), u = w / (w + centre), t = 2 u - 1, where
# Q(-w) is the probability that a standard normal number is below -w; the map of the half-line
# to [-1, 1) is that of Shepherd and Laframboise 1981.
_TAIL = {
    32: (0.34264764189720154, -0.389340341091156, 0.1630546748638153, -0.0003160577907692641,
         -0.020660025998950005, -0.0004381013859529048, 0.003469088114798069,
         0.000687361869495362, -0.0004921700456179678, -0.0002181206364184618),
    64: (0.3013398394648659, -0.43372471070280744, 0.43130429700537615, -0.3426005348713591,
         0.22518494951811988, -0.1224901211358822, 0.05372743392522207, -0.017697436075548398,
         0.0034523702737531384, 0.00022134998095171238, -0.00041175092935169717,
         0.00010407788132792046, 1.7506905321096547e-05, -1.6376109179950624e-05,
         1.152373248324057e-06, 1.9320022020574564e-06, -4.270119516039908e-07,
         -2.2540183856967086e-07, 7.622907424659927e-08, 2.9314929531897418e-08,
         -8.576966241833406e-09, -3.4982032867489094e-09),
}  # fmt: skip
_CENTRE = {32: 2.5, 64: 5.5}
# erf(x) = x P(x^2) for |x| <= 1
_ERF = {
    32: (1.1283791065216064, -0.3761262595653534, 0.1128358542919159, -0.026853814721107483,
         0.005188330542296171, -0.0008010202436707914, 7.853849820094183e-05),
    64: (1.1283791670955126, -0.3761263890318352, 0.112837916709442, -0.026866170643113415,
         0.005223977606130842, -0.0008548325929766244, 0.0001205529358693695,
         -1.4924712439534814e-05, 1.6447132699786621e-06, -1.6206318752969208e-07,
         1.3710988704190523e-08, -7.779462971761597e-10),
}  # fmt: skip
# atan(x) = x + x^3 P(x^2) for |x| <= tan(pi/8)
_ATAN = {
    32: (-0.33333316445350647, 0.19998490810394287, -0.14243857562541962, 0.10596007108688354,
         -0.06083348020911217),
    64: (-0.333333333333332, 0.19999999999954038, -0.1428571428024397, 0.11111110785903767,
         -0.09090897829507444, 0.07692061509913486, -0.06663118896897963, 0.05847997810378537,
         -0.05039794244029394, 0.0380769888547199, -0.017920789795466307),
}  # fmt: skip


def furthest(width):
    """Return the w beyond which `decay` is 0."""
    return (FORMAT[width][3] + LIFT) * math.log(2)


def parts(number, real):
    """Return a real number as the sum of two floats; ``number`` may be a (float, rest) pair."""
    value, rest = number if isinstance(number, tuple) else (number, 0.0)
    high = real(value)
    return high, real((value - float(high)) + rest)


def _special(width):
    """``decay``, ``normal_tail``, ``erf_near``, ``arctan`` and ``signed_as`` for one precision."""
    real, signed, mantissa, bias = FORMAT[width]
    pattern, number = casts(width)
    tail, erf, atan = (polynomial(real, table[width]) for table in (_TAIL, _ERF, _ATAN))
    least = real(-furthest(width))
    lifted_bias = signed(bias + LIFT)
    centre, one, zero, slope = real(_CENTRE[width]), real(1), real(0), real(1.5)
    half_one = real(0.5)
    sign_bit = signed(-(2 ** (width - 1)))
    mid, far = real(math.sqrt(2) - 1), real(math.sqrt(2) + 1)
    quarter, quarter_rest = parts((math.pi / 4, 3.061616997868383e-17), real)
    half, half_rest = parts((math.pi / 2, 6.123233995736766e-17), real)

    @jit(inline=True)
    def decay(y, dy):
        y = least if y < least else y
        k, q = exp_split(y)
        p = number(signed(signed(k + lifted_bias) << mantissa))
        return p, fma(dy, one + q, q)

    @jit(inline=True)
    def normal_tail(w):
        r = one / (w + centre)
        return fma(w * r, tail((w - centre) * r), half_one) / fma(slope, w, one)

    @jit(inline=True)
    def erf_near(x):
        return x * erf(x * x)

    @jit(inline=True)
    def signed_as(size, x):
        return number(pattern(size) | signed(pattern(x) & sign_bit))

    @jit(inline=True)
    def arctan(x):
        w = abs(x)
        steep, slant = w > far, w > mid
        over = -one if steep else (w - one if slant else w)
        under = w if steep else (w + one if slant else one)
        r = over / under
        z = r * r
        r = fma(r * z, atan(z), r)
        base = half if steep else (quarter if slant else zero)
        rest = half_rest if steep else (quarter_rest if slant else zero)
        return signed_as(base + (rest + r), x)

    return decay, normal_tail, erf_near, signed_as, arctan


# decay(y, dy) = (p, q) with exp(y + dy) = p (1 + q) / 2**LIFT for y <= 0 and a dy far below 1; the
#   exponential is 0 where even 2**LIFT times it is no normal number.
# normal_tail(w) = Q(-w) exp(w^2 / 2) for w >= 0;  erf_near(x) = erf(x) for |x| <= 1;
# signed_as(size, x) has the sign of x;  arctan(x) in radians.
decay, normal_tail, erf_near, signed_as, arctan = (
    by_dtype(*forms) for forms in zip(_special(32), _special(64))
)
