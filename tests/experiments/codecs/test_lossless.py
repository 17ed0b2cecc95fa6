"""The coder of probabilistic circuits: lossless on every input, sizes, likelihoods."""

import itertools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.codecs.chow_liu import chow_liu_tree
from experiments.codecs.circuit import (
    Circuit,
    fit_circuit,
    init_circuit,
    log_likelihood,
)
from experiments.codecs.conditionals import Conditionals, linear
from experiments.codecs.pmf_tables import integer_tables
from experiments.codecs.range_coder import Decoder, encode
from experiments.codecs.stream import (
    compress,
    decompress,
    pack_circuit,
    sizes,
    unpack_circuit,
)
from jaxopt_lab.core.errors import InputError

SETTINGS = {
    "deadline": None,
    "max_examples": 40,
    "database": None,
    "derandomize": True,
}
SYMBOLS = st.integers(0, 3)
KEY = jax.random.key(0)
PARENTS = np.array([1, -1, 1, 2, 2])


def random_circuit(seed=0, states=3, classes=4, zeros=False):
    rng = np.random.default_rng(seed)

    def probabilities(shape):
        p = rng.dirichlet(0.5 * np.ones(shape[-1]), size=shape[:-1])
        if zeros:
            p[p < 0.1] = 0
            p /= p.sum(-1, keepdims=True)
        with np.errstate(divide="ignore"):
            return np.log(p).astype(np.float32)

    edges = probabilities((5, states, states))
    edges[1] = edges[1, :1]
    return Circuit(PARENTS, edges, probabilities((5, states, classes)))


CIRCUIT, HARD = random_circuit(), random_circuit(1, zeros=True)
EVERY = np.array(list(itertools.product(range(4), repeat=5)))


@hypothesis.settings(**SETTINGS)
@hypothesis.given(
    arrays(
        np.int64, st.tuples(st.integers(0, 6), st.just(5)), elements=st.integers(0, 3)
    ),
    st.sampled_from([2, 5, 16, 24, 28]),
    st.booleans(),
)
def test_every_input_comes_back(data, precision, hard):
    """Likely or impossible, at any precision that has a place for each symbol."""
    circuit = HARD if hard else CIRCUIT
    stream = compress(circuit, data, precision=precision)
    found = decompress(unpack_circuit(pack_circuit(circuit)), stream)
    np.testing.assert_array_equal(found, data)
    for cut in range(0, len(stream), max(1, len(stream) // 7)):
        with pytest.raises(InputError, match="cut") as raised:
            decompress(circuit, stream[:cut])
        assert "\n" not in str(raised.value)


@hypothesis.settings(**SETTINGS)
@hypothesis.given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 9)),
        elements=st.floats(allow_nan=True, allow_infinity=True),
    ),
    st.integers(4, 28),
)
def test_tables_give_every_symbol_a_place(pmf, precision):
    ends = integer_tables(pmf, precision)
    assert np.all(ends[:, 0] == 0) and np.all(ends[:, -1] == 1 << precision)
    assert np.all(np.diff(ends) >= 1)


def test_probabilities_are_those_of_the_sum_over_states():
    """By brute force over the states of five variables, which add up to 1."""
    edges, leaves = (np.exp(x.astype(float)) for x in CIRCUIT[1:])
    total = np.zeros(len(EVERY))
    for z in itertools.product(range(3), repeat=5):
        p = np.ones(len(EVERY))
        for i, parent in enumerate(PARENTS):
            p = p * edges[i, z[parent] if parent >= 0 else 0, z[i]]
            p = p * leaves[i, z[i], EVERY[:, i]]
        total += p
    wide = Circuit(PARENTS, *(jnp.asarray(x, float) for x in CIRCUIT[1:]))
    found = jax.jit(lambda x: log_likelihood(wide, x))(EVERY)
    np.testing.assert_allclose(np.exp(found), total, rtol=1e-10)
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-6)
    # One after the other, the coder's own arithmetic gives the same.
    known = Conditionals(*linear(CIRCUIT), PARENTS, len(EVERY))
    product, rows = np.ones(len(EVERY)), np.arange(len(EVERY))
    for variable in known.order:
        pmf = known.pmf(variable)
        product *= pmf[rows, EVERY[:, variable]] / pmf.sum(1)
        known.give(variable, EVERY[:, variable])
    np.testing.assert_allclose(product, total, rtol=1e-5)  # probabilities of float32


def test_sizes_are_counted_and_near_the_entropy():
    one, stream = EVERY[17:18], None
    for data in (one, EVERY[::7], EVERY):
        stream = compress(CIRCUIT, data)
        counted = sizes(CIRCUIT, data, stream)
        assert 8 * len(stream) == counted.coded + counted.head + counted.header
        assert counted.model == 8 * len(pack_circuit(CIRCUIT))
        used = counted.coded + counted.head
        assert used <= counted.ideal + 64
    assert counted.coded <= 1.01 * counted.ideal
    likelihood = jax.jit(lambda x: log_likelihood(CIRCUIT, x).sum())(data)
    np.testing.assert_allclose(counted.ideal, -likelihood / np.log(2), rtol=1e-5)


def test_streams_that_are_not_whole_say_so():
    data = EVERY[::3]
    stream = compress(CIRCUIT, data)
    flipped = bytearray(stream)
    flipped[-3] ^= 4
    packed = pack_circuit(CIRCUIT)
    for call, words in (
        (lambda: decompress(CIRCUIT, stream[:-1]), "cut"),
        (lambda: decompress(CIRCUIT, stream + b"0"), "too long"),
        (lambda: decompress(CIRCUIT, bytes(flipped)), "damaged"),
        (lambda: decompress(CIRCUIT, b"P" + stream), "no stream"),
        (lambda: decompress(random_circuit(5), stream), "another model|of another"),
        (lambda: unpack_circuit(packed[:-2]), "cut"),
        (lambda: compress(CIRCUIT, data + 1), "symbols must be"),
        (lambda: compress(CIRCUIT, data.astype(float)), "integers"),
        (lambda: compress(CIRCUIT, data[:, :4]), "of 5 variables"),
        (lambda: compress(CIRCUIT, data, precision=1), "do not fit"),
        (lambda: compress(CIRCUIT, data, precision=29), "precision must"),
        (lambda: encode([3], [2], 2), "not in"),
        (lambda: Decoder(b"123", 8), "cut"),
        (lambda: chow_liu_tree(data[:0], 4), "not empty"),
        (
            lambda: init_circuit(
                jax.random.key(0), np.zeros(2, int), states=2, classes=2
            ),
            "tree",
        ),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.full
def test_a_fitted_circuit_is_better_than_independent_variables():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, (300, 1))
    data = np.concatenate([first, first, 1 - first, rng.integers(0, 2, (300, 1))], 1)
    data = np.where(rng.random(data.shape) < 0.05, 1 - data, data)
    fitted, history = fit_circuit(
        jax.random.key(0), data, classes=2, states=2, steps=40
    )
    assert np.all(np.diff(history) > -1e-3)
    share = data.mean(0)
    alone = -np.sum(share * np.log2(share) + (1 - share) * np.log2(1 - share)) * 300
    stream = compress(fitted, data)
    np.testing.assert_array_equal(decompress(fitted, stream), data)
    assert sizes(fitted, data, stream).coded < 0.75 * alone
