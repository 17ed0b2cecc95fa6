"""msam: parity with the recorded trajectories, devices as shards, costs."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support import links, on_devices, parity, vectors

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

CASES = vectors.cases("msam")
SCALINGS = {"sam": "identity", "asam": "abs", "samson": "abs_over_range"}


def link_of(case, mode="auto"):
    hyper = case.meta["hyper"]
    return jaxopt_lab.msam(
        parity.rho_of(case),
        num_shards=hyper["m"],
        scaling=SCALINGS[hyper.get("inner", "sam")],
        eta=hyper.get("eta", 0.0),
        adapt_mask=parity.WEIGHTS,
        mode=mode,
    )


def chain_of(case, mode="auto"):
    return optax.chain(link_of(case, mode), vectors.base_optimizer(case.meta))


def test_there_are_cases():
    assert len(CASES) == 6


@pytest.mark.full(plain=["m16_single_examples"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("msam", name)
    mode = "vmap" if case.meta["hyper"]["m"] == 16 else "unroll"
    assert parity.error_in_float64(case, chain_of(case, mode)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("msam", name)
    mode = "vmap" if case.meta["hyper"]["m"] == 16 else "unroll"
    parity.check_float32(case, chain_of(case, mode))


def chain(rho=0.1, **options):
    return optax.chain(jaxopt_lab.msam(rho, **options), links.base())


@pytest.mark.full
@pytest.mark.parametrize("name, scaling", SCALINGS.items())
def test_one_shard_is_the_link_with_that_scaling(name, scaling):
    one = links.trajectory(chain(num_shards=1, scaling=scaling))
    link = getattr(jaxopt_lab, name)(0.1)
    two = links.trajectory(optax.chain(link, links.base()))
    chex.assert_trees_all_close(one, two, rtol=0, atol=1e-14)


@pytest.mark.full
def test_one_shard_with_zero_radius_is_the_base_optimizer():
    links.check_zero_radius_is_the_base(
        lambda rho: jaxopt_lab.msam(rho, num_shards=1), atol=1e-15
    )


@pytest.mark.full
@pytest.mark.parametrize("mode", ["vmap", "scan", "auto"])
def test_all_modes_give_the_same_numbers(mode):
    one = links.trajectory(chain(num_shards=4, mode="unroll"))
    two = links.trajectory(chain(num_shards=4, mode=mode))
    chex.assert_trees_all_close(one, two, rtol=1e-12, atol=1e-15)


@pytest.mark.full
def test_it_is_the_mean_over_separate_shards():
    params, batch, loss = links.problem()
    sam = jaxopt_lab.sam(0.1)
    grads = []
    for j in range(4):
        part = jax.tree.map(lambda x, j=j: x[2 * j : 2 * j + 2], batch)
        grad_fn = jaxopt_lab.batch_grad(loss, part)
        first = grad_fn(params)
        grads.append(sam.update(first, sam.init(params), params, grad_fn=grad_fn)[0])
    mean = jax.tree.map(lambda *g: sum(g) / 4, *grads)
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    link = jaxopt_lab.msam(0.1, num_shards=4)
    ours, _ = link.update(grad_fn(params), link.init(params), params, grad_fn=grad_fn)
    chex.assert_trees_all_close(ours, mean, rtol=1e-12, atol=1e-15)
    # Perturbing every shard by itself is something else than sam.
    whole, _ = sam.update(grad_fn(params), sam.init(params), params, grad_fn=grad_fn)
    assert vectors.max_error(ours, whole) > 1e-4


@pytest.mark.full(plain=["8-jit"])
@pytest.mark.parametrize("style", on_devices.STYLES)
@pytest.mark.parametrize("devices", [4, 8])
def test_devices_are_shards(style, devices):
    expected = links.trajectory(chain(num_shards=devices), steps=3)
    # Under jit the batch is one array, whatever it is sharded over.
    here = {"num_shards": devices, "mode": "vmap"} if style == "jit" else {}
    tx = chain(**{"num_shards": 1, **here})
    got = on_devices.parameters_after(tx, style, devices)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_local_sam_is_the_same_on_devices():
    tx = optax.chain(jaxopt_lab.sam(0.1, sync="local"), links.base())
    got = on_devices.parameters_after(tx, "shard_map with check_vma", 4)
    expected = links.trajectory(chain(num_shards=4), steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full(plain=["2", "8"])
@pytest.mark.parametrize("m", [1, 2, 8])
def test_gradients_are_counted_with_loss_and_metrics(m):
    assert links.example_gradients(chain(num_shards=m)) == 2
    assert links.state_bytes(jaxopt_lab.msam(0.1, num_shards=m)) == 0


def wide_step_flops(tx):
    params = {"one": jnp.ones((64, 128)) / 9, "two": jnp.ones((128, 10)) / 9}
    batch = {"x": jnp.ones((512, 64)), "y": jnp.ones((512, 10))}

    def loss_fn(p, state, b, key):
        error = jnp.tanh(b["x"] @ p["one"]) @ p["two"] - b["y"]
        new = {"mean": 0.9 * state["mean"] + 0.1 * jnp.mean(error)}
        return jnp.mean(error**2), (new, {"mae": jnp.mean(jnp.abs(error))})

    state = init_state(tx, params, jax.random.key(0), {"mean": jnp.zeros(())})
    step = jax.jit(make_train_step(loss_fn, tx))
    return step.lower(state, batch).compile().cost_analysis()["flops"]


def compiled_text(loss_fn, params, batch):
    tx = optax.chain(jaxopt_lab.msam(0.1, num_shards=4), optax.sgd(0.1))
    state = init_state(tx, params, jax.random.key(0))
    return jax.jit(make_train_step(loss_fn, tx)).lower(state, batch).compile().as_text()


def test_only_the_first_gradients_of_the_shards_are_made_one_by_one():
    params = {"w": jnp.ones((64, 96), jnp.float32)}

    def loss_fn(p, state, x, key):
        return jnp.mean(jnp.tanh(x @ p["w"]) ** 2), (state, {})

    text = compiled_text(loss_fn, params, jnp.ones((128, 64), jnp.float32))
    found = [line.split(" dot(")[0] for line in text.splitlines() if " dot(" in line]
    assert sum("f32[4,64,96]" in line for line in found) == 1
    assert sum("f32[64,96]" in line for line in found) == 1


def test_convolutions_are_not_batched_over_shards_on_a_cpu():
    params = {"w": jnp.ones((3, 3, 1, 2), jnp.float32)}

    def loss_fn(p, state, x, key):
        y = jax.lax.conv_general_dilated(
            x, p["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.mean(jnp.tanh(y) ** 2), (state, {})

    text = compiled_text(loss_fn, params, jnp.ones((8, 6, 6, 1), jnp.float32))
    assert "feature_group_count=4" not in text and "f32[4,3,3,1,2]" not in text


WRAPPERS = {
    "bare": lambda rest: optax.chain(jaxopt_lab.msam(0.1, num_shards=8), rest),
    "apply_if_finite": lambda rest: optax.apply_if_finite(
        optax.chain(jaxopt_lab.msam(0.1, num_shards=8), rest), 3
    ),
    "inject_hyperparams": lambda rest: optax.chain(
        jaxopt_lab.inject_hyperparams(jaxopt_lab.msam)(rho=0.1, num_shards=8), rest
    ),
    "reduce_on_plateau": lambda rest: optax.chain(
        jaxopt_lab.msam(0.1, num_shards=8), rest, optax.contrib.reduce_on_plateau()
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("name", WRAPPERS)
def test_flops_with_loss_metrics_and_statistics(name):
    rest = optax.sgd(jnp.array(0.1))
    assert wide_step_flops(WRAPPERS[name](rest)) <= 2.05 * wide_step_flops(rest)


def make(v):
    link = jaxopt_lab.msam(v[0], num_shards=4, scaling="abs", eta=v[1])
    return optax.chain(link, optax.sgd(v[2], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.2, 0.05, 0.1])


@pytest.mark.full
@pytest.mark.parametrize("zero_params", [False, True])
def test_zero_gradients(zero_params):
    links.check_zero_gradients(make, [0.2, 0.0, 0.1], zero_params)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"num_shards": 0}, "num_shards must be a whole number of at least 1; got 0"),
        ({"scaling": "asb"}, "unknown scaling 'asb'; perhaps you meant 'abs'"),
        ({"mode": "scam"}, "perhaps you meant 'scan'"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.msam(**wrong)


def test_a_batch_that_does_not_come_out_even_is_refused():
    with pytest.raises(
        InputError, match="8 examples cannot be cut into 3 equal shards"
    ):
        links.trajectory(chain(num_shards=3), steps=1)


def test_a_plain_function_is_refused_with_the_way_out():
    params, batch, loss = links.problem()
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    link = jaxopt_lab.msam(0.1)
    with pytest.raises(
        InputError, match=r"msam needs the gradients of parts.*batch_grad"
    ):
        link.update(
            params, link.init(params), params, grad_fn=lambda p, i=0: grad_fn(p)
        )
