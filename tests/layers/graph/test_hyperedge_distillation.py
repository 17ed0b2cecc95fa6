"""LightHGNN: divergences and reliabilities in NumPy, and a student that learns."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    hyperedge_consistency,
    hyperedge_means,
    hyperedge_reliability,
    hypergraph_conv,
    make_hypergraph,
    node_distillation,
)
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
N, M, C, F = 7, 4, 3, 5
MEMBERS = [[0, 1, 2], [2, 3, 4, 5], [6], []]
PAIRS = make_hypergraph(
    [i for own in MEMBERS for i in own],
    [e for e, own in enumerate(MEMBERS) for _ in own],
    N,
    M,
)
STUDENT: Any = RNG.normal(size=(N, C))
TEACHER: Any = RNG.normal(size=(N, C)) * 2
X: Any = RNG.normal(size=(N, F))
W = RNG.normal(size=(F, C))
LAYER = hypergraph_conv(F, units=C, param_dtype=jnp.float64)


def softmax(z):
    size = np.exp(z - z.max(-1, keepdims=True))
    return size / size.sum(-1, keepdims=True)


def divergence(p, q):
    return (p * (np.log(p) - np.log(q))).sum(-1)


def means(values):
    whole = [values[own].mean(0) if own else 0 * values[0] for own in MEMBERS]
    return np.stack(whole)


@functools.cache
def found():
    """Everything that is compared, in one program."""

    def run(student, teacher, x):
        key, other = jax.random.key(1), student + jnp.arange(N * 1.0)[:, None]
        slopes = jax.grad(
            lambda s, t: jnp.sum(hyperedge_consistency(s, t, PAIRS)), argnums=(0, 1)
        )
        masked = PAIRS._replace(mask=np.arange(len(PAIRS.nodes)) != 0)
        extreme = jnp.array([[900.0, 0, 0]] * N)
        return {
            "means": hyperedge_means(x, PAIRS),
            "masked": hyperedge_means(x.at[0].set(jnp.nan), masked),
            "nodes": node_distillation(student, teacher),
            "same": node_distillation(other, student),
            "edges": [
                hyperedge_consistency(student, teacher, PAIRS, order=order)
                for order in ("mean_of_softmax", "softmax_of_mean")
            ],
            "same_edges": hyperedge_consistency(other, student, PAIRS),
            "slopes": slopes(student, teacher),
            "extreme": hyperedge_consistency(-extreme, extreme, PAIRS),
            "noise": jax.random.normal(key, x.shape, x.dtype),
            "reliable": [
                hyperedge_reliability(key, lambda z: z @ W, x, PAIRS, noise_level=level)
                for level in (0.5, 0.0)
            ],
        }

    return jax.tree.map(np.asarray, jax.jit(run)(STUDENT, TEACHER, X))


def test_means_are_over_the_nodes_of_each_hyperedge():
    np.testing.assert_allclose(found()["means"], means(X), rtol=1e-12)
    np.testing.assert_allclose(found()["masked"][0], X[1:3].mean(0), rtol=1e-12)


def test_divergences_are_those_of_the_definition():
    q, p = softmax(STUDENT), softmax(TEACHER)
    np.testing.assert_allclose(found()["nodes"], divergence(p, q), rtol=1e-12)
    mean, of_mean = found()["edges"]
    np.testing.assert_allclose(
        mean[:3], divergence(means(p)[:3], means(q)[:3]), rtol=1e-11
    )
    own = (softmax(means(z))[:3] for z in (TEACHER, STUDENT))
    np.testing.assert_allclose(of_mean[:3], divergence(*own), rtol=1e-11)
    assert mean[3] == of_mean[3] == 0
    # The hyperedge of one node is that node.
    np.testing.assert_allclose([mean[2], of_mean[2]], found()["nodes"][6], rtol=1e-11)


def test_they_are_zero_where_student_and_teacher_agree():
    assert np.abs(found()["same"]).max() < 1e-14
    assert np.abs(found()["same_edges"]).max() < 1e-14
    slope, teacher = found()["slopes"]
    assert np.isfinite(slope).all() and np.abs(slope).max() > 1e-3
    assert not teacher.any()
    assert np.isfinite(found()["extreme"]).all() and found()["extreme"][0] > 100


def test_reliability_is_how_little_entropies_change():
    entropy = lambda x: -(softmax(x @ W) * np.log(softmax(x @ W))).sum(-1)
    noisy = X * (1 + 0.5 * found()["noise"])
    delta = np.abs(means(entropy(noisy)[:, None]) - means(entropy(X)[:, None]))[:, 0]
    found_p, still = found()["reliable"]
    np.testing.assert_allclose(found_p, 1 - delta / delta.max(), rtol=1e-9, atol=1e-12)
    assert found_p.min() == 0 and found_p.max() <= 1
    np.testing.assert_array_equal(still, 1)


@pytest.mark.full
def test_a_student_of_features_alone_learns_from_a_teacher_of_the_hypergraph():
    def loss_fn(params, state, batch, key):
        logits = jnp.tanh(batch["x"] @ params["in"]) @ params["out"]
        drawn = jax.random.bernoulli(key, batch["p"])
        edges = hyperedge_consistency(logits, batch["teacher"], PAIRS)
        kept = jnp.sum(jnp.where(drawn, edges, 0)) / jnp.maximum(drawn.sum(), 1)
        nodes = jnp.mean(node_distillation(logits, batch["teacher"]))
        return nodes + kept, (state, {"nodes": nodes})

    tx = optax.adam(0.05)

    @jax.jit
    def run(x):
        start = LAYER.init(jax.random.key(0))[0]
        predict = lambda z: 3 * LAYER.apply(start, {}, (z, PAIRS), train=False)[0]
        p = hyperedge_reliability(jax.random.key(2), predict, x, PAIRS)
        batch = {"x": x, "teacher": predict(x), "p": p}
        keys = jax.random.split(jax.random.key(3))
        params = {
            "in": jax.random.normal(keys[0], (F, 16), x.dtype),
            "out": jax.random.normal(keys[1], (16, C), x.dtype) / 4,
        }
        state = init_state(tx, params, jax.random.key(4))
        step = make_train_step(loss_fn, tx)
        return jax.lax.scan(lambda s, _: step(s, batch), state, length=150)[1]["nodes"]

    losses = np.asarray(run(jnp.asarray(X)))
    assert losses[-1] < 0.05 * losses[0]


def test_bad_input():
    with pytest.raises(InputError, match="must both be"):
        node_distillation(STUDENT, TEACHER[:, :2])
    with pytest.raises(InputError, match="order"):
        hyperedge_consistency(STUDENT, TEACHER, PAIRS, order="other")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="nodes must name nodes from 0 to 5; got 6"):
        hyperedge_means(X[:6], PAIRS)
