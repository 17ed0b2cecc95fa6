"""PowerNorm against the paper's repository, and its state in train steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.layer_vectors import load, replay_backward

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import power_norm
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, (4, 3, 6))
STATE = {"phi": "running_phi", "nu": "ema_gz", "count": "iters"}
DEAR = ["no_warmup_groups4", "two_d_input_alphas", "warmup_never_ends"]


@pytest.mark.full(plain=["after_warmup", "padded"])
@pytest.mark.parametrize("case", ["after_warmup", "padded", *DEAR])
def test_vectors(case):
    meta, arrays = load("powernorm", case)
    core = power_norm(
        arrays["weight/scale"].size,
        groups=meta["group_num"],
        warmup=meta["warmup_iters"],
        forward_decay=meta["alpha_fwd"],
        backward_decay=meta["alpha_bkw"],
        padding="normalized",
    )

    def mask(t):
        padding = arrays.get(f"input/{t}/pad_mask")
        return None if padding is None else ~padding.T.astype(bool)

    replay_backward(core, meta, arrays, state=STATE, mask=mask)


def pass_of(core, state, x, mask=None):
    """Output, gradient and new state of one pass by hand."""
    params = jax.tree.map(lambda p: p.astype(float), core.init()[0])
    total = lambda x, s: jnp.sum(
        jnp.sin(core.apply(params, s, x, train=True, mask=mask)[0])
    )
    slope, made = jax.grad(total, argnums=(0, 1))(x, state)
    return slope, {"running": made["running"]._replace(uses=state["running"].uses)}


def test_padding_changes_nothing():
    core = power_norm(6, warmup=0)
    state = jax.tree.map(lambda s: s.astype(float) + 0.5, core.init()[1])
    behind = np.concatenate([X, np.full((2, 3, 6), np.nan)])
    run = jax.jit(lambda x, mask: pass_of(core, state, x, mask))
    plain, padded = run(X, np.ones(4)), run(behind, np.arange(6) < 4)
    np.testing.assert_allclose(padded[0][:4], plain[0], rtol=1e-12)
    assert not np.any(padded[0][4:])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), padded[1], plain[1]
    )


def test_the_train_step_moves_the_state_by_its_first_pass():
    core = power_norm(6)
    params, state = jax.tree.map(lambda s: s.astype(float), core.init())

    def loss(params, state, x, key):
        y, state = core.apply(params, state, x, train=True)
        return jnp.sum(jnp.sin(y)), (state, {})

    expected = state
    for x in (X[:2], X[2:]):
        expected = jax.jit(lambda s, x: pass_of(core, s, x))(expected, x)[1]
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1))
    step = make_train_step(loss, tx, micro_batches=2)
    train = init_state(tx, params, jax.random.key(0), model_state=state)
    found = jax.jit(step)(train, X)[0].model_state
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), found, expected
    )


def test_zeros_have_finite_gradients():
    for warmup in (0, 10):
        core = power_norm(6, warmup=warmup)
        state = jax.tree.map(lambda s: s.astype(float), core.init()[1])
        found = jax.jit(lambda x, c=core, s=state: pass_of(c, s, x))(np.zeros((2, 6)))
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))


def test_bad_input_gets_one_line():
    with pytest.raises(InputError, match="groups must divide the features, 6; got"):
        power_norm(6, groups=4)
    with pytest.raises(InputError, match="warmup must be a whole number"):
        power_norm(6, warmup=-1)
    core = power_norm(6)
    params, state = jax.eval_shape(core.init)

    def twice(params, state, x, key):
        y, state = core.apply(params, state, x, train=True)
        y, state = core.apply(params, state, y, train=True)
        return jnp.sum(y), (state, {})

    tx = optax.sgd(0.1)
    train = jax.eval_shape(
        lambda p, s: init_state(tx, p, jax.random.key(0), model_state=s), params, state
    )
    with pytest.raises(InputError, match="is used by 2 calls of one pass"):
        jax.eval_shape(make_train_step(twice, tx), train, X.astype(np.float32))
