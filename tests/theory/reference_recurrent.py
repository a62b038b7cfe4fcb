"""Published and reference numbers of recurrent networks, and the theory that computes them."""

import math
from functools import cache

import numpy as np

import gradsim as gs
from gradsim import theory
from gradsim.theory._layer_law import Slopes, distribution

from .reference import EXACT, group

GINIBRE = (10, 20, 50, 100)
STEPS = (10, 20, 50, 100)
FALSE = {  # what is printed, and what is true
    ("[[.5, 10], [0, .5]]: norm of W^t", "20"): (
        "3.81472111e-4: 2^-20 (200 + sqrt(200^2 + 1)); a digit is missing",
        2.0**-20 * (200 + math.sqrt(200**2 + 1)),
    ),
}
NEWMAN = {  # lambda_1 lambda_2 lambda_N mean var_1 critical g
    1: "-0.6351814227 . -0.63518142 -0.6351814227 1.23370055 1.88736452",
    2: "-0.2886078325 -0.98175501 . -0.6351814227 0.41123352 1.33456825",
    5: "-0.1065670456 -0.24675320 -1.43990038 -0.5959748401 0.12258944 1.11245251",
    10: "-0.0516601220 -0.11028349 -1.78647397 -0.5647813313 0.05533074 1.05301778",
    20: "-0.0254162520 -0.05242361 -2.13304756 -0.5409355289 0.02629158 1.02574200",
    50: "-0.0100666560 -0.02037484 -2.59119293 -0.5209289285 0.01020267 1.01011750",
    100: "-0.0050166660 -0.01009268 -2.93776652 -0.5121930409 0.00505033 1.00502927",
}
LATCH = {  # xbar m h* m^9 m^19
    1.1: "0.5029405749 0.8217558559 0.0204812272 0.170878 2.39946e-2",
    1.25: "0.7104117835 0.6191438724 0.0778051693 1.33698e-2 1.10673e-4",
    1.5: "0.8585596366 0.3943130255 0.2075464553 2.30447e-4 2.09402e-8",
    2.0: "0.9575040241 0.1663720878 0.5328399754 9.76617e-8 1.58682e-15",
}
CHAOS = {  # q* lambda_1 mean exponent
    1.1: "0.11274989 0.00506890 -0.511864", 1.2: "0.24951304 0.01647626 -0.543100",
    1.5: "0.79335404 0.06521721 -0.714346", 2: "2.12147357 0.15472423 -1.149023",
    3: "6.30539148 0.31024932 -2.272805", 5: "20.69936684 0.53242794 -4.906771",
    10: "91.70513120 0.85643519 -12.160966",
}  # fmt: skip
DRIVEN = {  # lambda_1 at s_in^2 = 0.25, 1
    0.9: "-0.35454461 -0.55061298", 1: "-0.27246369 -0.45954857", 1.5: "-0.01672834 -0.14182505",
    2: "0.12038546 0.04597504", 3: "0.29894003 0.26851567",
}  # fmt: skip
POWERS = {  # t: norm, cos^2, 1 - cos^2 of a symmetric matrix
    1: "0.8843076388 0.3094629156 6.9054e-1", 5: "0.9000857343 0.6403082394 3.5969e-1",
    10: "1.253842635 0.8558499546 1.4415e-1", 20: "3.042175845 0.9780673793 2.1933e-2",
    50: "52.50069022 0.9999274376 7.2562e-5", 100: "6162.877209 0.9999999947 5.2658e-9",
}  # fmt: skip
GATES = {  # sigma, f^T at T = 10, 20, 50, 100, time constant
    0: "0.5 9.765625e-4 9.536743e-7 8.881784e-16 7.888609e-31 1.4427",
    1: "0.7310585786 4.360354e-2 1.901269e-3 1.576191e-7 2.484379e-14 3.1922",
    2: "0.8807970780 0.2810339 7.898003e-2 1.753046e-3 3.073170e-6 7.8785",
    5: "0.9933071491 0.9350517 0.8743216 0.7147893 0.5109238 148.91",
}
TRIANGULAR = {  # t: norm of the t-th power of [[.5, 10], [0, .5]]
    1: "10.0249378", 2: "10.0062461", 3: "7.50208275", 5: "3.12531247", 10: "0.195317383",
    20: "3.81472107e-4",
}  # fmt: skip
CHRONO = {  # T_max: mean of f^T at T = 10, 20, 50, 100
    20: "0.34576875 0.15473687 0.01976286 0.00092975",
    100: "0.73258937 0.58170217 0.33020394 0.14964755",
    784: "0.94064979 0.89696316 0.79692213 0.67661374",
}
SKIPS = {  # radius, response at 10, 20, 100
    (0.5, 0.4, 10): "0.9799558731 0.400976563 0.164297829 2.57119358e-2",
    (0.5, 0.5, 10): "1 0.500976562 0.255372047 0.188827251",
    (0.6, 0.5, 10): "1.0196546557 0.506046618 0.283292958 1.55381599",
    (0.9, 0.2, 10): "1.0402336021 0.548678440 0.928669223 23.3372757",
}


def of(ds, *names):
    return [ds[name].item() for name in names]


def symmetric():
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    w = q @ np.diag([1.1, 1.0, 0.9, 0.8, 0.5]) @ q.T
    return theory.linear_rnn(w, 100, q @ np.ones(5) / math.sqrt(5))


def power(t):
    ds = symmetric().sel(step=t)
    along = ds.top_alignment.item()
    return [10 ** ds.log10_state_norm.item(), along, 1 - along]


def triangular():
    ds = theory.linear_rnn([[0.5, 10.0], [0.0, 0.5]], 20, [1.0, 0.0])
    return [10 ** ds.log10_power_norm.sel(step=t).item() for t in TRIANGULAR]


def newman(n):
    ds = theory.lyapunov(n)
    e = ds.lyapunov_exponent.values
    return [e[0], e[min(1, n - 1)], e[-1], ds.mean_exponent.item(), ds.variance[0].item(),
            theory.critical_linear_gain(n)]  # fmt: skip


def latch(w):
    state, m, threshold = of(theory.latch(w), "state", "multiplier", "threshold")
    return [state, m, threshold, m**9, m**19]


@cache
def chaos(g, variance=0.0):
    names = ("q_star", "lyapunov_exponent", "mean_exponent", "critical_gain")
    return of(theory.recurrent(gs.RNN(sigma_w=g, sigma_b=math.sqrt(variance))), *names)


def gate(b):
    f, _, _, constant = of(theory.gate(b), "mean", "mean_log", "var_log", "time_constant")
    return [f, *(f**t for t in STEPS), constant]


def skip(weights):
    ds = theory.skip(*weights, 100)
    return [ds.radius.item(), *(ds.response.sel(step=t).item() for t in (10, 20, 100))]


def tails(below, n, g, steps):
    """P(r_T < 1e-3) or P(r_T > 1e3) of an untied linear network."""
    at = np.array([2 * (math.log(1e-3 if below else 1e3) - steps * math.log(g))])
    found = float(distribution(Slopes(1.0, 1.0), [n] * steps, at)[0])
    return found if below else 1 - found


def minimal(*settings):
    return theory.minimal_rnn(*settings)


GROUPS = [
    *(group(f"Goodfellow et al. 2016, (10.37), t = {t}", "norm cos^2 1-cos^2", printed,
            lambda t=t: power(t), EXACT)
      for t, printed in POWERS.items()),
    group("symmetric Gaussian, N = 20: m_2t", "t=1 2 3 4", "1.05 2.2625 6.235125 19.674431",
          lambda: [theory.symmetric_growth(20, t) for t in (1, 2, 3, 4)], EXACT),
    group("Edelman et al. 1994: real eigenvalues", "N=2 10 20 50",
          "1.414214 2.927993 4.001147 6.099530",
          lambda: [theory.mean_real_eigenvalues(n) for n in (2, 10, 20, 50)], EXACT),
    group("Alexeev et al. 2010: norm of W^t", "t=1 2 3 5 10 20",
          "2 2.5981 3.0792 3.8639 5.3415 7.4645",
          lambda: [theory.fuss_catalan_edge(t) for t in (1, 2, 3, 5, 10, 20)]),
    group("[[.5, 10], [0, .5]]: norm of W^t", [str(t) for t in TRIANGULAR],
          " ".join(TRIANGULAR.values()), triangular, EXACT),
    group("Goodfellow et al. 2016, 10.7: Var prod", "v=1.5,n=10", "57.6650390625",
          lambda: [math.exp(theory.scalar_product(10, math.sqrt(1.5)).log_mean_square.item())],
          EXACT),
    group("independent scalars: E ln, Var ln", "mean variance", "-0.6351814227 1.2337005501",
          lambda: of(theory.scalar_product(1), "mean_log", "var_log"), EXACT),
    *(group(f"independent scalars, sigma = {s}: P(< 1e-3)", "T=10 20 50 100", printed,
            lambda s=s: [theory.scalar_product(t, s).below_probability.item() for t in STEPS],
            EXACT)
      for s, printed in ((1.0, "0.40609 0.88473 0.99982 1.00000"),
                         (1.8873645212, "0.03606 0.08836 0.18684 0.26171"))),
    group("independent scalars, sigma = 1.887: P(> 1e3)", "T=10 20 50 100",
          "0.01058 0.07182 0.19119 0.27201",
          lambda: [theory.scalar_product(t, 1.8873645212).above_probability.item()
                   for t in STEPS], EXACT),
    group("untied linear, N = 10: P(r < 1e-3)", "g=.9,T=50 .9,100 1,50 1,100",
          "0.71219 0.99994 0.00555 0.22841",
          lambda: [tails(True, 10, g, t) for g, t in ((0.9, 50), (0.9, 100), (1, 50), (1, 100))],
          EXACT),
    group("untied linear: P(r > 1e3)", "N=10,1.1,T=100 10,1.2,50 50,1.1,100 50,1.5,20 50,2,10",
          "0.13951 0.41494 0.94468 0.98558 0.40868",
          lambda: [tails(False, *c) for c in ((10, 1.1, 100), (10, 1.2, 50), (50, 1.1, 100),
                                              (50, 1.5, 20), (50, 2, 10))], EXACT),
    *(group(f"Bengio et al. 1994, latch, w = {w}", "state m threshold m^9 m^19", printed,
            lambda w=w: latch(w), EXACT)
      for w, printed in LATCH.items()),
    group("Hochreiter 1991: largest |f'(net) w|", "factor net", "0.2238716023 1.5434046384",
          lambda: of(theory.largest_factor(), "factor", "net"), EXACT),
    group("Pascanu et al. 2013, fig. 3, w = 5", "b b x", "-2.344389661 -2.655610339 0.962423650",
          lambda: [*theory.saddle_nodes(5.0).bias.values, theory.saddle_nodes(5.0).state[1]],
          EXACT),
    group("Pascanu et al. 2013: (w/4)^50", "w=4.5 5 6", "361.0988642 70064.92322 6.376215002e8",
          lambda: [theory.saddle_nodes(w).multiplier.item() ** 50 for w in (4.5, 5.0, 6.0)],
          EXACT),
    group("Pascanu et al. 2013, x_0 w^t", "gradient curvature", "5335.947858 237692.2228",
          lambda: of(theory.shared_weight(1.1, 50), "gradient", "curvature"), EXACT),
    *(group(f"Newman 1986, N = {n}", "lambda_1 lambda_2 lambda_N mean var_1 g", printed,
            lambda n=n: newman(n), EXACT)
      for n, printed in NEWMAN.items()),
    *(group(f"Molgedey et al. 1992, tanh RNN, g = {g}", "q* lambda_1 mean", printed,
            lambda g=g: chaos(g)[:3])
      for g, printed in CHAOS.items()),
    *(group(f"tanh RNN with input, g = {g}: lambda_1", "s^2=.25 1", printed,
            lambda g=g: [chaos(g, s)[1] for s in (0.25, 1.0)])
      for g, printed in DRIVEN.items()),
    group("tanh RNN: critical gain, s^2 =", "0.01 0.1 0.25 0.5 1 2 4",
          "1.19340073 1.40928090 1.54967391 1.68616946 1.85558910 2.06552562 2.32502494",
          lambda: [chaos(1.0, s)[3] for s in (0.01, 0.1, 0.25, 0.5, 1, 2, 4)]),
    group("sigmoid RNN: chi_1, g =", "1 2 4 6 8 10 12",
          "0.05572071 0.17158135 0.39887901 0.60099067 0.79482328 0.98580606 1.17557769",
          lambda: [theory.recurrent(gs.RNN(activation="sigmoid", sigma_w=g)).chi_1.item()
                   for g in (1, 2, 4, 6, 8, 10, 12)]),
    group("sigmoid RNN: critical gain", "g", "10.1492637",
          lambda: [theory.edge_of_chaos("sigmoid")]),
    group("tanh RNN, lambda_1 / (g - 1)^2 at g = 1.001", "ratio", "0.66445",
          lambda: [chaos(1.001)[1] / 1e-6]),
    *(group(f"Chen et al. 2018, minimalRNN {settings}", "Q* chi_1 lambda_1", printed,
            lambda settings=settings: of(minimal(*settings), "state_mean_square", "chi_1",
                                         "lyapunov_exponent"))
      for settings, printed in (((1.0, 1.0, 0.0, 1.0), "0.440396 0.364545 -0.5046"),
                                ((2.0, 1.0, 2.0, 1.0), "0.211081 0.797914 -0.1129"),
                                ((6.88, 1.39, 0.0, 0.46), ". 0.998780 ."),
                                ((6.8913, 1.39, 0.0, 0.46), ". 1.000000 ."))),
    *(group(f"LSTM forget gate, b = {b}", "f T=10 20 50 100 constant", printed,
            lambda b=b: gate(b), EXACT)
      for b, printed in GATES.items()),
    *(group(f"forget gate with input, b = {b}, s = {s:g}", "E_f E_ln_f Var_ln_f", printed,
            lambda b=b, s=s: of(theory.gate(b, s), "mean", "mean_log", "var_log"), EXACT)
      for b, s, printed in ((0, 1.0, "0.5 -0.80605918 0.27151450"),
                            (1, 1.0, "0.69673467 -0.40685628 0.10833357"),
                            (5, 1.0, "0.98920321 -0.01094931 0.00019206"))),
    *(group(f"Tallec and Ollivier 2018, T_max = {top}", "T=10 20 50 100", printed,
            lambda top=top: [theory.chrono_retention(top, t) for t in STEPS], EXACT)
      for top, printed in CHRONO.items()),
    group("leaky unit, leak = 0.1, W = 0", "T=10 20 50 100",
          "0.3486784 0.1215767 5.153775e-3 2.656140e-5",
          lambda: [theory.leaky(0.1).radius.item() ** t for t in STEPS], EXACT),
    *(group(f"Lin et al. 1996, skip {weights}", "radius T=10 20 100", printed,
            lambda weights=weights: skip(weights), EXACT)
      for weights, printed in SKIPS.items()),
    group("Chang et al. 2019, eps = 0.1, N = 100", "rms max max^100", "1.00985147 1.03923048 46.9",
          lambda: [*of(theory.antisymmetric(0.1, width=100), "rms", "largest_modulus"),
                   theory.antisymmetric(0.1).largest_modulus.item() ** 100]),
    group("Kostlan 1992: P(rho < 1)", "N=1 10 20 50 100",
          "0.63212056 0.21913600 0.11673054 0.03361312 0.00828371",
          lambda: [theory.complex_radius_probability(n, 1.0) for n in (1, *GINIBRE)], EXACT),
    group("Kostlan 1992: E rho", "N=10 20 50 100", "1.092638 1.087744 1.072464 1.059657",
          lambda: [theory.complex_radius_mean(n) for n in GINIBRE], EXACT),
]  # fmt: skip
