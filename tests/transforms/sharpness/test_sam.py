"""sam: parity with the recorded trajectories, exact equalities, cost."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import vectors

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

CASES = vectors.cases("sam")


def chain_of(meta):
    rho = meta["hyper"]["rho"]
    if "rho_schedule" in meta:
        rho = vectors.schedule(meta["rho_schedule"])
    links = [jaxopt_lab.sam(rho)]
    if "clip_global_norm" in meta["hyper"]:
        links.append(optax.clip_by_global_norm(meta["hyper"]["clip_global_norm"]))
    return optax.chain(*links, vectors.base_optimizer(meta))


def train_loss(loss_fn):
    return lambda params, state, batch, key: (loss_fn(params, batch), (state, {}))


@pytest.mark.full(plain=["adam"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("sam", name)
    tx = chain_of(case.meta)
    step = jax.jit(make_train_step(train_loss(vectors.loss(case.meta)), tx))
    state = init_state(tx, vectors.cast(case.init, jnp.float64), jax.random.key(0))
    for t, (batch, expected) in enumerate(zip(case.batches, case.params, strict=True)):
        state, metrics = step(state, vectors.cast(batch, jnp.float64))
        assert vectors.max_error(state.params, expected) <= 1e-10, t
        np.testing.assert_allclose(
            metrics["loss"], case.arrays[f"loss/{t}"], atol=1e-12
        )


@pytest.mark.full(plain=["sgdm_default"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32_for_five_steps(name):
    case = vectors.load("sam", name)
    tx = chain_of(case.meta)
    step = jax.jit(make_train_step(train_loss(vectors.loss(case.meta)), tx))
    state = init_state(tx, vectors.cast(case.init, jnp.float32), jax.random.key(0))
    for batch, expected in list(zip(case.batches, case.params, strict=True))[:5]:
        state, _ = step(state, vectors.cast(batch, jnp.float32))
        chex.assert_trees_all_close(state.params, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.full(plain=["sgdm_default"])
@pytest.mark.parametrize("name", ["sgdm_default", "sgdm_wd_conv"])
def test_the_composer_gets_the_steps_trajectory(name):
    case = vectors.load("sam", name)
    tx, loss_fn = chain_of(case.meta), vectors.loss(case.meta)
    params = vectors.cast(case.init, jnp.float64)
    state = tx.init(params)

    @jax.jit
    def update(params, state, batch):
        grad_fn = jaxopt_lab.batch_grad(loss_fn, batch)
        updates, state = tx.update(grad_fn(params), state, params, grad_fn=grad_fn)
        return optax.apply_updates(params, updates), state

    for batch, expected in zip(case.batches, case.params, strict=True):
        params, state = update(params, state, vectors.cast(batch, jnp.float64))
        assert vectors.max_error(params, expected) <= 1e-10


@pytest.mark.full
def test_the_perturbed_point_and_its_gradient():
    case = vectors.load("sam", "sgdm_default")
    loss_fn, rho = vectors.loss(case.meta), case.meta["hyper"]["rho"]
    params = vectors.cast(case.init, jnp.float64)
    grad_fn = jaxopt_lab.batch_grad(loss_fn, vectors.cast(case.batches[0], jnp.float64))
    asked = []

    def spy(at, i=0):
        asked.append(at)
        return grad_fn(at, i)

    link = jaxopt_lab.sam(rho)
    sharp, _ = link.update(grad_fn(params), link.init(params), params, grad_fn=spy)
    for key, value in asked[0].items():
        np.testing.assert_allclose(value, case.arrays[f"perturbed/0/{key}"], atol=1e-12)
    for key, value in sharp.items():
        np.testing.assert_allclose(value, case.arrays[f"sam_grad/0/{key}"], atol=1e-11)
    moved = jax.tree.map(jnp.subtract, asked[0], params)
    assert float(trees.global_norm(moved)) == pytest.approx(rho, abs=1e-12)


def quadratic():
    params = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([2.0])}
    scale = jnp.arange(1.0, 5.0).reshape(2, 2)

    def loss(p, batch):
        return jnp.mean(batch) * (
            jnp.sum(scale * p["kernel"] ** 2) + jnp.sum(p["bias"] ** 4)
        )

    return params, jaxopt_lab.batch_grad(loss, jnp.array([0.5, 1.5]))


@pytest.mark.full
def test_rho_zero_is_the_base_optimizer_exactly():
    params, grad_fn = quadratic()
    base = optax.adam(0.1)
    for rho in (0.0, jnp.array(0.0), lambda count: 0.0 * count):
        tx = optax.chain(jaxopt_lab.sam(rho), base)
        ours, _ = tx.update(grad_fn(params), tx.init(params), params, grad_fn=grad_fn)
        plain, _ = base.update(grad_fn(params), base.init(params), params)
        chex.assert_trees_all_equal(ours, plain)


@pytest.mark.parametrize("norm_over", ["perturbed", "all"])
def test_only_masked_leaves_move(norm_over):
    params, grad_fn = quadratic()
    seen = []

    def spy(at, i=0):
        seen.append(at)
        return grad_fn(at)

    mask = trees.everything_but("bias")
    link = jaxopt_lab.sam(0.1, perturb_mask=mask, norm_over=norm_over)
    grads = grad_fn(params)
    sharp, _ = link.update(grads, link.init(params), params, grad_fn=spy)
    chex.assert_trees_all_equal(seen[0]["bias"], params["bias"])
    moved = jnp.linalg.norm(seen[0]["kernel"] - params["kernel"])
    norm = trees.global_norm(grads if norm_over == "all" else grads["kernel"])
    expected = 0.1 * jnp.linalg.norm(grads["kernel"]) / norm
    np.testing.assert_allclose(moved, expected, rtol=1e-12)
    assert set(sharp) == {"kernel", "bias"}


def test_a_plain_function_and_a_batch_grad_give_the_same():
    params, grad_fn = quadratic()
    link = jaxopt_lab.sam(0.1)
    one, _ = link.update(
        grad_fn(params), link.init(params), params, grad_fn=lambda p, i=0: grad_fn(p)
    )
    two, _ = link.update(grad_fn(params), link.init(params), params, grad_fn=grad_fn)
    chex.assert_trees_all_equal(one, two)


def test_missing_arguments_are_named_and_the_call_is_shown():
    params, grad_fn = quadratic()
    link = jaxopt_lab.sam(0.1)
    state, grads = link.init(params), grad_fn(params)
    with pytest.raises(ValueError, match=r"sam needs grad_fn.*tx\.update.*MultiSteps"):
        link.update(grads, state, params)
    with pytest.raises(ValueError, match=r"sam needs params.*tx\.update"):
        link.update(grads, state, grad_fn=grad_fn)


def test_narrow_parameters_are_refused_with_the_recipe():
    params, grad_fn = quadratic()
    narrow = {**params, "kernel": params["kernel"].astype(jnp.bfloat16)}
    link = jaxopt_lab.sam(0.1)
    with pytest.raises(
        InputError, match=r"kernel in bfloat16.*master copy.*trees\.cast"
    ):
        link.update(narrow, link.init(narrow), narrow, grad_fn=grad_fn)
    # Outside the mask a narrow leaf is nobody's business.
    link = jaxopt_lab.sam(0.1, perturb_mask=trees.everything_but("kernel"))

    def grads_of(p, i=0):
        return jax.tree.map(jnp.ones_like, p)

    link.update(narrow, link.init(narrow), narrow, grad_fn=grads_of)


def test_the_master_copy_recipe_works():
    params, _ = quadratic()
    params = trees.cast(params, jnp.float32)
    seen = []

    def loss(p, batch):
        low = trees.cast(p, jnp.bfloat16)
        seen.append(low["kernel"].dtype)
        return jnp.sum(low["kernel"].astype(jnp.float32) ** 2) * jnp.mean(batch)

    grad_fn = jaxopt_lab.batch_grad(loss, jnp.ones(2, jnp.float32))
    link = jaxopt_lab.sam(0.1)
    out, _ = link.update(grad_fn(params), link.init(params), params, grad_fn=grad_fn)
    assert out["kernel"].dtype == jnp.float32 and set(seen) == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"sync": "both"}, "unknown sync 'both'; accepted: global, local"),
        ({"norm_over": "some"}, "unknown norm_over 'some'; accepted: all, perturbed"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.sam(**wrong)


def test_local_needs_a_function_that_knows_its_batch():
    params, grad_fn = quadratic()
    link = jaxopt_lab.sam(0.1, sync="local")
    with pytest.raises(InputError, match="batch_grad"):
        link.update(
            params, link.init(params), params, grad_fn=lambda p, i=0: grad_fn(p)
        )


def test_a_mask_that_does_not_fit_is_refused():
    params, grad_fn = quadratic()
    link = jaxopt_lab.sam(0.1, perturb_mask={"kernel": True})
    with pytest.raises(InputError, match="perturb_mask does not fit.*bias: missing"):
        link.update(params, link.init(params), params, grad_fn=grad_fn)


def mlp_costs():
    key = jax.random.key(0)
    params = {
        "one": jax.random.normal(key, (64, 128), jnp.float32) * 0.1,
        "two": jax.random.normal(key, (128, 10), jnp.float32) * 0.1,
    }
    batch = {
        "x": jax.random.normal(key, (64, 64), jnp.float32),
        "y": jax.random.normal(key, (64, 10), jnp.float32),
    }

    def loss(p, b):
        return jnp.mean((jnp.tanh(b["x"] @ p["one"]) @ p["two"] - b["y"]) ** 2)

    return params, batch, loss


def compiled_step(tx, params, batch, loss):
    state = init_state(tx, params, jax.random.key(0))
    step = jax.jit(make_train_step(train_loss(loss), tx), donate_argnums=0)
    return step.lower(state, batch).compile()


@pytest.mark.full
def test_cost_flops_and_bytes_equal_a_hand_written_step():
    params, batch, loss = mlp_costs()
    base = optax.sgd(jnp.float32(0.1), momentum=0.9)
    plain = compiled_step(base, params, batch, loss)
    chained = optax.chain(jaxopt_lab.sam(0.05), base)
    ours = compiled_step(chained, params, batch, loss)

    def by_hand(state, batch):
        key, _ = jax.random.split(state.key)
        value, g = jax.value_and_grad(loss)(state.params, batch)
        norm = jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(g)))
        point = jax.tree.map(lambda p, d: p + 0.05 / norm * d, state.params, g)
        g = jax.grad(loss)(point, batch)
        updates, opt_state = base.update(g, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(
            step=state.step + 1, params=params, opt_state=opt_state, key=key
        ), {"loss": value}

    hand = (
        jax.jit(by_hand, donate_argnums=0)
        .lower(init_state(base, params, jax.random.key(0)), batch)
        .compile()
    )
    ratio = ours.cost_analysis()["flops"] / plain.cost_analysis()["flops"]
    assert 1.98 <= ratio <= 2.02
    ours_mem, hand_mem = ours.memory_analysis(), hand.memory_analysis()
    assert ours_mem.temp_size_in_bytes <= hand_mem.temp_size_in_bytes
    counter = 8  # the link's own step count, padded
    assert ours_mem.argument_size_in_bytes <= hand_mem.argument_size_in_bytes + counter
