"""Programs as text: round trips, equal texts for equal computations, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    graph_text,
    hashed_ngrams,
    program_graph,
    program_text,
    text_graph,
)


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, np.float32)


X, W, IMAGE, KERNEL = shape(4, 6), shape(6, 3), shape(2, 8, 8, 3), shape(3, 3, 3, 5)


def dense(x, w):
    h = jax.nn.relu(x @ w)
    return jax.nn.softmax(h) + h


def conv(x, k, stride=1, padding="SAME"):
    return jax.lax.conv_general_dilated(
        x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def loop(x, w):
    def body(h, _):
        return jnp.tanh(h), jnp.sum(h)

    h, sums = jax.lax.scan(body, x @ w, None, length=3)
    return jax.lax.cond(sums[0] > 0, jnp.sin, jnp.cos, h)


PROGRAMS = {
    "dense": (dense, X, W),
    "conv": (lambda x, k: jax.nn.gelu(conv(x, k)).mean((1, 2)), IMAGE, KERNEL),
    "loop": (loop, X, W),
    "split": (lambda x: jnp.concatenate(jnp.split(x, 2, 1)[::-1], 1), X),
    "slope": (jax.grad(lambda w, x: jnp.sum(dense(x, w) ** 2)), W, X),
    "constant": (lambda x: (x + np.arange(6, dtype=np.float32)[None], 1.0), X),
    "same": (lambda x, w: x, X, W),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_text_gives_the_graph_that_gives_the_text(name):
    text = program_text(*PROGRAMS[name])
    graph = text_graph(text)
    assert graph_text(graph) == text
    whole = program_graph(*PROGRAMS[name])
    assert sorted(op.name for op in graph.operations) == sorted(
        op.name for op in whole.operations
    )
    assert graph.inputs == whole.inputs
    assert all("0x" not in op.settings for op in graph.operations)


def test_equal_computations_have_one_text():
    plain = program_text(dense, X, W)
    assert program_text(jax.jit(dense), X, W) == plain

    def renamed(a, b):
        unused = jnp.sin(a)
        del unused
        inner = jax.jit(lambda p, q: p @ q)(a, b)
        first = jax.nn.relu(inner)
        second = jax.jit(jax.nn.softmax)(first)
        return second + first

    assert program_text(renamed, X, W) == plain


def test_other_settings_are_other_texts():
    programs = [
        *((lambda x, k, s=s: conv(x, k, s)) for s in (1, 2)),
        lambda x, k: conv(x, k, 1, "VALID"),
        *((lambda x, k, a=a: jnp.sum(conv(x, k), a)) for a in (1, 3)),
        *((lambda x, k, c=c: jax.nn.leaky_relu(conv(x, k), c)) for c in (0.1, 0.2)),
        *(
            (lambda x, k, c=c: conv(x, k) * np.full((1, 1, 1, 5), c, np.float32))
            for c in (1.5, 2.5)
        ),
    ]
    texts = [program_text(fn, IMAGE, KERNEL) for fn in programs]
    assert len(set(texts)) == len(texts)


def test_names_are_of_values_that_are_read_again_or_together():
    f = lambda x: jnp.cos(jnp.sin(jnp.exp(x))) * jnp.tanh(x)
    lines = program_text(f, X).splitlines()
    assert len(lines) == 1 + 3 + 1 and lines[1].count(" --> ") == 2
    assert lines[-1] == "out v2"


def test_ngrams_are_counts_in_a_hash():
    one, two = hashed_ngrams("sin cos sin"), hashed_ngrams("sin cos sin")
    np.testing.assert_array_equal(one, two)
    assert abs(np.linalg.norm(one) - 1) < 1e-6
    counts = np.sort(hashed_ngrams("sin cos sin", longest=1))[::-1][:2]
    np.testing.assert_allclose(counts, np.array([2, 1]) / np.sqrt(5), rtol=1e-6)
    assert not hashed_ngrams("").any()


def test_bad_text():
    for text in ("in0: float32[2]", "v0 sin\nout v0", "v0 = sin\nout v0"):
        with pytest.raises(InputError):
            text_graph(text)
    with pytest.raises(InputError, match="must be a whole number of at least 1"):
        hashed_ngrams("a", size=0)
