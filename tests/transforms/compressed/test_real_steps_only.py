"""Windows, errors and codes advance on real steps, and only where they act."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.training import init_state, make_train_step

METHODS = {
    "adamw8bit": lambda: jaxopt_lab.adamw8bit(1e-2, min_size=1, block=16),
    "adamw4bit": lambda: jaxopt_lab.adamw4bit(1e-2, min_size=1, stochastic=True),
    "microadam": lambda: jaxopt_lab.microadam(1e-2, density=0.1, block_size=16),
}
START = {
    "w": jnp.asarray(np.random.default_rng(0).normal(size=(8, 16))),
    "b": jnp.linspace(-1.0, 1.0, 20),
}


def gradients(seed):
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(draw.normal(size=p.shape)), START)


def bits(state):
    """The arrays of a state, keys as their numbers."""

    def raw(x):
        key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if key else x

    return jax.tree.map(raw, jax.tree.leaves(state))


def run(tx, grads, params=START, state=None):
    state = jax.jit(tx.init)(params) if state is None else state
    update = jax.jit(tx.update)
    for g in grads:
        updates, state = update(g, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_accumulated_gradients_are_one_step(name):
    many = optax.MultiSteps(METHODS[name](), 2, accumulator_dtype=jnp.float64)
    grads = [gradients(i) for i in range(4)]
    first = run(many, grads[:2])
    # A third gradient moves neither parameters nor what the method keeps.
    idle = run(many, grads[2:3], *first)
    chex.assert_trees_all_equal(idle[0], first[0])
    chex.assert_trees_all_equal(
        bits(idle[1].inner_opt_state), bits(first[1].inner_opt_state)
    )
    last = run(many, grads[3:], *idle)
    means = [jax.tree.map(lambda a, b: (a + b) / 2, *grads[i : i + 2]) for i in (0, 2)]
    wanted = run(METHODS[name](), means)
    chex.assert_trees_all_close(last[0], wanted[0], rtol=0, atol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("name", METHODS)
def test_a_skipped_step_leaves_everything(name, bad):
    skipping = optax.apply_if_finite(METHODS[name](), 5)
    grads = [gradients(0), gradients(1)]
    broken = jax.tree.map(lambda g: g.at[(0,) * g.ndim].set(bad), gradients(2))
    with_it = run(skipping, [grads[0], broken, grads[1]])
    wanted = run(METHODS[name](), grads)
    chex.assert_trees_all_close(with_it[0], wanted[0], rtol=0, atol=1e-13)
    skipped = run(skipping, [grads[0], broken])
    before = run(skipping, grads[:1])
    chex.assert_trees_all_equal(
        bits(skipped[1].inner_state), bits(before[1].inner_state)
    )


@pytest.mark.full(plain=["microadam"])
@pytest.mark.parametrize("name", METHODS)
def test_masked_parameters_keep_no_state(name):
    only = METHODS[name]()
    masked = optax.masked(only, {"w": True, "b": False})
    grads = [gradients(i) for i in range(3)]
    params, state = run(masked, grads)
    wanted, inner = run(only, [{"w": g["w"]} for g in grads], {"w": START["w"]})
    chex.assert_trees_all_close(params["w"], wanted["w"], rtol=0, atol=1e-13)
    # What is masked passes through.
    through = sum(g["b"] for g in grads) + START["b"]
    chex.assert_trees_all_close(params["b"], through, rtol=0, atol=1e-13)
    sizes = [sum(x.size for x in bits(s)) for s in (state, inner)]
    assert sizes[0] == sizes[1]


@pytest.mark.full(plain=["microadam"])
@pytest.mark.parametrize("name", METHODS)
def test_groups_are_methods_of_their_own(name):
    groups = optax.partition(
        {"mine": METHODS[name](), "plain": optax.sgd(0.1)}, {"w": "mine", "b": "plain"}
    )
    grads = [gradients(i) for i in range(3)]
    params, _ = run(groups, grads)
    wanted, _ = run(METHODS[name](), [{"w": g["w"]} for g in grads], {"w": START["w"]})
    chex.assert_trees_all_close(params["w"], wanted["w"], rtol=0, atol=1e-13)
    plain = START["b"] - 0.1 * sum(g["b"] for g in grads)
    chex.assert_trees_all_close(params["b"], plain, rtol=0, atol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_the_train_step_skips_what_is_not_finite(name):
    def loss_fn(params, state, batch, key):
        loss = sum(jnp.sum(jnp.sin(p)) for p in jax.tree.leaves(params)) * jnp.mean(
            batch
        )
        return loss, (state, {})

    tx = METHODS[name]()
    state = init_state(tx, START, jax.random.key(0))
    step = jax.jit(make_train_step(loss_fn, tx, skip_nonfinite=True))
    once, _ = step(state, jnp.full(2, 1.0))
    skipped, _ = step(once, jnp.full(2, jnp.nan))
    chex.assert_trees_all_equal(skipped.params, once.params)
    chex.assert_trees_all_equal(bits(skipped.opt_state), bits(once.opt_state))
    # And the next real step is the second one.
    twice, _ = step(once, jnp.full(2, 0.5))
    after, _ = step(skipped, jnp.full(2, 0.5))
    chex.assert_trees_all_equal(after.params, twice.params)
    chex.assert_trees_all_equal(bits(after.opt_state), bits(twice.opt_state))
