"""`differentiable` around and inside of other things."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import audit

from jaxopt_lab.bilevel import differentiable
from jaxopt_lab.core.errors import InputError


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
    np.testing.assert_array_equal(audit.flat(a), audit.flat(b))


def derivative(tx, params, **options):
    """Of three steps by the initial parameters."""
    outer = lambda p: audit.outer_loss(audit.run(tx, p, **options)[0])
    return jax.jit(jax.grad(outer))(params)


def assert_finite(tree):
    assert np.all(np.isfinite(audit.flat(tree))), tree


MASK = {"ab": True, "w": False, "v": True, "c": True}
LABELS = {"ab": "adam", "w": "lamb", "v": "adam", "c": "adam"}
WRAPPERS = {
    "apply_if_finite": lambda: optax.apply_if_finite(optax.adam(0.1), 2),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(0.1), 2),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adam)(
        learning_rate=optax.linear_schedule(0.1, 0.2, 3)
    ),
    "masked": lambda: optax.masked(optax.adam(0.1), MASK),
    "partition": lambda: optax.partition(
        {"adam": optax.adam(0.1), "lamb": optax.lamb(0.1)}, LABELS
    ),
    "chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(),
        optax.add_decayed_weights(0.1),
        optax.scale(-0.1),
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("name", WRAPPERS)
def test_around_wrappers(name):
    params, original = audit.start(2), WRAPPERS[name]()
    safe = differentiable(original)
    run = lambda tx: jax.jit(lambda p: audit.run(tx, p, n=2))(params)
    assert_same(run(safe), run(original))
    assert_finite(derivative(safe, params, n=2))


@pytest.mark.full
def test_keys_and_conditions_under_vmap():
    def make():
        noisy = optax.chain(
            optax.add_noise(0.1, 0.5, key=jax.random.key(0)), optax.adam(0.1)
        )
        return optax.apply_if_finite(noisy, 2)

    two = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), audit.start(2))
    run = lambda tx: jax.jit(jax.vmap(lambda p: audit.run(tx, p, n=2)))(two)
    assert_same(run(differentiable(make())), run(make()))


@pytest.mark.full
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.apply_if_finite(tx, 2),
        lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(),
        lambda tx: optax.masked(tx, MASK),
        lambda tx: optax.chain(optax.clip_by_global_norm(1e9), tx),
        lambda tx: optax.partition({"adam": tx, "lamb": optax.sgd(0.1)}, LABELS),
    ],
)
def test_inside_of_wrappers(wrap):
    params = audit.start(2)
    safe, original = wrap(differentiable(optax.adam(0.1))), wrap(optax.adam(0.1))
    run = lambda tx: jax.jit(lambda p: audit.run(tx, p, n=2))(params)
    assert_same(run(safe), run(original))
    assert_finite(derivative(safe, params, n=2))


@pytest.mark.full
def test_the_state_of_one_serves_the_other():
    params, tx = audit.start(0), optax.adam(0.1)
    safe = differentiable(tx)
    _, (_, state) = audit.run(tx, params)
    gradient = audit.gradient(params, ())
    a, b = (jax.jit(t.update)(gradient, state, params) for t in (safe, tx))
    assert_same(a, b)
    shapes = [jax.eval_shape(t.init, params) for t in (safe, tx)]
    assert shapes[0] == shapes[1]


def test_loops_and_rules_of_the_transformation():
    @jax.custom_jvp
    def halved(x):
        return 0.5 * x

    halved.defjvp(lambda primals, tangents: (halved(*primals), 3.0 * tangents[0]))

    def update(updates, state, params=None):
        def root(_, x):
            return jnp.sqrt(x * x) + x

        def three(x):
            x = jax.lax.fori_loop(0, 2, root, x)
            return jax.lax.scan(lambda c, _: (root(0, c), None), x, None, length=1)[0]

        return jax.tree.map(lambda g: halved(three(g)), updates), state

    tx = optax.GradientTransformation(lambda params: (), update)
    f = lambda tx: lambda g: jnp.sum(tx.update(g, ())[0])
    g = jnp.array([0.0, 0.3])
    assert not np.all(np.isfinite(jax.grad(f(tx))(g)))
    np.testing.assert_allclose(jax.grad(f(differentiable(tx)))(g), [3.0, 24.0])


def test_update_is_traced_once():
    traces = []

    def update(updates, state, params=None):
        traces.append(1)
        return jax.tree.map(jnp.sqrt, updates), state

    tx = differentiable(optax.GradientTransformation(lambda params: (), update))

    def f(g, scale):
        for _ in range(3):
            g, _ = tx.update(g, (scale,))
        return jnp.sum(g)

    jax.grad(f)(jnp.ones(3), "a static leaf")
    assert len(traces) == 1
    jax.grad(f)(jnp.ones(3), "another")
    assert len(traces) == 2
    jax.grad(f)(jnp.ones(4), "another")
    assert len(traces) == 3
    jax.grad(lambda g: f(g, [1]))(jnp.ones(4))  # a list is a tree
    assert len(traces) == 4


def test_traced_hyperparameters_are_new_in_every_call():
    def f(rate):
        tx = differentiable(optax.sgd(rate))
        return tx.update(jnp.ones(()), tx.init(jnp.ones(())))[0]

    assert [float(jax.jit(jax.grad(f))(r)) for r in (1.0, 2.0)] == [-1.0, -1.0]
    assert [float(jax.jit(f)(r)) for r in (1.0, 2.0)] == [-1.0, -2.0]


# Equal to the last bit where the compiler optimizes, as in the full run.
@pytest.mark.full
def test_slopes_of_divisions_are_clipped():
    rate, params = 0.1, audit.start(3)
    make = lambda r: differentiable(optax.adam(r), max_slope=1e3)
    f = jax.jit(jax.value_and_grad(audit.outer(make), (0, 1), has_aux=True))
    (_, rest), gradients = f(rate, params)
    assert np.max(np.abs(audit.flat(gradients))) < 1e10  # 8e20 without
    assert_same(rest, jax.jit(audit.outer(optax.adam))(rate, params)[1])


@pytest.mark.parametrize("axis", ["pmap", "shard_map"])
def test_on_several_devices(axis):
    tx = optax.chain(
        optax.stateless(lambda g, p: jax.lax.pmean(g, "i")), optax.adam(0.1)
    )
    g = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)))

    def step(tx, g):
        return tx.update(g, tx.init(g), g)[0]

    def run(tx):
        if axis == "pmap":
            return jax.pmap(lambda g: step(tx, g), axis_name="i")(g)
        auto = (jax.sharding.AxisType.Auto,)
        mesh = jax.make_mesh((2,), ("i",), auto, devices=jax.devices()[:2])
        spec = jax.sharding.PartitionSpec("i")
        inner = lambda g: jax.grad(lambda g: jnp.sum(step(tx, g)))(g) + step(tx, g)
        return jax.jit(jax.shard_map(inner, mesh=mesh, in_specs=spec, out_specs=spec))(
            g
        )

    np.testing.assert_allclose(run(differentiable(tx)), run(tx), rtol=1e-13)


def test_bad_input():
    with pytest.raises(InputError, match="tx must be an optax transformation"):
        differentiable(3)
    with pytest.raises(InputError, match="eps_root must be at least 0; got -1.0"):
        differentiable(optax.sgd(1.0), eps_root=-1.0)
    with pytest.raises(InputError, match="max_slope must be above 0, or None; got 0"):
        differentiable(optax.sgd(1.0), max_slope=0)
