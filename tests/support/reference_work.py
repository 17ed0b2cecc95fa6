"""A fixed piece of work, to measure processor time in: tracing and compiling.

``python -m support.reference_work`` prints the seconds of processor time that it took.
It stays as it is: limits are in units of it.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np

_PROGRAMS = 1
_ARRAYS = 6


def work() -> float:
    """A sum of what the programs computed, so that nothing is left out."""
    total = 0.0
    for width in range(3, 3 + _PROGRAMS):

        def loss(weights, x):
            for w in weights:
                x = jnp.tanh(x @ w) + jax.nn.softmax(x, axis=-1)
            return jnp.mean(x**2)

        def train(weights, x):
            def step(w, _):
                return jax.tree.map(lambda a, g: a - g, w, jax.grad(loss)(w, x)), None

            return jax.lax.scan(step, weights, None, length=3)[0]

        random = np.random.default_rng(width)
        weights = [jnp.asarray(random.normal(size=(width, width))) for _ in range(4)]
        outer = jax.jit(jax.value_and_grad(lambda w, x: loss(train(w, x), x)))
        total += float(outer(weights, jnp.ones((5, width)))[0])
    for length in range(1, _ARRAYS + 1):
        x = jnp.ones(length)
        total += float(jnp.sum(jnp.sqrt(x) * jnp.cumsum(x) - jnp.flip(x)))
    return total


if __name__ == "__main__":
    begin = time.process_time()
    work()
    print(time.process_time() - begin)
