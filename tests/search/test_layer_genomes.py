"""Genomes of layers: hand-written ones are the layers, one program has them all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import Choice, regularized_evolution
from jaxopt_lab.search.layer_genomes import (
    EPS,
    OPS,
    apply_genome,
    as_genome,
    genome_of,
    genome_params,
    genome_space,
    reads_input,
)

X = np.random.default_rng(0).normal(0.5, 2.0, (3, 4, 4, 4))
KEYS = [jax.random.wrap_key_data(np.array([0, i], np.uint32)) for i in range(30)]
NODES = 6


def padded(*nodes):
    """The genome with nodes of no use before it, so that all have one shape."""
    idle = [("add", "zero", "zero")] * (NODES - len(nodes))
    moved = [
        (op, *(p + len(idle) if isinstance(p, int) else p for p in places))
        for op, *places in nodes
    ]
    return genome_of(*idle, *moved)


BN_RELU = padded(
    ("mean_bhw", "x", "x"),
    ("neg", 0, 0),
    ("add", "x", 1),
    ("std_bhw", "x", "x"),
    ("div", 2, 3),
    ("max", 4, "zero"),
)
S0 = padded(
    ("mul", "x", "v1"),
    ("sigmoid", 0, 0),
    ("mul", "x", 1),
    ("std_hwg", "x", "x"),
    ("div", 2, 3),
)
B0 = padded(
    ("mul", "x", "v1"),
    ("std_hw", "x", "x"),
    ("add", 0, 1),
    ("std_bhw", "x", "x"),
    ("max", 2, 3),
    ("div", "x", 4),
)
run = jax.jit(lambda genome, params, x: apply_genome(genome, params, x, groups=2))
PARAMS = {n: p + 0.1 for n, p in genome_params(4, jnp.float64).items()}


def deviation(x, axes):
    return np.sqrt(np.var(x, axis=axes, keepdims=True) + EPS)


def test_genomes_written_by_hand_are_the_layers_in_one_program():
    v, affine = 1.1, lambda y: y * 1.1 + 0.1
    batch = deviation(X, (0, 1, 2))
    relu = np.maximum((X - X.mean((0, 1, 2), keepdims=True)) / (batch + EPS), 0)
    grouped = X.reshape(3, 4, 4, 2, 2)
    group = np.broadcast_to(deviation(grouped, (1, 2, 4)), grouped.shape)
    s0 = X / (1 + np.exp(-v * X)) / (group.reshape(X.shape) + EPS)
    b0 = X / (np.maximum(batch, v * X + deviation(X, (1, 2))) + EPS)
    before = run._cache_size()
    for genome, wanted in ((BN_RELU, relu), (S0, s0), (B0, b0)):
        got = run(genome, PARAMS, X)
        np.testing.assert_allclose(got, affine(wanted), rtol=1e-12, atol=1e-13)
    assert run._cache_size() <= before + 1


def test_without_batch_axes_examples_are_independent():
    space = genome_space(NODES, batch_axes=False)
    names = {OPS[op] for op, _, _ in space["node_5"].values}
    assert names == {name for name in OPS if not name.endswith("bhw")}
    for u in (0.9, 0.5, 0.2):
        genome = as_genome({name: node.at(u) for name, node in space.items()})
        whole = np.asarray(run(genome, PARAMS, X))
        changed = np.concatenate([X[:1], X[1:] + 1])
        np.testing.assert_array_equal(run(genome, PARAMS, changed)[:1], whole[:1])


def test_a_child_differs_in_one_node():
    search = regularized_evolution(genome_space(NODES), population=1)
    state = search.init()
    first = search.ask(state, KEYS[0])
    state = search.tell(state, first, 0.5)
    for key in KEYS[1:]:
        child = as_genome(search.ask(state, key))
        assert np.sum(np.any(child != as_genome(first), axis=1)) <= 1


def test_genomes_that_ignore_their_input_are_seen():
    assert reads_input(BN_RELU) and reads_input(S0) and reads_input(B0)
    assert not reads_input(genome_of(("mul", "v0", "v1"), ("exp", 0, 0)))
    # A function of one value does not read the second.
    assert not reads_input(genome_of(("exp", "v0", "x")))
    assert reads_input(genome_of(("add", "v0", "x")))


def test_derivatives_at_zeros_are_finite():
    each = [genome_of((op, "x", "v1")) for op in OPS]
    slope = jax.jit(
        jax.vmap(
            jax.grad(lambda x, g: jnp.sum(apply_genome(g, PARAMS, x, groups=2))),
            in_axes=(None, 0),
        )
    )(np.zeros((2, 2, 2, 4)), np.stack(each))
    assert np.all(np.isfinite(slope))


def test_what_does_not_fit():
    with pytest.raises(InputError, match="node 0 must be one of 24 operations of"):
        as_genome({"node_0": (0, 4, 0)})
    with pytest.raises(InputError, match=r"channels groups=3 divides; got \(3, 4"):
        apply_genome(S0, PARAMS, X, groups=3)
    with pytest.raises(InputError, match="nodes must be a whole number of at least 1"):
        genome_space(0)
    assert isinstance(genome_space(1)["node_0"], Choice)
