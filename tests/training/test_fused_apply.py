"""Recorded parameters: used where they are valid, and only there."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.fused_apply import FusedApplyRecorder

PARAMS = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
MARK = 100.0


def fused(offer=True):
    """SGD that offers parameters which are recognisably not ``p + u``."""

    def update(updates, state, params=None, *, fused_apply=None, **extra):
        updates = jax.tree.map(lambda g: -0.1 * g, updates)
        if offer and fused_apply is not None:
            marked = jax.tree.map(lambda p, u: p + u + MARK, params, updates)
            fused_apply.record(updates, params, marked)
        return updates, state

    return optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), update)


def stepped(tx):
    def loss_fn(p, state, batch, key):
        squares = sum(jnp.sum(x**2) for x in jax.tree.leaves(p))
        return jnp.mean(batch) * squares, (state, {})

    state = init_state(tx, PARAMS, jax.random.key(0))
    after, _ = jax.jit(make_train_step(loss_fn, tx))(state, jnp.ones(2))
    return after.params


def ordinary():
    return jax.tree.map(lambda p: p * 0.8, PARAMS)


TAKEN = {
    "bare": lambda: fused(),
    "after clipping": lambda: optax.chain(optax.clip_by_global_norm(1e9), fused()),
    "injected": lambda: optax.inject_hyperparams(
        lambda c: optax.chain(optax.scale(c), fused())
    )(c=1.0),
}
NOT_TAKEN = {
    "no offer": lambda: fused(offer=False),
    "scaled after": lambda: optax.chain(fused(), optax.scale(1.0)),
    "decayed after": lambda: optax.chain(fused(), optax.add_decayed_weights(1e-300)),
    "apply_if_finite": lambda: optax.apply_if_finite(fused(), 2),
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    expected = jax.tree.map(lambda p: p + MARK, ordinary())
    chex.assert_trees_all_close(stepped(TAKEN[name]()), expected, rtol=1e-12)


@pytest.mark.full(plain=["no offer", "scaled after", "decayed after"])
@pytest.mark.parametrize("name", NOT_TAKEN)
def test_not_taken_where_something_changed_the_update(name):
    chex.assert_trees_all_close(stepped(NOT_TAKEN[name]()), ordinary(), rtol=1e-12)


def test_partition_takes_it_for_the_leaf_concerned():
    tx = optax.partition({"f": fused(), "s": optax.sgd(0.1)}, {"a": "f", "b": "s"})
    expected = {"a": PARAMS["a"] * 0.8 + MARK, "b": PARAMS["b"] * 0.8}
    chex.assert_trees_all_close(stepped(tx), expected, rtol=1e-12)


def test_one_object_for_two_leaves_is_not_taken():
    recorder = FusedApplyRecorder()
    u = jnp.array([1.0])
    params = [jnp.array([1.0]), jnp.array([5.0])]
    recorder.record([u, u], params, [jnp.array([-1.0]), jnp.array([-2.0])])
    chex.assert_trees_all_equal(
        recorder.apply(params, [u, u]), [jnp.array([2.0]), jnp.array([6.0])]
    )


def test_an_offer_for_other_parameters_is_not_taken():
    recorder = FusedApplyRecorder()
    u, p = jnp.array([1.0]), jnp.array([1.0])
    recorder.record([u], [jnp.array([1.0])], [jnp.array([-9.0])])
    chex.assert_trees_all_equal(recorder.apply([p], [u]), [jnp.array([2.0])])


def test_an_offer_in_another_type_is_not_taken():
    recorder = FusedApplyRecorder()
    u, p = jnp.array([1.0], jnp.float32), jnp.array([1.0], jnp.bfloat16)
    recorder.record([u], [p], [jnp.array([-9.0], jnp.float32)])
    (out,) = recorder.apply([p], [u])
    assert out.dtype == jnp.bfloat16 and float(out[0]) == 2.0
