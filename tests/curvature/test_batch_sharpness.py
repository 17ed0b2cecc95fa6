"""Batch sharpness and the edge of stability: dense Hessians, simulated optimizers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.measures.batch_means import estimate
from jaxopt_lab.curvature.measures.batch_sharpness import (
    batch_sharpness,
    log_stability_ratio,
    stability_ratio,
)

DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(7, 3)), DRAW.normal(size=(7, 2))
BATCHES = [
    {"x": jnp.asarray(X[i:j]), "y": jnp.asarray(Y[i:j])} for i, j in ((0, 4), (4, 7))
]
PARAMS = {
    "kernel": jnp.asarray(DRAW.normal(size=(3, 2))),
    "bias": jnp.asarray(DRAW.normal(size=(1, 2))),
}


def loss(params, batch):
    out = jnp.tanh(batch["x"] @ params["kernel"] + params["bias"])
    return jnp.mean(jnp.sum((out - batch["y"]) ** 2, axis=1))


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def test_batch_sharpness_against_dense_hessians():
    leaves, treedef = jax.tree.flatten(PARAMS)
    cuts = np.cumsum([x.size for x in leaves])[:-1]

    def on_vector(v, batch):
        parts = jnp.split(v, cuts)
        shaped = [p.reshape(x.shape) for p, x in zip(parts, leaves, strict=True)]
        return loss(treedef.unflatten(shaped), batch)

    w = jnp.asarray(flat(PARAMS))
    gradient, dense = (jax.jit(d(on_vector)) for d in (jax.grad, jax.hessian))
    values = []
    for batch in BATCHES:
        g = gradient(w, batch)
        values.append(float(g @ dense(w, batch) @ g / (g @ g)))
    found = batch_sharpness(loss, PARAMS, BATCHES)
    mean = (4 * values[0] + 3 * values[1]) / 7
    np.testing.assert_allclose(found.value, mean, rtol=1e-11)
    squares = [(n / 7 * (v - mean)) ** 2 for n, v in zip((4, 3), values, strict=True)]
    np.testing.assert_allclose(
        found.standard_error, np.sqrt(2 * sum(squares)), rtol=1e-10
    )


def test_small_gradients_have_the_same_batch_sharpness():
    quadratic = lambda p, b: jnp.mean(b) * jnp.sum(jnp.array([3.0, 1.0]) * p**2) / 2
    for scale in (1.0, 1e-18):
        w = jnp.array([1.0, 1.0], jnp.float32) * scale
        found = batch_sharpness(quadratic, w, [jnp.ones(2, jnp.float32)])
        np.testing.assert_allclose(found.value, 28 / 10, rtol=1e-5)


@pytest.mark.full
def test_a_batch_without_gradient_does_not_count():
    quadratic = lambda p, b: jnp.mean(b) * p**2 / 2
    batches = [jnp.ones(2), jnp.zeros(2), 3 * jnp.ones(2)]
    found = batch_sharpness(quadratic, jnp.array(1.0), batches)
    assert (float(found.value), int(found.draws)) == (2.0, 2)
    nothing = batch_sharpness(quadratic, jnp.array(1.0), batches[1:2])
    assert (float(nothing.value), int(nothing.draws)) == (0.0, 0)


@pytest.mark.full
def test_estimates():
    values = jnp.asarray(DRAW.normal(size=9))
    found = estimate(values)
    np.testing.assert_allclose(found.value, values.mean(), rtol=1e-13)
    expected = np.std(values, ddof=1) / 3
    np.testing.assert_allclose(found.standard_error, expected, rtol=1e-13)
    more = estimate(jnp.append(values, 99.0), jnp.append(jnp.full(9, 2.0), 0.0))
    for one, two in zip(more, found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-13)
    assert np.isnan(float(estimate(values[:1]).standard_error))


def growth(kind, curvature, rate, beta):
    """Largest modulus of an optimizer's map on ``curvature w^2 / 2``."""
    a = curvature * rate
    if kind == "average":
        matrix = [[beta, (1 - beta) * curvature], [-rate * beta, 1 - (1 - beta) * a]]
    elif kind == "nesterov":
        # m' = beta m + g; w' = w - rate (beta m' + g).
        matrix = [[beta, curvature], [-rate * beta**2, 1 - a * (1 + beta)]]
    else:
        matrix = [[beta, curvature], [-rate * beta, 1 - a]]
    return np.abs(np.linalg.eigvals(np.array(matrix))).max()


@pytest.mark.parametrize("kind", ["heavy_ball", "nesterov", "average"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_the_edge_of_stability_is_where_the_map_begins_to_grow(kind, beta):
    edge = 1 / float(stability_ratio(1.0, 0.1, momentum=beta, kind=kind))
    assert (
        growth(kind, 0.99 * edge, 0.1, beta) < 1 < growth(kind, 1.01 * edge, 0.1, beta)
    )
    log = log_stability_ratio(2.0 * edge, 0.1, momentum=beta, kind=kind)
    np.testing.assert_allclose(log, np.log(2), rtol=1e-12)


def test_the_logarithm_of_nothing():
    assert float(log_stability_ratio(0.0, 0.1)) == -np.inf
    assert float(jax.grad(log_stability_ratio)(-1.0, 0.1)) == 0


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: batch_sharpness(loss, PARAMS, []), "at least one batch; got none"),
        (lambda: stability_ratio(1.0, -0.1), "learning_rate must be at least 0"),
        (lambda: stability_ratio(1.0, 0.1, momentum=2.0), "momentum must lie in"),
        (lambda: stability_ratio(1.0, 0.1, kind="ball"), "unknown kind 'ball'"),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
