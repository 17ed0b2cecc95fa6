"""esam: the draw of the tensors, the selection of the examples, cost."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, on_devices

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

GRADS = {f"w{i}": jnp.arange(1.0, 4.0) * (i + 1) for i in range(6)}
PARAMS = {name: jnp.full(3, 0.1 * i) for i, name in enumerate(GRADS)}


def moves(count=0, rho=0.5, **options):
    """The perturbation of the link in one step, as numpy arrays."""
    link, asked = jaxopt_lab.esam(rho, **options), []

    def spy(at, i=0):
        asked.append(jax.tree.map(lambda a, p: np.asarray(a - p), at, PARAMS))
        return GRADS

    state = link.init(PARAMS)._replace(count=jnp.int32(count))
    link.update(GRADS, state, PARAMS, grad_fn=spy)
    return asked[0]


def drawn(moved):
    return [name for name in GRADS if np.any(moved[name])]


@pytest.mark.full(plain=["all"])
@pytest.mark.parametrize("norm_over", ["perturbed", "all"])
def test_the_ascent_is_the_formula_on_what_was_drawn(norm_over):
    counts = []
    for count in range(8):
        moved = moves(count, beta=0.4, norm_over=norm_over)
        chosen = drawn(moved)
        over = chosen if norm_over == "perturbed" else list(GRADS)
        norm = np.sqrt(sum(np.sum(np.square(GRADS[n])) for n in over))
        for name in chosen:
            expected = 0.5 / 0.4 * np.asarray(GRADS[name]) / norm
            np.testing.assert_allclose(moved[name], expected, rtol=1e-12)
        counts.append(len(chosen))
    assert len(set(counts)) > 1 and 0 < sum(counts) < 8 * len(GRADS)


def test_tensors_are_drawn_with_the_probability_and_independently():
    link = jaxopt_lab.esam(1.0, beta=0.3, norm_over="all")

    @jax.jit
    @jax.vmap
    def chosen(count):
        found = []

        def spy(at, i=0):
            found.extend(jnp.any(at[n] != PARAMS[n]) for n in GRADS)
            return GRADS

        state = link.init(PARAMS)._replace(count=count)
        link.update(GRADS, state, PARAMS, grad_fn=spy)
        return jnp.stack(found)

    table = np.asarray(chosen(jnp.arange(2000, dtype=jnp.int32)), float)
    sigma = np.sqrt(0.3 * 0.7 / 2000)
    assert np.all(np.abs(table.mean(0) - 0.3) < 4 * sigma), table.mean(0)
    off = np.corrcoef(table.T) - np.eye(len(GRADS))
    assert np.max(np.abs(off)) < 4 / np.sqrt(2000)


def test_draws_depend_on_the_step_and_the_seed_alone():
    chex.assert_trees_all_equal(moves(3), moves(3))
    first = [drawn(moves(count)) for count in range(8)]
    assert len({tuple(d) for d in first}) > 2
    assert [drawn(moves(count, seed=1)) for count in range(8)] != first


def chain(rho=0.1, **options):
    return optax.chain(jaxopt_lab.esam(rho, **options), links.base())


@pytest.mark.full
def test_with_every_tensor_it_is_sam():
    sam = links.trajectory(optax.chain(jaxopt_lab.sam(0.1), links.base()))
    ours = links.trajectory(chain(beta=1.0))
    chex.assert_trees_all_close(ours, sam, rtol=0, atol=1e-15)
    other = links.trajectory(chain())
    assert bool(jnp.any(ours["one"]["kernel"] != other["one"]["kernel"]))


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer():
    links.check_zero_radius_is_the_base(jaxopt_lab.esam)


def test_only_leaves_under_the_mask_are_drawn():
    mask = {name: i < 2 for i, name in enumerate(GRADS)}
    for count in range(6):
        assert set(drawn(moves(count, perturb_mask=mask))) <= {"w0", "w1"}


def regression(examples=10):
    rng = np.random.default_rng(4)
    w = {"a": rng.normal(size=3), "b": rng.normal(size=2)}
    x = {"a": rng.normal(size=(examples, 3)), "b": rng.normal(size=(examples, 2))}
    y = rng.normal(size=examples)

    def losses(p, batch):
        out = batch["x"]["a"] @ p["a"] + batch["x"]["b"] @ p["b"]
        return (out - batch["y"]) ** 2 / 2

    batch = {"x": jax.tree.map(jnp.asarray, x), "y": jnp.asarray(y)}
    loss = lambda p, b: jnp.mean(losses(p, b))
    return w, x, y, batch, loss, losses


@pytest.mark.full(plain=["1.0-0.5-5"])
@pytest.mark.parametrize("gamma, number", [(0.5, 5), (0.26, 3), (0.01, 1)])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_selection_equals_a_plain_reference(gamma, number, beta):
    w, x, y, batch, loss, losses = regression()
    params = jax.tree.map(jnp.asarray, w)
    grad_fn = jaxopt_lab.batch_grad(loss, batch, example_losses=losses)
    link = jaxopt_lab.esam(0.7, beta=beta, gamma=gamma)
    state = link.init(params)
    for _ in range(4):
        count = state.count
        got, state = jax.jit(
            lambda p, s: link.update(grad_fn(p), s, p, grad_fn=grad_fn)
        )(params, state)
        # The draw of this step, seen where the gradient is asked for.
        seen = []

        def spy(at, i=0, seen=seen):
            seen.append(at)
            return grad_fn(at)

        plain = jaxopt_lab.esam(0.7, beta=beta)
        plain.update(
            grad_fn(params),
            plain.init(params)._replace(count=count),
            params,
            grad_fn=spy,
        )
        moved = [n for n in w if np.any(seen[0][n] != params[n])]

        error = lambda v: x["a"] @ v["a"] + x["b"] @ v["b"] - y
        grad = {n: x[n].T @ error(w) / len(y) for n in w}
        norm = np.sqrt(sum(np.sum(grad[n] ** 2) for n in moved)) if moved else 1.0
        above = {
            n: w[n] + (0.7 / beta * grad[n] / norm if n in moved else 0.0) for n in w
        }
        rise = error(above) ** 2 / 2 - error(w) ** 2 / 2
        best = np.argsort(-rise, kind="stable")[:number]
        for n in w:
            expected = x[n][best].T @ error(above)[best] / number
            np.testing.assert_allclose(got[n], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_selection_in_a_group_of_the_parameters():
    w, _, _, batch, loss, losses = regression()
    params = jax.tree.map(jnp.asarray, w)
    grad_fn = jaxopt_lab.batch_grad(loss, batch, example_losses=losses)
    link = jaxopt_lab.esam(0.7, beta=1.0, gamma=0.5)
    tx = jaxopt_lab.masked(link, {"a": True, "b": False})
    got, _ = tx.update(grad_fn(params), tx.init(params), params, grad_fn=grad_fn)
    part = lambda f: lambda a, b: f({**params, "a": a["a"]}, b)
    inner_fn = jaxopt_lab.batch_grad(part(loss), batch, example_losses=part(losses))
    alone = {"a": params["a"]}
    expected, _ = link.update(
        inner_fn(alone), link.init(alone), alone, grad_fn=inner_fn
    )
    np.testing.assert_allclose(got["a"], expected["a"], rtol=1e-13)


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "masked"])
def test_padding_is_not_selected(wrapped):
    w, _, _, batch, _, losses = regression()
    params = jax.tree.map(jnp.asarray, w)
    # Padding whose losses rise most: they are those of the largest inputs.
    padded = jax.tree.map(lambda x: jnp.concatenate([x, 50 * x]), batch)
    padded["mask"] = jnp.arange(20) < 10
    batch["mask"] = jnp.ones(10, bool)
    loss = lambda p, b: jnp.average(losses(p, b), weights=b["mask"])

    def sharp(batch, gamma):
        link = jaxopt_lab.esam(0.7, beta=1.0, gamma=gamma)
        tx = jaxopt_lab.masked(link, {"a": True, "b": True}) if wrapped else link
        grad_fn = jaxopt_lab.batch_grad(
            loss, batch, example_losses=losses, weights="mask"
        )
        g = jax.grad(loss)(params, batch)
        return tx.update(g, tx.init(params), params, grad_fn=grad_fn)[0]

    chex.assert_trees_all_close(sharp(padded, 0.25), sharp(batch, 0.5), rtol=1e-12)


@pytest.mark.full
def test_each_device_selects_among_its_own():
    w, _, _, batch, loss, losses = regression(examples=8)
    params = jax.tree.map(jnp.asarray, w)
    link = jaxopt_lab.esam(0.7, beta=1.0, gamma=0.5)

    def sharp(params, batch):
        grad_fn = jaxopt_lab.batch_grad(
            loss, batch, axis_name="data", example_losses=losses
        )
        return link.update(grad_fn(params), link.init(params), params, grad_fn=grad_fn)

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    spec = jax.sharding.PartitionSpec
    mapped = jax.shard_map(
        sharp, mesh=mesh, in_specs=(spec(), spec("data")), out_specs=spec()
    )
    got, _ = jax.jit(mapped)(params, batch)
    g = jax.grad(loss)(params, batch)
    above = jax.tree.map(lambda p, d: p + 0.7 * d / optax.tree.norm(g), params, g)
    halves = []
    for j in range(2):
        half = jax.tree.map(lambda v, j=j: v[4 * j : 4 * j + 4], batch)
        rise = losses(above, half) - losses(params, half)
        best = np.argsort(-np.asarray(rise))[:2]
        part = jax.tree.map(lambda v, best=best: v[best], half)
        halves.append(jax.grad(loss)(above, part))
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
    chex.assert_trees_all_close(got, mean, rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    got = on_devices.parameters_after(chain(), style, 4)
    expected = links.trajectory(chain(), steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    assert links.example_gradients(chain()) == 2
    link = jaxopt_lab.esam(0.1)
    assert links.state_bytes(link) == 0
    assert trees.nbytes(link.init(PARAMS)) == 4 + 8  # count and key


def make(v):
    link = jaxopt_lab.esam(v[0], beta=v[1])
    return optax.chain(link, optax.sgd(v[2], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.1, 0.6, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.1, 0.6, 0.1])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"beta": 0.0}, r"beta must lie in \(0, 1\]; got 0.0"),
        ({"gamma": 1.5}, r"gamma must lie in \(0, 1\]; got 1.5"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.esam(**wrong)


def test_selection_needs_the_losses_of_the_examples():
    w, _, _, batch, loss, _ = regression()
    params = jax.tree.map(jnp.asarray, w)
    link = jaxopt_lab.esam(gamma=0.5)
    for grad_fn in (
        jax.grad(lambda p: loss(p, batch)),
        jaxopt_lab.batch_grad(loss, batch),
    ):
        with pytest.raises(InputError, match="example_losses="):
            link.update(params, link.init(params), params, grad_fn=grad_fn)
    wrong = jaxopt_lab.batch_grad(loss, batch, example_losses=loss)
    with pytest.raises(InputError, match=r"each of the 10 examples.*got shape \(\)"):
        link.update(params, link.init(params), params, grad_fn=wrong)
    with pytest.raises(InputError, match="example_losses="):
        links.trajectory(chain(gamma=0.5))
