"""The train step: purity, first-pass rule, accumulation, costs, refusals."""

import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.sharded import shard_sam

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BATCH, PARAMS = jax.device_put(
    (
        {"x": RNG.normal(size=(16, 5)), "y": RNG.normal(size=(16, 3))},
        {"one": RNG.normal(size=(5, 7)) / 2, "two": RNG.normal(size=(7, 3)) / 2},
    )
)


def plain_loss(params, model_state, batch, key):
    hidden = jnp.tanh(batch["x"] @ params["one"])
    error = hidden @ params["two"] - batch["y"]
    return jnp.mean(error**2), (model_state, {"mae": jnp.mean(jnp.abs(error))})


def run(tx, steps=5, loss_fn=plain_loss, model_state=None, **options):
    state = init_state(tx, PARAMS, KEY, model_state)
    step = jax.jit(make_train_step(loss_fn, tx, **options))
    for _ in range(steps):
        state, metrics = step(state, BATCH)
    return state, metrics


def equal(one, two, tol=1e-12):
    (s1, m1), (s2, m2) = one, two
    for a, b in ((s1.params, s2.params), (s1.opt_state, s2.opt_state), (m1, m2)):
        chex.assert_trees_all_close(a, b, rtol=tol, atol=tol)


CHAINS = {
    "plain": lambda: optax.sgd(0.1, momentum=0.9),
    "sam": lambda: optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1, momentum=0.9)),
    "sam, clip, adam": lambda: optax.chain(
        jaxopt_lab.sam(0.1), optax.clip_by_global_norm(0.5), optax.adam(1e-2)
    ),
    "shards": lambda: optax.chain(shard_sam(0.1, 4), optax.sgd(0.1, momentum=0.9)),
}


@pytest.mark.full(plain=["plain-8-scan"])
@pytest.mark.parametrize("micro_loop", ["scan", "unroll"])
@pytest.mark.parametrize("micro", [2, 8])
@pytest.mark.parametrize("name", CHAINS)
def test_accumulation_equals_the_full_batch(name, micro, micro_loop):
    whole = run(CHAINS[name]())
    parts = run(CHAINS[name](), micro_batches=micro, micro_loop=micro_loop)
    equal(whole, parts)


def loss_on(batch):
    return jaxopt_lab.batch_grad(lambda p, b: plain_loss(p, {}, b, None)[0], batch)


@pytest.mark.full
def test_the_step_does_what_the_chain_does():
    tx = CHAINS["sam"]()
    state, metrics = run(tx, steps=1)
    grad_fn = loss_on(BATCH)
    updates, _ = tx.update(grad_fn(PARAMS), tx.init(PARAMS), PARAMS, grad_fn=grad_fn)
    expected = optax.apply_updates(PARAMS, updates)
    chex.assert_trees_all_close(state.params, expected, rtol=1e-13)
    loss, (_, more) = plain_loss(PARAMS, {}, BATCH, None)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-14)
    np.testing.assert_allclose(metrics["mae"], more["mae"], rtol=1e-14)
    assert int(state.step) == 1


@pytest.mark.full(plain=["vmap"])
@pytest.mark.parametrize("mode", ["unroll", "vmap", "scan"])
def test_a_link_on_shards_is_the_mean_over_separate_shards(mode):
    state, metrics = run(optax.chain(shard_sam(0.1, 4, mode), optax.sgd(0.1)), steps=1)
    link = jaxopt_lab.sam(0.1)
    grads = []
    for j in range(4):
        grad_fn = loss_on(jax.tree.map(lambda x, j=j: x[4 * j : 4 * j + 4], BATCH))
        first = grad_fn(PARAMS)
        g, _ = link.update(first, link.init(PARAMS), PARAMS, grad_fn=grad_fn)
        grads.append(g)
    mean = jax.tree.map(lambda *g: sum(g) / 4, *grads)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, mean)
    chex.assert_trees_all_close(state.params, expected, rtol=1e-13)
    loss, (_, more) = plain_loss(PARAMS, {}, BATCH, None)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-13)
    np.testing.assert_allclose(metrics["mae"], more["mae"], rtol=1e-13)


WRAPPERS = {
    "bare": lambda tx: tx,
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "reduce_on_plateau": lambda tx: optax.chain(tx, optax.contrib.reduce_on_plateau()),
    "inject_hyperparams": lambda tx: optax.inject_hyperparams(
        lambda scale: optax.chain(tx, optax.scale(scale))
    )(scale=1.0),
}


@pytest.mark.full
@pytest.mark.parametrize("name", WRAPPERS)
def test_shards_cost_two_gradients_with_loss_and_metrics(name):
    def flops(tx):
        params = {"w": jnp.ones((256, 512), jnp.float32)}
        batch = jnp.ones((256, 256), jnp.float32)

        def loss_fn(p, state, b, key):
            return jnp.mean(jnp.tanh(b @ p["w"]) ** 2), (state, {"m": jnp.mean(b)})

        state = init_state(tx, params, KEY)
        step = jax.jit(make_train_step(loss_fn, tx))
        return step.lower(state, batch).compile().cost_analysis()["flops"]

    base = optax.sgd(jnp.float32(0.1))
    ours = WRAPPERS[name](optax.chain(shard_sam(0.1, 8), base))
    assert flops(ours) <= 2.05 * flops(base)


def batch_norm_loss(params, model_state, batch, key):
    x = batch["x"] @ params["one"]
    mean, var = jnp.mean(x, 0, keepdims=True), jnp.var(x, 0, keepdims=True)
    out = jnp.tanh((x - mean) / jnp.sqrt(var + 1e-5)) @ params["two"]
    new = {
        "mean": 0.9 * model_state["mean"] + 0.1 * mean,
        "count": model_state["count"] + jnp.uint32(1),
        "key": model_state["key"],
    }
    return jnp.mean((out - batch["y"]) ** 2), (new, {})


def statistics():
    return {
        "mean": jnp.zeros((1, 7)),
        "count": jnp.zeros((), jnp.uint32),
        "key": jax.random.key(9),
    }


@pytest.mark.full(plain=["shards vectorised"])
@pytest.mark.parametrize(
    "link",
    [
        lambda: jaxopt_lab.sam(0.1),
        lambda: shard_sam(0.1, 4),
        lambda: shard_sam(0.1, 4, "vmap"),
    ],
    ids=["sam", "shards unrolled", "shards vectorised"],
)
def test_statistics_are_those_of_the_first_pass(link):
    plain, _ = run(optax.sgd(0.1), 1, batch_norm_loss, statistics())
    tx = optax.chain(link(), optax.sgd(0.1))
    sharp, _ = run(tx, 1, batch_norm_loss, statistics())
    # A mean of shards' means is the mean of the whole; counts and keys are no means.
    chex.assert_trees_all_close(
        plain.model_state["mean"], sharp.model_state["mean"], rtol=1e-12
    )
    assert int(sharp.model_state["count"]) == 1
    chex.assert_trees_all_equal_shapes_and_dtypes(sharp.model_state, statistics())


def test_all_passes_see_one_dropout_mask():
    masks = []

    def loss_fn(params, model_state, batch, key):
        mask = jax.random.bernoulli(key, 0.5, (16, 7))
        jax.debug.callback(lambda m: masks.append(np.asarray(m).tobytes()), mask)
        hidden = jnp.tanh(batch["x"] @ params["one"]) * mask
        return jnp.mean((hidden @ params["two"] - batch["y"]) ** 2), (model_state, {})

    run(CHAINS["sam"](), 2, loss_fn)
    jax.effects_barrier()
    assert len(masks) == 4
    assert len(set(masks)) == 2  # a new one each step, the same in its two passes


@pytest.mark.full
def test_the_step_is_pure_and_differentiable():
    @jax.jit
    def final(rate, rho):
        tx = optax.chain(jaxopt_lab.sam(rho), optax.sgd(rate, momentum=0.9))
        step = make_train_step(plain_loss, tx)
        state, _ = jax.lax.scan(
            lambda s, _: step(s, BATCH), init_state(tx, PARAMS, KEY), length=5
        )
        return plain_loss(state.params, {}, BATCH, None)[0]

    at, h = jnp.array([0.1, 0.2]), 1e-5
    grads = jax.grad(lambda v: final(v[0], v[1]))(at)
    for i in range(2):
        up, down = at.at[i].add(h), at.at[i].add(-h)
        numeric = (final(*up) - final(*down)) / (2 * h)
        np.testing.assert_allclose(grads[i], numeric, rtol=1e-6)


def test_one_compilation_serves_all_steps():
    tx = CHAINS["sam, clip, adam"]()
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(make_train_step(plain_loss, tx), 1))
    state = init_state(tx, PARAMS, KEY)
    for _ in range(3):
        state, _ = step(state, BATCH)
    assert int(state.step) == 3


def test_multi_steps_around_a_sharpness_link_is_refused_with_the_way_out():
    tx = optax.MultiSteps(CHAINS["sam"](), 2)
    with pytest.raises(InputError, match=r"MultiSteps.*silently wrong.*micro_batches"):
        run(tx, 1)
    with pytest.raises(ValueError, match="sam needs grad_fn.*MultiSteps"):
        run(tx.gradient_transformation(), 1)


@pytest.mark.full
def test_multi_steps_around_a_plain_optimizer_is_right():
    tx = optax.MultiSteps(optax.sgd(0.1), 2)
    state = init_state(tx, PARAMS, KEY)
    step = jax.jit(make_train_step(plain_loss, tx))
    for part in (slice(0, 8), slice(8, 16)):
        state, _ = step(state, jax.tree.map(lambda x, part=part: x[part], BATCH))
    whole, _ = run(optax.sgd(0.1), 1)
    # optax accumulates in float32 whatever the type of the gradients.
    chex.assert_trees_all_close(state.params, whole.params, rtol=1e-6)


@pytest.mark.full
def test_a_transform_in_front_of_a_link_is_warned_about():
    tx = optax.chain(optax.clip(0.01), jaxopt_lab.sam(0.1), optax.sgd(0.1))
    with pytest.warns(UserWarning, match="stands in front of sam.*first in the chain"):
        run(tx, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(CHAINS["sam, clip, adam"](), 1)
        run(optax.apply_if_finite(CHAINS["sam"](), 3), 1)
        run(jaxopt_lab.masked(CHAINS["sam"](), {"one": True, "two": False}), 1)


def test_a_non_finite_step_can_be_skipped():
    def loss_fn(params, model_state, batch, key):
        loss, (_, metrics) = plain_loss(params, {}, batch, key)
        bad = jnp.sum(batch["x"]) > 1e6
        return jnp.where(bad, jnp.nan, loss), (model_state, metrics)

    tx = CHAINS["sam"]()
    step = jax.jit(make_train_step(loss_fn, tx, skip_nonfinite=True))
    one, first = step(init_state(tx, PARAMS, KEY), BATCH)
    two, second = step(one, {**BATCH, "x": BATCH["x"] + 1e6})
    assert float(first["skipped"]) == 0 and float(second["skipped"]) == 1
    chex.assert_trees_all_equal(two.params, one.params)
    chex.assert_trees_all_equal(two.opt_state, one.opt_state)
    assert int(two.step) == 2


@pytest.mark.parametrize(
    "options, words",
    [
        ({"micro_batches": 3}, "16 examples cannot be cut into 3 equal micro-batches"),
        ({"micro_batches": 0}, "micro_batches must be at least 1; got 0"),
        ({"micro_batches": 2, "micro_loop": "scam"}, "perhaps you meant 'scan'"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(InputError, match=words):
        run(optax.sgd(0.1), 1, **options)


def test_a_metric_named_loss_and_a_vector_loss_are_refused():
    def clash(p, s, b, k):
        return plain_loss(p, s, b, k)[0], (s, {"loss": jnp.zeros(())})

    def vector(p, s, b, k):
        return b["x"] @ p["one"][:, 0], (s, {})

    with pytest.raises(InputError, match="called 'loss'"):
        run(optax.sgd(0.1), 1, clash)
    with pytest.raises(InputError, match="must be a real scalar"):
        run(optax.sgd(0.1), 1, vector)


def test_old_style_keys_are_refused():
    with pytest.raises(InputError, match=r"jax\.random\.key\(seed\)"):
        init_state(optax.sgd(0.1), PARAMS, jax.random.PRNGKey(0))
