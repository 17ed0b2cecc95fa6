"""Sharpness near a point: closed forms, dense Hessians, weights, degenerate points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.measures.average_sharpness import average_direction_sharpness
from jaxopt_lab.curvature.measures.batch_sharpness import batch_sharpness
from jaxopt_lab.curvature.measures.epsilon_sharpness import epsilon_sharpness
from jaxopt_lab.curvature.measures.sharpness import (
    asam_sharpness,
    ascent_sharpness,
    sam_sharpness,
)

DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(7, 3)), DRAW.normal(size=(7, 2))
BATCHES = [
    {"x": jnp.asarray(X[i:j]), "y": jnp.asarray(Y[i:j])} for i, j in ((0, 4), (4, 7))
]
WHOLE = [{"x": jnp.asarray(X), "y": jnp.asarray(Y)}]
PARAMS = {
    "kernel": jnp.asarray(DRAW.normal(size=(3, 2))),
    "bias": jnp.asarray(DRAW.normal(size=(1, 2))),
}


def loss(params, batch):
    out = jnp.tanh(batch["x"] @ params["kernel"] + params["bias"])
    return jnp.mean(jnp.sum((out - batch["y"]) ** 2, axis=1))


def weighted(params, batch):
    out = jnp.tanh(batch["x"] @ params["kernel"] + params["bias"])
    each = jnp.sum((out - batch["y"]) ** 2, axis=1)
    return jnp.sum(batch["there"] * each) / jnp.sum(batch["there"])


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def value_of(found):
    return found if isinstance(found, jax.Array) else found[0]


KEY = jax.random.key(0)
MEASURES = {
    "sam": sam_sharpness,
    "asam": asam_sharpness,
    "epsilon": lambda *args, **more: epsilon_sharpness(*args, 0.1, steps=3, **more),
    "average": lambda *args, **more: average_direction_sharpness(
        *args, KEY, 0.1, num_directions=2, **more
    ),
}


@pytest.mark.full
def test_sam_by_hand():
    value, grads = jax.value_and_grad(loss)(PARAMS, WHOLE[0])
    norm = np.linalg.norm(flat(grads))
    there = jax.tree.map(lambda p, g: p + 0.3 * g / norm, PARAMS, grads)
    got = sam_sharpness(loss, PARAMS, BATCHES, 0.3)
    np.testing.assert_allclose(got, loss(there, WHOLE[0]) - value, rtol=1e-12)


def test_asam_by_hand():
    value, grads = jax.value_and_grad(loss)(PARAMS, WHOLE[0])
    t = {
        "kernel": np.abs(PARAMS["kernel"]) + 0.01,
        "bias": np.ones_like(PARAMS["bias"]),
    }
    norm = np.linalg.norm(flat({k: t[k] * grads[k] for k in t}))
    there = {k: PARAMS[k] + 0.5 * t[k] ** 2 * grads[k] / norm for k in t}
    got = asam_sharpness(loss, PARAMS, BATCHES)
    np.testing.assert_allclose(got, loss(there, WHOLE[0]) - value, rtol=1e-12)


def test_sam_of_a_quadratic():
    h = np.diag([4.0, 1.0, 0.0])
    w = np.array([1.0, -2.0, 3.0])
    quadratic = lambda p, b: jnp.mean(b) * p @ jnp.asarray(h) @ p / 2
    g = h @ w
    unit = g / np.linalg.norm(g)
    expected = 0.2 * np.linalg.norm(g) + 0.02 * unit @ h @ unit
    got = sam_sharpness(quadratic, jnp.asarray(w), [jnp.ones(2)], 0.2)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_each_batch_by_itself():
    got = sam_sharpness(loss, PARAMS, BATCHES, per_batch=True)
    alone = [float(sam_sharpness(loss, PARAMS, [b])) for b in BATCHES]
    np.testing.assert_allclose(got, (4 * alone[0] + 3 * alone[1]) / 7, rtol=1e-12)
    assert float(got) > float(sam_sharpness(loss, PARAMS, BATCHES))


@pytest.mark.full
@pytest.mark.parametrize("name", MEASURES)
def test_cut_into_unequal_batches_it_is_the_same(name):
    measure = MEASURES[name]
    cut, whole = measure(loss, PARAMS, BATCHES), measure(loss, PARAMS, WHOLE)
    np.testing.assert_allclose(value_of(cut), value_of(whole), rtol=1e-10)
    # A data loader is a list that is read anew.
    loader = type("Loader", (), {"__iter__": lambda self: iter(BATCHES)})()
    again = measure(loss, PARAMS, loader)
    np.testing.assert_allclose(value_of(again), value_of(cut), rtol=1e-12)


@pytest.mark.full(plain=["sam-2"])
@pytest.mark.parametrize(
    "name, expected", [("sam", 2), ("asam", 2), ("epsilon", 4), ("average", 5)]
)
def test_the_passes_over_the_data_are_those_documented(name, expected):
    passes = []

    class Loader:
        def __iter__(self):
            passes.append(1)
            return iter(BATCHES)

    MEASURES[name](loss, PARAMS, Loader())
    assert len(passes) == expected


@pytest.mark.full(plain=["asam", "epsilon", "average"])
@pytest.mark.parametrize("name", [*MEASURES, "batch"])
def test_padding_does_not_count(name):
    measure = {**MEASURES, "batch": batch_sharpness}[name]
    padded = []
    for batch in BATCHES:
        n = len(batch["x"])
        filled = {k: jnp.concatenate([v, 9 + v])[:6] for k, v in batch.items()}
        padded.append(filled | {"there": jnp.where(jnp.arange(6) < n, 1.0, 0.0)})
    got = measure(weighted, PARAMS, padded, example_weights=lambda b: b["there"])
    plain = measure(loss, PARAMS, BATCHES)
    np.testing.assert_allclose(value_of(got), value_of(plain), rtol=1e-10)


@pytest.mark.full
@pytest.mark.parametrize("name", [*MEASURES, "batch"])
def test_a_mask_holds_the_others_still(name):
    measure = {**MEASURES, "batch": batch_sharpness}[name]
    got = measure(loss, PARAMS, BATCHES, mask={"kernel": True, "bias": False})
    inner = lambda p, b: loss({**p, "bias": PARAMS["bias"]}, b)
    alone = measure(inner, {"kernel": PARAMS["kernel"]}, BATCHES)
    np.testing.assert_allclose(value_of(got), value_of(alone), rtol=1e-12)


@pytest.mark.full(plain=["sam"])
@pytest.mark.parametrize("name", [*MEASURES, "batch"])
def test_float32_and_narrower(name):
    measure = {**MEASURES, "batch": batch_sharpness}[name]
    plain = value_of(measure(loss, PARAMS, BATCHES))
    single = jax.tree.map(lambda x: x.astype(jnp.float32), (PARAMS, BATCHES))
    got = value_of(measure(loss, *single))
    assert got.dtype == jnp.float32
    if name != "average":  # other directions are drawn in float32
        np.testing.assert_allclose(got, plain, rtol=1e-4)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), single[0])
    assert value_of(measure(loss, half, single[1])).dtype == jnp.float32


@pytest.mark.full
@pytest.mark.parametrize("name", [*MEASURES, "batch"])
def test_under_jit_and_on_eight_devices(name):
    measure = {**MEASURES, "batch": batch_sharpness}[name]
    batch = {k: jnp.concatenate([v, v[:1]]) for k, v in WHOLE[0].items()}
    plain = value_of(measure(loss, PARAMS, [batch]))
    traced = jax.jit(lambda p, b: value_of(measure(loss, p, [b])))(PARAMS, batch)
    np.testing.assert_allclose(traced, plain, rtol=1e-10)
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    there = jax.device_put(batch, NamedSharding(mesh, P("x")))
    params = jax.device_put(PARAMS, NamedSharding(mesh, P()))
    many = value_of(measure(loss, params, [there]))
    np.testing.assert_allclose(many, plain, rtol=1e-10)


@pytest.mark.full
def test_at_zero_gradients_values_and_derivatives_are_finite():
    bowl = lambda p, b: jnp.mean(b) * jnp.sum(p**2)

    def total(p):
        batch = [jnp.ones(2)]
        return (
            sam_sharpness(bowl, p, batch)
            + asam_sharpness(bowl, p, batch)
            + batch_sharpness(bowl, p, batch).value
        )

    value, slope = jax.value_and_grad(total)(jnp.zeros(3))
    assert float(value) == 0
    assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.full
@pytest.mark.parametrize("measure", [sam_sharpness, asam_sharpness, batch_sharpness])
def test_derivatives(measure):
    total = jax.jit(lambda p: value_of(measure(loss, p, BATCHES)))
    slope = jax.jit(jax.grad(total))(PARAMS)
    toward = jax.tree.map(jnp.cos, PARAMS)
    h = 1e-6
    up, down = (
        total(jax.tree.map(lambda p, t, s=s: p + s * h * t, PARAMS, toward))
        for s in (1, -1)
    )
    along = sum(jnp.sum(slope[k] * toward[k]) for k in slope)
    np.testing.assert_allclose(along, (up - down) / (2 * h), rtol=1e-7)


def test_epsilon_is_exact_where_the_gradient_keeps_its_signs():
    scales = jnp.array([1.0, 3.0, 0.5])
    w = jnp.array([1.0, -2.0, 0.3])
    bowl = lambda p, b: jnp.mean(b) * jnp.sum(scales * p**2)
    corner = w + 0.1 * (jnp.abs(w) + 1) * jnp.sign(w)
    before, after = bowl(w, jnp.ones(1)), bowl(corner, jnp.ones(1))
    for steps in (1, 4, 10):
        found = epsilon_sharpness(bowl, w, [jnp.ones(1)], 0.1, steps=steps)
        np.testing.assert_allclose(found.largest_loss, after, rtol=1e-12)
        expected = 100 * (after - before) / (1 + before)
        np.testing.assert_allclose(found.value, expected, rtol=1e-12)


def test_epsilon_stays_in_the_box_and_never_falls():
    # A hill top: every way leads down.
    hill = lambda p, b: -jnp.mean(b) * jnp.sum((p - 1e-3) ** 2)
    assert float(epsilon_sharpness(hill, jnp.zeros(2), [jnp.ones(1)], 0.1).value) >= 0
    steep = lambda p, b: jnp.mean(b) * jnp.sum(jnp.where(p > 1.2 + 1e-9, 1e6, p))
    found = epsilon_sharpness(steep, jnp.ones(2), [jnp.ones(1)], 0.1)
    np.testing.assert_allclose(found.largest_loss, 2.4, rtol=1e-12)


@pytest.mark.full
def test_the_mean_over_directions_is_that_of_the_trace():
    h = jnp.asarray(np.diag([10.0, 1.0, 0.5, -2.0]))
    quadratic = lambda p, b: jnp.mean(b) * (p @ h @ p / 2 + 5 * jnp.sum(p))
    exact = 0.3**2 * 9.5 / 8
    for antithetic in (True, False):
        found = average_direction_sharpness(
            quadratic,
            jnp.ones(4),
            [jnp.ones(2)],
            KEY,
            0.3,
            num_directions=200,
            antithetic=antithetic,
        )
        assert abs(float(found.value) - exact) < 4 * float(found.standard_error)
        assert int(found.draws) == 200
    # Going both ways takes the gradient's part out of the error: with a multiple of
    # the identity nothing is left.
    round_bowl = lambda p, b: jnp.mean(b) * (jnp.sum(p**2) / 2 + 5 * jnp.sum(p))
    args = (round_bowl, jnp.ones(4), [jnp.ones(2)], KEY, 0.3)
    both = average_direction_sharpness(*args)
    one = average_direction_sharpness(*args, antithetic=False)
    np.testing.assert_allclose(both.value, 0.045, rtol=1e-12)
    assert float(both.standard_error) < 1e-14 < 0.1 < float(one.standard_error)


def test_the_same_key_gives_the_same_directions():
    args = (loss, PARAMS, BATCHES)
    one = average_direction_sharpness(*args, KEY, num_directions=2)
    two = average_direction_sharpness(*args, KEY, num_directions=2)
    other = average_direction_sharpness(*args, jax.random.key(1), num_directions=2)
    assert float(one.value) == float(two.value) != float(other.value)


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: sam_sharpness(loss, PARAMS, BATCHES, -1.0), "rho must be at least 0"),
        (lambda: asam_sharpness(loss, PARAMS, BATCHES, eta=-1.0), "eta must be at"),
        (
            lambda: ascent_sharpness(loss, PARAMS, BATCHES, scaling="bsam"),
            "unknown scaling 'bsam'",
        ),
        (lambda: sam_sharpness(loss, PARAMS, iter(BATCHES)), "which one pass uses up"),
        (lambda: sam_sharpness(loss, PARAMS, []), "at least one batch; got none"),
        (
            lambda: sam_sharpness(lambda p, b: p["bias"], PARAMS, BATCHES),
            r"the loss must be a scalar.* \(1, 2\)",
        ),
        (lambda: epsilon_sharpness(loss, PARAMS, BATCHES, -0.1), "epsilon must be at"),
        (lambda: epsilon_sharpness(loss, PARAMS, BATCHES, steps=0), "steps must be a"),
        (
            lambda: average_direction_sharpness(loss, PARAMS, BATCHES, KEY, -0.1),
            "radius must be at least 0",
        ),
        (
            lambda: average_direction_sharpness(
                loss, PARAMS, BATCHES, KEY, num_directions=0
            ),
            "num_directions must be a whole number",
        ),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
