"""lookbehind: parity with the recorded trajectories, equalities, loop, cost."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, on_devices, parity, vectors

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.sharpness.lookbehind import agreement

CASES = [
    (method, name)
    for method in ("lookbehind_sam", "lookbehind_asam")
    for name in vectors.cases(method)
]
ONE_BATCH = [case for case in CASES if "batches" not in case[1]]


def optimizer(case, **options):
    hyper = case.meta["hyper"]
    alpha = hyper["alpha"]
    return jaxopt_lab.lookbehind(
        vectors.base_optimizer(case.meta),
        parity.rho_of(case),
        k=hyper["k"],
        alpha="adaptive" if alpha == -1 else alpha,
        scaling="abs" if case.meta["method"].endswith("asam") else "identity",
        eta=hyper.get("eta", 0.0),
        adapt_mask=parity.WEIGHTS,
        **options,
    )


def test_there_are_cases():
    assert len(CASES) == 12 and len(ONE_BATCH) == 11


@pytest.mark.full(plain=["lookbehind_sam-k1_a05"])
@pytest.mark.parametrize("method, name", ONE_BATCH)
def test_parity_in_float64(method, name):
    case = vectors.load(method, name)
    assert case.meta["method"] == method
    assert parity.error_in_float64(case, optimizer(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", ["k2_a05", "k3_adaptive_adamw"])
def test_parity_in_float32(name):
    case = vectors.load("lookbehind_sam", name)
    parity.check_float32(case, optimizer(case))


def test_parity_with_a_batch_for_each_inner_step():
    case = vectors.load("lookbehind_sam", "k3_a05_batches")
    tx, loss = optimizer(case, fresh_ascent_gradient=True), vectors.loss(case.meta)
    params = vectors.cast(case.init, jnp.float64)
    state = tx.init(params)

    @jax.jit
    def step(params, state, batches):
        def grad_fn(w, i=0):
            return jax.grad(loss)(w, batches[i])

        updates, state = tx.update(grad_fn(params), state, params, grad_fn=grad_fn)
        return optax.apply_updates(params, updates), state

    worst = 0.0
    for batch, expected in zip(case.batches, case.params, strict=True):
        parts = [{key: batch[f"{i}/{key}"] for key in "xy"} for i in range(3)]
        params, state = step(params, state, vectors.cast(parts, jnp.float64))
        worst = max(worst, vectors.max_error(params, expected))
    print(f"k3_a05_batches: {worst:.1e}")
    assert worst <= 1e-10


def lookbehind(rho=0.1, **options):
    return jaxopt_lab.lookbehind(links.base(), rho, **options)


@pytest.mark.full
def test_one_inner_step_all_the_way_is_sam():
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    one = links.trajectory(lookbehind(k=1, alpha=1.0))
    chex.assert_trees_all_close(one, links.trajectory(sam), rtol=0, atol=1e-15)
    adaptive = links.trajectory(lookbehind(k=1, alpha="adaptive"))
    chex.assert_trees_all_close(adaptive, links.trajectory(sam), rtol=1e-13)


@pytest.mark.full
def test_zero_radius_one_inner_step_is_the_base_optimizer():
    plain, ours = links.base(), lookbehind(0.0, k=1, alpha=1.0)
    expected, state = links.trajectory(plain, chain_state=True)
    got, wrapped = links.trajectory(ours, chain_state=True)
    chex.assert_trees_all_close(got, expected, rtol=0, atol=1e-15)
    chex.assert_trees_all_close(wrapped.inner, state, rtol=0, atol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("alpha", [0.5, "adaptive"])
def test_fresh_gradients_and_the_scan_give_the_same_numbers(alpha):
    one = links.trajectory(lookbehind(k=3, alpha=alpha), steps=2)
    fresh = lookbehind(k=3, alpha=alpha, fresh_ascent_gradient=True)
    scan = lookbehind(k=3, alpha=alpha, unroll=False)
    both = lookbehind(k=3, alpha=alpha, unroll=False, fresh_ascent_gradient=True)
    for other in (fresh, scan, both):
        two = links.trajectory(other, steps=2)
        chex.assert_trees_all_close(one, two, rtol=1e-12, atol=1e-15)


def by_hand(params, grad, k, rho, eta, rate, alpha):
    """One update with plain gradient descent as the base, on one tensor."""
    v, f = params, params
    for _ in range(k):
        t = np.abs(v) + eta
        g = grad(v)
        v = v + rho * t * t * g / np.linalg.norm(t * g)
        f = f - rate * grad(v)
    return params + alpha * (f - params)


def test_the_scaling_is_taken_at_the_perturbed_point():
    w, curvature = np.array([2.0, -1.0]), np.array([1.0, 3.0])
    tx = jaxopt_lab.lookbehind(
        optax.sgd(0.1), 0.3, k=3, alpha=0.4, scaling="abs", eta=0.02
    )
    grad_fn = lambda p, i=0: curvature * p
    updates, _ = tx.update(grad_fn(w), tx.init(w), w, grad_fn=grad_fn)
    expected = by_hand(w, lambda x: curvature * x, 3, 0.3, 0.02, 0.1, 0.4)
    np.testing.assert_allclose(w + updates, expected, rtol=1e-13)


def test_the_base_advances_k_times_and_is_not_reset():
    tx = jaxopt_lab.lookbehind(optax.adam(0.01), 0.1, k=3)
    _, state = links.trajectory(tx, steps=2, chain_state=True)
    assert int(state.inner[0].count) == 6 and int(state.count) == 2


def test_adaptive_alpha_is_one_for_each_tensor():
    # Two tensors with losses of their own: one turns back, the other goes on.
    params = {"steady": jnp.array(0.0), "turning": jnp.array(0.0)}
    grads = iter([{"steady": 1.0, "turning": 1.0}, {"steady": 1.0, "turning": -3.0}])
    tx = jaxopt_lab.lookbehind(optax.sgd(0.1), 0.1, k=2, alpha="adaptive")

    def grad_fn(p, i=0):
        return jax.tree.map(jnp.asarray, next(grads))

    first = {"steady": jnp.array(1.0), "turning": jnp.array(1.0)}
    updates, _ = tx.update(first, tx.init(params), params, grad_fn=grad_fn)
    np.testing.assert_allclose(updates["steady"], -0.2, rtol=1e-12)  # cos = 1
    np.testing.assert_allclose(updates["turning"], 0.0, atol=1e-15)  # cos = -1


def test_schedules_count_updates():
    rates = lambda count: jnp.where(count == 0, 0.25, 0.75)
    grads = {"w": jnp.array(1.0)}
    tx = jaxopt_lab.lookbehind(optax.sgd(1.0), 0.1, k=2, alpha=rates)
    state, seen = tx.init(grads), []
    for _ in range(2):
        updates, state = tx.update(grads, state, grads, grad_fn=lambda p, i=0: grads)
        seen.append(float(updates["w"]))
    assert seen == [-0.5, -1.5]


def test_extra_arguments_reach_the_base():
    tx = jaxopt_lab.lookbehind(
        optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()), 0.1
    )
    chex.assert_tree_all_finite(links.trajectory(tx, steps=2))


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    tx = lookbehind(k=2, alpha="adaptive")
    got = on_devices.parameters_after(tx, style, 4)
    expected = links.trajectory(tx, steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("k", [1, 2, 5])
def test_cost(k):
    assert links.example_gradients(lookbehind(k=k)) == k + 1
    fresh = lookbehind(k=k, fresh_ascent_gradient=True)
    assert links.example_gradients(fresh) == 2 * k
    bare = jaxopt_lab.lookbehind(optax.sgd(0.1), 0.1, k=k)
    assert links.state_bytes(bare) == 0
    assert links.state_bytes(lookbehind(k=k)) == 4  # the momentum of the base


def maker(alpha):
    def make(v):
        part = alpha if isinstance(alpha, str) else v[3]
        return jaxopt_lab.lookbehind(
            optax.sgd(v[2], momentum=0.9),
            v[0],
            k=2,
            alpha=part,
            scaling="abs",
            eta=v[1],
        )

    return make


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(maker(0.5), [0.2, 0.05, 0.1, 0.5])


@pytest.mark.full
def test_derivatives_with_adaptive_alpha():
    links.check_derivatives(maker("adaptive"), [0.2, 0.05, 0.1])


@pytest.mark.full
@pytest.mark.parametrize("alpha", [0.5, "adaptive"])
def test_zero_gradients(alpha):
    links.check_zero_gradients(maker(alpha), [0.2, 0.05, 0.1, 0.5])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"k": 0}, "k must be a whole number of at least 1; got 0"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\]; got 1.5"),
        ({"alpha": "adaptiv"}, "unknown alpha 'adaptiv'; perhaps you meant 'adaptive'"),
        ({"scaling": "sma"}, "unknown scaling 'sma'"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.lookbehind(optax.sgd(0.1), **wrong)


def test_missing_arguments_are_named():
    tx, w = lookbehind(), jnp.ones(2)
    with pytest.raises(InputError, match="lookbehind needs grad_fn"):
        tx.update(w, tx.init(w), w)
    with pytest.raises(InputError, match="lookbehind needs params"):
        tx.update(w, tx.init(w), grad_fn=lambda p, i=0: p)


@pytest.mark.full
def test_numbers_are_injected():
    make = jaxopt_lab.inject_hyperparams(jaxopt_lab.lookbehind)
    tx = make(optax.sgd(0.1), rho=0.1, k=2, alpha=0.5)
    assert sorted(tx.init(jnp.ones(2)).hyperparams) == ["alpha", "eta", "rho"]
    adaptive = make(optax.sgd(0.1), rho=0.1, k=2, alpha="adaptive")
    assert sorted(adaptive.init(jnp.ones(2)).hyperparams) == ["eta", "rho"]
    plain = jaxopt_lab.lookbehind(optax.sgd(0.1), 0.1, k=2, alpha=0.5)
    chex.assert_trees_all_close(
        links.trajectory(tx, steps=2), links.trajectory(plain, steps=2), rtol=1e-13
    )


@pytest.mark.parametrize("size, norm", [(2e-8, 2e-8), (1e-8, 1e-8), (5e-9, 1e-8)])
def test_agreement_of_moves_of_almost_nothing(size, norm):
    one, two = jnp.array([size, 0.0]), jnp.array([3.0, 0.0])
    found = agreement(one, two)
    np.testing.assert_allclose(found, (size / norm + 1) / 2, rtol=1e-12)
