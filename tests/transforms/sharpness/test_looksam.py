"""looksam: a loop by hand, rounding at zero radius, counts, derivatives."""

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, on_devices, parity

import jaxopt_lab
from jaxopt_lab import catalog
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.transforms.sharpness.looksam import _to_unit


def chain(rho=0.1, **options):
    return optax.chain(jaxopt_lab.looksam(rho, **options), links.base())


def flat(tree):
    return jax.flatten_util.ravel_pytree(tree)[0]


@pytest.mark.full
def test_it_is_the_loop_by_hand():
    params, batch, loss = links.problem()
    w, unravel = jax.flatten_util.ravel_pytree(params)
    grad = jax.jit(lambda x: flat(jax.grad(loss)(unravel(x), batch)))
    u = None
    for t in range(5):
        g = grad(w)
        if t % 2 == 0:
            sharp = grad(w + 0.1 * g / jnp.linalg.norm(g))
            v = sharp - jnp.dot(sharp, g) / jnp.dot(g, g) * g
            u = v / jnp.linalg.norm(v)
        else:
            sharp = g + 0.3 * jnp.linalg.norm(g) * u
        w = w - 0.1 * sharp
    tx = optax.chain(jaxopt_lab.looksam(0.1, every=2, alpha=0.3), optax.sgd(0.1))
    got, state = links.trajectory(tx, 5, chain_state=True)
    np.testing.assert_allclose(flat(got), w, rtol=1e-11, atol=1e-14)
    assert abs(float(trees.global_norm(state[0].orthogonal_component)) - 1) < 1e-12


def test_every_step_it_is_sam():
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    ours = links.trajectory(chain(every=1))
    chex.assert_trees_all_close(ours, links.trajectory(sam), rtol=0, atol=1e-15)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_zero_radius_is_the_base_optimizer(dtype):
    params, batch, loss = links.problem(dtype)
    ends = []
    for tx in (links.base(), chain(0.0, every=3, alpha=0.5)):
        step = jax.jit(make_train_step(parity.train_loss(loss), tx))
        state = init_state(tx, params, jax.random.key(0))
        for _ in range(7):
            state, _ = step(state, batch)
        ends.append(state.params)
    # Rounding made a unit vector would move the parameters by tenths.
    atol = 1e-14 if dtype == jnp.float64 else 1e-6
    chex.assert_trees_all_close(*ends, rtol=0, atol=atol)


def test_both_branches_are_counted_apart():
    # In the program of a step: one gradient at the parameters, one inside the cond.
    params, batch, loss = links.problem()
    tx = chain(every=4)
    step = make_train_step(parity.train_loss(loss), tx)
    jaxpr = jax.make_jaxpr(step)(init_state(tx, params, jax.random.key(0)), batch)

    def tanhs(program):
        return sum(e.primitive.name == "tanh" for e in program.eqns) + sum(
            tanhs(e.params["jaxpr"].jaxpr) for e in program.eqns if "jaxpr" in e.params
        )

    (cond,) = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "cond"]
    inside = [tanhs(branch.jaxpr) for branch in cond.params["branches"]]
    assert tanhs(jaxpr.jaxpr) == 1 and sorted(inside) == [0, 1]
    assert links.example_gradients(tx) == 2


def test_gradients_at_run_time_are_every_plus_one_in_every():
    params, batch, loss = links.problem()
    passes = []

    def counting(p, b):
        jax.debug.callback(lambda: passes.append(1))
        return loss(p, b)

    tx = chain(every=3)
    step = jax.jit(make_train_step(parity.train_loss(counting), tx))
    state = init_state(tx, params, jax.random.key(0))
    for _ in range(6):
        state, _ = step(state, batch)
    jax.block_until_ready(state)
    jax.effects_barrier()
    assert len(passes) == 6 + 2
    row = catalog.get("looksam")
    assert row.gradients_per_step(every=3) == pytest.approx(len(passes) / 6)


@pytest.mark.full
def test_it_is_right_under_vmap():
    params, batch, loss = links.problem()

    def final(rho):
        tx = chain(rho, every=2)
        state = init_state(tx, params, jax.random.key(0))
        step = make_train_step(parity.train_loss(loss), tx)
        for _ in range(3):
            state, _ = step(state, batch)
        return state.params

    radii = jnp.array([0.05, 0.2])
    together = jax.jit(jax.vmap(final))(radii)
    for i, rho in enumerate(radii):
        one = jax.tree.map(lambda x, i=i: x[i], together)
        chex.assert_trees_all_close(one, jax.jit(final)(rho), rtol=1e-12, atol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    tx = chain(every=2)
    got = on_devices.parameters_after(tx, style, 4)
    expected = links.trajectory(tx, steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


def test_state():
    assert links.state_bytes(jaxopt_lab.looksam(0.1)) == 4


def make(v):
    link = jaxopt_lab.looksam(v[0], every=2, alpha=v[1])
    return optax.chain(link, optax.sgd(v[2], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.1, 0.3, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.1, 0.3, 0.1])


def test_the_kept_direction_is_not_rounded_to_the_type_of_the_gradients():
    link = jaxopt_lab.looksam(0.3, every=3)
    w = jnp.array([1.0, -2.0, 0.3, 3.1], jnp.float32)
    grad_fn = lambda p: (p**3).astype(jnp.bfloat16)
    update = jax.jit(lambda g, s: link.update(g, s, w, grad_fn=grad_fn))
    # A direction that bfloat16 does not hold.
    kept = jnp.array([0.1, 0.2, 0.3, 0.4], jnp.float32)
    first = link.init(w)._replace(count=jnp.int32(1), orthogonal_component=kept)
    _, state = update(grad_fn(w), first)
    assert state.orthogonal_component.dtype == jnp.float32
    np.testing.assert_array_equal(state.orthogonal_component, kept)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"alpha": -0.1}, "alpha must be at least 0; got -0.1"),
        ({"every": 0}, "every must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.looksam(**wrong)


@pytest.mark.full
def test_an_explicit_mesh_outside_of_jit():
    # The branches of lax.cond take their arrays as operands.
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    spec = jax.sharding.PartitionSpec("data")
    w = jnp.array([1.0, -2.0, 0.5, 3.0])
    link = jaxopt_lab.looksam(0.3, every=2)
    grad_fn = lambda p: p**3
    expected, _ = link.update(grad_fn(w), link.init(w), w, grad_fn=grad_fn)
    with jax.set_mesh(mesh):
        cut = jax.device_put(w, jax.sharding.NamedSharding(mesh, spec))
        got, _ = link.update(grad_fn(cut), link.init(cut), cut, grad_fn=grad_fn)
    assert jax.typeof(got).sharding.spec == spec
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e8])
def test_a_direction_is_no_rounding_because_its_gradients_are_small(size):
    vector = {"w": np.array([3.0, 4.0]) * size}
    whole = jnp.asarray(5.0 * size)
    unit = _to_unit(vector, whole) * vector["w"]
    np.testing.assert_allclose(unit, [0.6, 0.8], rtol=1e-12)
    # Beside gradients 1e16 as large it is.
    assert _to_unit(vector, 1e16 * whole) == 0
