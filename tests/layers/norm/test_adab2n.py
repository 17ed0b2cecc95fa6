"""AdaB2N against the paper's repository, and its exact limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import CLOSE, compare, load

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import adab2n, at_task, statistics_penalty

X = np.random.default_rng(0).normal(1.0, 2.0, (6, 2, 2, 5))
TASKS = np.array([0, 1, 1, 0, 1, 1])
PARAMS = ("scale", "bias", "task_weight")


@pytest.mark.full(plain=["kappa07_missing_task"])
@pytest.mark.parametrize(
    "case", ["kappa07_missing_task", "kappa04", "kappa0_cumulative", "kappa1"]
)
def test_vectors(case):
    meta, arrays = load("adab2n", case)
    core = adab2n(
        arrays["weight/scale"].size,
        tasks=meta["num_tasks"],
        kappa=meta["kappa"],
        momentum=meta["bn_momentum"],
    )
    params = {name: arrays[f"weight/{name}"] for name in PARAMS}
    state = jax.tree.map(
        lambda s: s.astype(float) if s.dtype == jnp.float32 else s, core.init()[1]
    )
    state |= {name: arrays[f"state/init/{name}"] for name in ("mean", "var")}

    def called(train):
        def total(params, x, state, task, cotangent):
            y, state = core.apply(params, state, (x, task), train=train)
            value = jnp.sum(y * cotangent)
            if train:
                value = value + meta["lambd"] * statistics_penalty(state)
            return value, (y, state)

        return jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))

    step = {True: called(True), False: called(False)}
    for t in range(meta["train_steps"] + 1):
        now = {n: arrays[f"input/{t}/{n}"] for n in ("x", "cotangent", "task_id")}
        state = at_task(state, arrays[f"input/{t}/cur_task"])
        train = t < meta["train_steps"]
        (slopes, slope), (y, state) = step[train](
            params, now["x"], state, jnp.asarray(now["task_id"]), now["cotangent"]
        )
        compare(t, arrays, y, slope, slopes)
        kept = {n: f"state/{t}/{n}" for n in ("mean", "var")}
        kept |= {"eta": f"state/{t}/last_eta"}
        kept |= {"statistics_penalty": f"output/{t}/norm_loss"} if train else {}
        for own, name in kept.items():
            if name in arrays:
                np.testing.assert_allclose(state[own], arrays[name], **CLOSE)


def test_the_momentum_is_constant_or_the_mean_of_all_batches():
    for kappa in (0.0, 1.0):
        core = adab2n(5, kappa=kappa)
        params, state = core.init()
        run = jax.jit(lambda s, x, c=core, p=params: c.apply(p, s, x, train=True)[1])
        for x in (X, 2 * X, X - 1):
            state = run(state, x)
        m = X.mean((0, 1, 2))
        expected = m * 4 / 3 - 1 / 3 if kappa == 0 else 0.1 * (0.81 + 1.8 + 1) * m - 0.1
        np.testing.assert_allclose(state["mean"], expected, rtol=1e-5)


def test_equal_concentrations_halve_the_weight_of_the_larger_task():
    core = adab2n(5, tasks=2)
    params, state = core.init()
    params["task_weight"] = np.full(2, 40.0)  # the counts hardly count
    run = jax.jit(lambda s, t: core.apply(params, at_task(s, 1), (X, t), train=True)[1])
    mean = 0.5 * (X[TASKS == 0].mean((0, 1, 2)) + X[TASKS == 1].mean((0, 1, 2)))
    got = run(state, jnp.asarray(TASKS))
    np.testing.assert_allclose(got["mean"], 0.1**0.4 * mean, rtol=1e-5)
    # Beyond the table, where the number is not known before.
    assert np.all(np.isnan(run(state, jnp.asarray(TASKS) + 1)["mean"]))


def test_bad_input_gets_one_line():
    core = adab2n(5, tasks=2)
    params, state = core.init()
    for task, words in [
        (TASKS + 1, "task must be from 0 to below tasks=2; got 2"),
        (TASKS - 1, "task must be from 0 to below tasks=2; got -1"),
        (TASKS[:3], "task must be an integer for each of 6 examples; got int64 of"),
        (TASKS * 1.0, "got float64 of shape"),
    ]:
        with pytest.raises(InputError, match=words):
            core.apply(params, state, (X, task), train=True)
    with pytest.raises(InputError, match="adab2n .* two values"):
        core.apply(params, state, X[:1, 0, 0], train=True)
