"""MAML, ANIL, Reptile and iMAML against closed forms and finite differences."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

import jaxopt_lab
from jaxopt_lab.bilevel.metalearning import (
    Task,
    adapt,
    adaptation_losses,
    anil,
    imaml,
    maml,
    over_tasks,
    proximal,
    reptile,
    sinusoid_task,
)
from jaxopt_lab.core import trees

RATE = 0.1
EYE = np.eye(3)


def quadratic(w, batch):
    """(w - a)' A (w - a) / 2 for a batch of one."""
    off = w - batch["a"][0]
    return off @ batch["A"][0] @ off / 2


def quadratic_task(seed):
    draw = np.random.default_rng(seed)

    def batch():
        root = draw.standard_normal((3, 3))
        return {"A": (root @ root.T / 3 + EYE)[None], "a": draw.standard_normal((1, 3))}

    return jax.tree.map(jnp.asarray, Task(batch(), batch()))


TASK = quadratic_task(0)
A, a = np.asarray(TASK.support["A"][0]), np.asarray(TASK.support["a"][0])
B, b = np.asarray(TASK.query["A"][0]), np.asarray(TASK.query["a"][0])
W = np.array([1.0, -2.0, 0.5])


def after(steps):
    """Gradient descent on the support's quadratic, and its Jacobian."""
    jacobian = np.linalg.matrix_power(EYE - RATE * A, steps)
    return a + jacobian @ (W - a), jacobian


def net_loss(p, batch):
    hidden = jnp.tanh(batch["x"] @ p["body"] + p["shift"][None])
    return jnp.mean((hidden @ p["head"] - batch["y"]) ** 2)


def net_params(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = {"body": (1, 4), "shift": (4,), "head": (4, 1)}
    return {
        name: jax.random.normal(key, shape)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


PARAMS = jax.jit(net_params)()
NET_TASK = jax.jit(
    lambda key: sinusoid_task(key, shots=4, queries=5, dtype=jnp.float64)
)(jax.random.key(1))


def value_and_grad(meta_loss):
    return jax.jit(jax.value_and_grad(meta_loss, has_aux=True))


@pytest.mark.full(plain=["1-sqrt", "5-none", "5-sqrt"])
@pytest.mark.parametrize("remat", ["none", "sqrt"])
@pytest.mark.parametrize("steps", [1, 5])
def test_maml_on_a_quadratic_is_its_closed_form(steps, remat):
    meta_loss = maml(quadratic, inner=optax.sgd(RATE), steps=steps, remat=remat)
    (value, adapted), grad = value_and_grad(meta_loss)(jnp.asarray(W), TASK)
    end, jacobian = after(steps)
    np.testing.assert_allclose(adapted, end, rtol=1e-12)
    np.testing.assert_allclose(value, (end - b) @ B @ (end - b) / 2, rtol=1e-12)
    np.testing.assert_allclose(grad, jacobian.T @ B @ (end - b), rtol=1e-11)


@pytest.mark.parametrize("steps", [1, 5])
def test_first_order_maml_is_maml_without_the_hessians(steps):
    meta_loss = maml(quadratic, inner=optax.sgd(RATE), steps=steps, first_order=True)
    (value, adapted), grad = value_and_grad(meta_loss)(jnp.asarray(W), TASK)
    end, jacobian = after(steps)
    np.testing.assert_allclose(adapted, end, rtol=1e-12)
    np.testing.assert_allclose(value, (end - b) @ B @ (end - b) / 2, rtol=1e-12)
    np.testing.assert_allclose(grad, B @ (end - b), rtol=1e-11)
    assert not np.allclose(grad, jacobian.T @ B @ (end - b), rtol=1e-2)


@pytest.mark.parametrize("steps", [1, 4])
def test_reptile_on_a_quadratic_is_its_closed_form(steps):
    meta_loss = reptile(quadratic, inner=optax.sgd(RATE), steps=steps)
    (value, adapted), grad = value_and_grad(meta_loss)(jnp.asarray(W), TASK)
    end, jacobian = after(steps)
    np.testing.assert_allclose(adapted, end, rtol=1e-12)
    np.testing.assert_allclose(grad, (EYE - jacobian) @ (W - a), rtol=1e-11)
    np.testing.assert_allclose(value, (end - b) @ B @ (end - b) / 2, rtol=1e-12)


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_imaml_on_a_quadratic_is_its_closed_form(strength):
    meta_loss = imaml(
        quadratic, inner=optax.sgd(0.15), steps=200, strength=strength, cg_steps=None
    )
    (value, adapted), grad = value_and_grad(meta_loss)(jnp.asarray(W), TASK)
    system = A + strength * EYE
    end = np.linalg.solve(system, A @ a + strength * W)
    np.testing.assert_allclose(adapted, end, rtol=1e-9)
    np.testing.assert_allclose(value, (end - b) @ B @ (end - b) / 2, rtol=1e-9)
    expected = strength * np.linalg.solve(system, B @ (end - b))
    np.testing.assert_allclose(grad, expected, rtol=1e-9)


@pytest.mark.full
def test_imaml_does_not_depend_on_the_way_to_the_minimum():
    inners = (optax.sgd(0.2), optax.sgd(0.05, momentum=0.9), optax.adam(0.1))
    steps = (200, 600, 3000)
    found = [
        value_and_grad(imaml(quadratic, inner=tx, steps=n, cg_steps=None))(
            jnp.asarray(W), TASK
        )
        for tx, n in zip(inners, steps, strict=True)
    ]
    for other in found[1:]:
        chex.assert_trees_all_close(other, found[0], rtol=1e-9)


def test_imaml_before_the_minimum_is_the_implicit_formula_where_it_stopped():
    meta_loss = imaml(quadratic, inner=optax.sgd(0.05), steps=2, cg_steps=None)
    (_, adapted), grad = value_and_grad(meta_loss)(jnp.asarray(W), TASK)
    system = A + 2 * EYE
    assert np.abs(adapted - np.linalg.solve(system, A @ a + 2 * W)).max() > 1e-2
    expected = 2 * np.linalg.solve(system, B @ (adapted - b))
    np.testing.assert_allclose(grad, expected, rtol=1e-9)


@pytest.mark.full
def test_a_dead_parameter_does_not_stop_imaml_early():
    # An entry of the right-hand side that is exactly zero: a relative tolerance taken
    # entry by entry is 0/0 there.
    def loss(p, batch):
        return quadratic(p["w"], batch)

    def gradient(params):
        meta_loss = imaml(loss, inner=optax.sgd(0.15), steps=200, cg_steps=None)
        return value_and_grad(meta_loss)(params, TASK)[1]

    alone = gradient({"w": jnp.asarray(W)})
    beside = gradient({"w": jnp.asarray(W), "dead": jnp.zeros(2)})
    np.testing.assert_allclose(beside["w"], alone["w"], rtol=1e-9)
    np.testing.assert_array_equal(beside["dead"], 0.0)


@pytest.mark.full
def test_imaml_with_few_cg_steps_is_rougher_and_all_of_them_are_enough():
    def gradient(cg_steps):
        meta_loss = imaml(
            quadratic, inner=optax.sgd(0.15), steps=200, cg_steps=cg_steps
        )
        return value_and_grad(meta_loss)(jnp.asarray(W), TASK)[1]

    exact = gradient(None)
    off = [float(jnp.linalg.norm(gradient(n) - exact)) for n in (1, 2, 3)]
    assert off[0] > off[1] > off[2] and off[2] < 1e-10  # three weights, three steps


@pytest.mark.full
def test_the_strength_of_imaml_has_a_derivative():
    def value(strength):
        meta_loss = imaml(
            quadratic,
            inner=optax.sgd(0.15),
            steps=200,
            strength=strength,
            cg_steps=None,
        )
        return meta_loss(jnp.asarray(W), TASK)[0]

    check_grads(value, (1.5,), order=1, modes=["rev"], atol=1e-7, rtol=1e-7)


METHODS = {
    "maml": maml(net_loss, inner=optax.sgd(RATE)),
    "maml, 3 steps of adam": maml(net_loss, inner=optax.adam(0.05), steps=3),
    "maml, sam inside": maml(
        net_loss, inner=optax.chain(jaxopt_lab.sam(0.1), optax.sgd(RATE)), steps=2
    ),
    "maml, decay inside": maml(
        net_loss, inner=optax.chain(optax.add_decayed_weights(0.1), optax.sgd(RATE))
    ),
    "anil": anil(net_loss, head=trees.matching("head"), inner=optax.sgd(RATE), steps=3),
    "imaml": imaml(net_loss, inner=optax.sgd(0.05), steps=1500, cg_steps=None),
}


@pytest.mark.full(plain=["anil"])
@pytest.mark.parametrize("name", METHODS)
def test_gradients_are_finite_differences(name):
    value = jax.jit(lambda p: METHODS[name](p, NET_TASK)[0])
    check_grads(value, (PARAMS,), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.full
def test_anil_with_everything_in_the_head_is_maml():
    inner = optax.adam(0.05)
    ours = value_and_grad(anil(net_loss, head=True, inner=inner, steps=3))
    whole = value_and_grad(maml(net_loss, inner=inner, steps=3))
    chex.assert_trees_all_equal(ours(PARAMS, NET_TASK), whole(PARAMS, NET_TASK))


def test_anil_with_nothing_in_the_head_is_the_plain_gradient():
    meta_loss = anil(net_loss, head=False, inner=optax.adam(0.05), steps=3)
    (value, adapted), grad = value_and_grad(meta_loss)(PARAMS, NET_TASK)
    plain = jax.jit(jax.value_and_grad(net_loss))(PARAMS, NET_TASK.query)
    chex.assert_trees_all_equal(adapted, PARAMS)
    chex.assert_trees_all_close((value, grad), plain, rtol=1e-14)


@pytest.mark.full
def test_anil_moves_the_head_only_and_learns_the_body():
    head = {"body": False, "shift": False, "head": True}
    meta_loss = anil(net_loss, head=head, inner=optax.sgd(RATE), steps=3)
    (_, adapted), grad = value_and_grad(meta_loss)(PARAMS, NET_TASK)
    frozen = optax.partition(
        {"head": optax.sgd(RATE), "body": optax.set_to_zero()},
        trees.label_by_path([("head", "head")], "body"),
    )
    (_, expected), by_partition = value_and_grad(maml(net_loss, inner=frozen, steps=3))(
        PARAMS, NET_TASK
    )
    chex.assert_trees_all_close((adapted, grad), (expected, by_partition), rtol=1e-12)
    chex.assert_trees_all_equal(adapted["body"], PARAMS["body"])
    assert np.abs(adapted["head"] - PARAMS["head"]).min() > 0
    assert np.abs(grad["body"]).min() > 0
    chex.assert_trees_all_equal(
        adapt(
            net_loss,
            PARAMS,
            NET_TASK.support,
            inner=optax.sgd(RATE),
            steps=3,
            mask=head,
        ),
        meta_loss(PARAMS, NET_TASK)[1],
    )


@pytest.mark.full
def test_the_body_costs_anil_no_inner_gradient():
    wide = {"body": jnp.ones((1, 64)), "shift": jnp.ones(64), "head": jnp.ones((64, 1))}

    def flops(meta_loss):
        lowered = jax.jit(jax.grad(lambda p: meta_loss(p, NET_TASK)[0])).lower(wide)
        return lowered.compile().cost_analysis()["flops"]

    inner = optax.sgd(RATE)
    head = trees.matching("head")
    assert flops(anil(net_loss, head=head, inner=inner)) < 0.8 * flops(
        maml(net_loss, inner=inner)
    )


def test_first_order_methods_do_not_differentiate_the_inner_loop():
    @jax.custom_jvp
    def slope(w, batch):
        return 2 * jnp.mean(w - batch)

    @slope.defjvp
    def _(primals, tangents):
        raise RuntimeError("second derivative")

    @jax.custom_jvp
    def loss(w, batch):
        return jnp.mean((w - batch) ** 2)

    loss.defjvp(lambda at, d: (loss(*at), slope(*at) * d[0]))
    task = Task(jnp.array([1.0]), jnp.array([2.0]))
    inner = optax.sgd(RATE)
    for meta_loss in (
        maml(loss, inner=inner, steps=2, first_order=True),
        reptile(loss, inner=inner, steps=2),
    ):
        jax.grad(meta_loss, has_aux=True)(1.0, task)
    with pytest.raises(RuntimeError, match="second derivative"):
        jax.grad(maml(loss, inner=inner, steps=2), has_aux=True)(1.0, task)


@pytest.mark.full
def test_second_derivatives_of_imaml_are_those_of_the_closed_form():
    meta_loss = imaml(quadratic, inner=optax.sgd(0.15), steps=200, cg_steps=None)
    found = jax.jit(jax.hessian(lambda w: meta_loss(w, TASK)[0]))(jnp.asarray(W))
    jacobian = 2 * np.linalg.inv(A + 2 * EYE)
    np.testing.assert_allclose(found, jacobian.T @ B @ jacobian, rtol=1e-9)


@pytest.mark.parametrize("method", [maml, reptile])
def test_a_batch_for_each_step(method):
    batches = jnp.array([[1.0], [4.0], [-2.0]])

    def loss(w, batch):
        return jnp.mean((w - batch) ** 2) / 2

    w = 0.5
    for batch in batches:
        w = w - RATE * (w - batch[0])
    task = Task(batches, jnp.array([1.0]))
    meta_loss = method(loss, inner=optax.sgd(RATE), steps=3, per_step=True)
    (value, adapted), grad = value_and_grad(meta_loss)(jnp.float64(0.5), task)
    np.testing.assert_allclose(adapted, w, rtol=1e-14)
    np.testing.assert_allclose(value, (w - 1) ** 2 / 2, rtol=1e-14)
    expected = (1 - RATE) ** 3 * (w - 1) if method is maml else 0.5 - w
    np.testing.assert_allclose(grad, expected, rtol=1e-14)
    with pytest.raises(ValueError, match=r"steps = 2; it has shape \(3, 1\)"):
        method(loss, inner=optax.sgd(RATE), steps=2, per_step=True)(0.5, task)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("maml", "vmap"),
        ("maml", "scan"),
        ("maml", "unroll"),
        ("reptile", "vmap"),
        ("imaml", "vmap"),
        ("imaml", "scan"),
    ],
)
def test_the_mean_over_tasks(name, mode):
    meta_loss = {**METHODS, "reptile": reptile(net_loss, inner=optax.sgd(RATE))}[name]
    keys = jax.random.split(jax.random.key(5), 3)
    each = [sinusoid_task(k, shots=4, queries=5, dtype=jnp.float64) for k in keys]
    tasks = jax.tree.map(lambda *x: jnp.stack(x), *each)
    (value, adapted), grad = value_and_grad(over_tasks(meta_loss, mode))(PARAMS, tasks)
    single = [value_and_grad(meta_loss)(PARAMS, task) for task in each]
    mean = jax.tree.map(lambda *x: sum(x) / 3, *[(v, g) for (v, _), g in single])
    chex.assert_trees_all_close((value, grad), mean, rtol=1e-9)
    chex.assert_trees_all_close(
        jax.tree.map(lambda x: x[1], adapted), single[1][0][1], rtol=1e-9
    )


@pytest.mark.full
def test_an_inner_rate_can_be_learned():
    def value(theta):
        return maml(net_loss, inner=optax.sgd(theta["rate"]), steps=2)(
            theta["params"], NET_TASK
        )[0]

    theta = {"params": PARAMS, "rate": jnp.float64(RATE)}
    check_grads(value, (theta,), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.full
def test_losses_along_the_way_are_those_of_adapt():
    inner = optax.adam(0.05)
    found = adaptation_losses(net_loss, PARAMS, NET_TASK, inner=inner, steps=3)
    assert found.shape == (4,)
    np.testing.assert_allclose(found[0], net_loss(PARAMS, NET_TASK.query))
    for steps in (1, 3):
        w = adapt(net_loss, PARAMS, NET_TASK.support, inner=inner, steps=steps)
        np.testing.assert_allclose(found[steps], net_loss(w, NET_TASK.query))


def test_adapt_to_the_proximal_loss_is_what_imaml_does():
    inner = optax.sgd(0.05)
    near = proximal(net_loss, PARAMS, 2.0)
    ours = adapt(near, PARAMS, NET_TASK.support, inner=inner, steps=7)
    _, adapted = imaml(net_loss, inner=inner, steps=7, strength=2.0)(PARAMS, NET_TASK)
    chex.assert_trees_all_close(ours, adapted, rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dtypes_are_kept(dtype):
    params = trees.cast(PARAMS, dtype)
    task = trees.cast(NET_TASK, dtype)
    inner = optax.sgd(RATE)
    for meta_loss in (
        maml(net_loss, inner=inner),
        maml(net_loss, inner=inner, first_order=True),
        reptile(net_loss, inner=inner),
        *([imaml(net_loss, inner=inner)] if dtype == jnp.float32 else []),
    ):
        (value, adapted), grad = value_and_grad(meta_loss)(params, task)
        assert value.dtype == dtype
        assert {x.dtype for x in jax.tree.leaves((adapted, grad))} == {jnp.dtype(dtype)}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda tx: maml(net_loss, inner=tx, steps=0), "steps must be a whole number"),
        (lambda tx: maml(net_loss, inner=tx, remat="all"), "unknown remat 'all'"),
        (lambda tx: imaml(net_loss, inner=tx, strength=0.0), "strength must be more"),
        (
            lambda tx: imaml(net_loss, inner=tx, cg_steps=0)(PARAMS, NET_TASK),
            "cg_steps",
        ),
        (
            lambda tx: anil(net_loss, head={"neck": True}, inner=tx)(PARAMS, NET_TASK),
            "mask does not fit the parameters: .*neck",
        ),
        (lambda tx: over_tasks(maml(net_loss, inner=tx), "map"), "unknown mode 'map'"),
    ],
)
def test_what_cannot_be_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make(optax.sgd(RATE))
