"""alpha-BN against the layer in common use, and its ends."""

import jax
import numpy as np
import pytest
from support.layer_vectors import load, replay

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import alpha_bn

X = np.random.default_rng(0).normal(1.0, 2.0, (4, 3, 3, 5))


@pytest.mark.full(plain=["alpha01", "alpha05_b1"])
@pytest.mark.parametrize(
    "case", ["alpha01", "alpha05_b1", "alpha0_pure_source", "alpha1_pure_test"]
)
def test_vectors(case):
    meta, arrays = load("alpha_bn", case)
    for name in ("mean", "var"):
        arrays[f"state/init/{name}"] = arrays[f"state/init/source_{name}"]
        source = arrays[f"state/init/source_{name}"]
        x, alpha = arrays["input/0/x"], meta["alpha_test"]
        own = np.mean(x, (0, 1, 2)) if name == "mean" else np.var(x, (0, 1, 2), ddof=1)
        arrays[f"state/0/{name}"] = (1 - alpha) * source + alpha * own
    calls = {**meta, "train_steps": 1, "last_is_eval": False}
    core = alpha_bn(arrays["weight/scale"].size, alpha=meta["alpha_test"])
    state = {"mean": "mean", "var": "var"}
    replay(core, calls, arrays, params=("scale", "bias"), state=state)


def test_the_adapted_state_evaluates_to_the_output_of_its_batch():
    core = alpha_bn(5, alpha=0.3)
    params, source = jax.tree.map(lambda s: s.astype(float) + 0.5, core.init())

    @jax.jit
    def run(x):
        y, state = core.apply(params, source, x, train=True)
        return y, core.apply(params, state, x, train=False)

    y, (again, kept) = run(X)
    np.testing.assert_allclose(again, y, rtol=1e-12)
    np.testing.assert_allclose(kept["mean"], 0.7 * 0.5 + 0.3 * X.mean((0, 1, 2)))


def test_bad_input_gets_one_line():
    with pytest.raises(InputError, match=r"alpha must lie in \[0, 1\]; got 1.5"):
        alpha_bn(5, alpha=1.5)
    core = alpha_bn(5)
    with pytest.raises(InputError, match="alpha_bn .* two values"):
        core.apply(*core.init(), X[:1, 0, 0], train=True)
