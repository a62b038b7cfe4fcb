"""Training agrees with a plain loop under autograd, and depends on nothing but its addresses."""

import numpy as np
import pytest
import training_oracle

import gradsim as gs
from gradsim._trainer import batches

MLP = gs.MLP(depth=3, width=5, sigma_w=1.5, sigma_b=0.1)
MODELS = {
    "mlp": MLP,
    "softmax": gs.MLP(depth=2, width=4, activation="relu", output="softmax", loss="cross_entropy"),
    "residual": gs.MLP(depth=3, width=4, cell="residual", residual_scale=0.5),
    "batch norm": gs.MLP(depth=3, width=4, norm="batch", norm_eps=1e-3),
    "widths": gs.MLP(width=(3, 6, 4, 2), output="identity", init="orthogonal"),
    "tied": gs.RNN(steps=4, width=4, sigma_u=0.7),
    "untied": gs.RNN(steps=3, width=4, sigma_u=0.7, tied=False, loss_at="all"),
    "lstm": gs.RNN(steps=4, width=3, input_width=2, sigma_u=1.0, cell="lstm", forget_bias=1.0),
    "gru": gs.RNN(steps=3, width=3, sigma_u=1.0, cell="gru", loss_at="all"),
    "skip": gs.RNN(steps=4, width=3, sigma_u=1.0, cell="skip", delay=2, initial_state="zeros"),
}
RULES = [
    {},
    {"l2": 0.1},
    {"optimizer": "momentum", "momentum": 0.8},
    {"optimizer": "rmsprop", "decay": 0.9, "epsilon": 1e-3},
    {"optimizer": "rmsprop", "decay": 0.5, "epsilon": 0.0},
    {"clip": 0.5},
    {"clip": 0.05, "clip_by": "value", "l2": 0.01, "optimizer": "momentum", "momentum": 0.5},
]
STEPS, EXAMPLES = 6, 5


def agree(model, rate=0.05, batch_size=None, **rule):
    count = EXAMPLES if isinstance(model, gs.MLP) or model.sigma_u else None
    arguments = {"learning_rate": rate, "steps": STEPS, "batch_size": batch_size, "inputs": count}
    ds = gs.train(model, [3], threads=1, **arguments, **rule).isel(seed=0)
    chosen = [np.arange(count or 1)] * STEPS
    if batch_size is not None:
        order = batches(EXAMPLES, batch_size, 0, 3)
        chosen = [next(order) for _ in range(STEPS)]
    rates = np.broadcast_to(rate, ds.sizes["layer"])
    expected, final = training_oracle.train((model, 3, count), chosen, rates, **rule)
    close = {"rtol": 0, "atol": 1e-10, "err_msg": f"{model} {rule}"}
    np.testing.assert_allclose(ds.log10_loss, expected["loss"], **close)
    for name in ("gradient", "update", "weight"):
        np.testing.assert_allclose(ds[f"log10_{name}_norm"], expected[name], **close)
    if "clip" in rule:
        np.testing.assert_allclose(ds.log10_norm_before, expected["before"], **close)
        np.testing.assert_allclose(ds.log10_norm_after, expected["after"], **close)
    np.testing.assert_allclose(ds.log10_final_loss, final, **close)
    assert ds.status in (0, 1)  # 1: a relu may be dead for an example of a batch
    assert ds.stop_iteration == STEPS


@pytest.mark.parametrize("name", MODELS)
def test_train__every_model_follows_autograd(name):
    agree(MODELS[name])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", ["mlp", "tied", "lstm"])
def test_train__every_rule_follows_its_definition(name, rule):
    agree(MODELS[name], **rule)


@pytest.mark.parametrize("name", ["mlp", "softmax", "batch norm", "tied", "untied"])
def test_train__mini_batches_follow_autograd(name):
    agree(MODELS[name], batch_size=2)
