"""Cost of `differentiable`: tracing, a forward pass and a reverse pass of Adam.

Run as ``python -m experiments.benchmarks.differentiable``. The bars of the
specification: tracing at most 8 times (aim 4), a forward pass 1.0, a reverse pass at
most 2.2 times that through the original, on 1e6 parameters. Tracing is that of the
whole gradient with respect to the learning rate and the parameters, by new functions
each time, caches of jax cleared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.paired import Ratio, ratio, report
from jaxopt_lab.bilevel import differentiable

Wrap = Callable[[Any], optax.GradientTransformation]
PARAMETERS = 1_000_000


def plain(tx: Any) -> optax.GradientTransformation:
    """The transformation itself."""
    return tx


def one_step(wrap: Wrap) -> Callable[..., jax.Array]:
    """A scalar of one step of Adam.

    Args:
      wrap: around the optimizer.

    Returns:
      ``f(rate, params, gradients, state)``.
    """

    def f(rate: Any, params: Any, gradients: Any, state: Any) -> jax.Array:
        updates, _ = wrap(optax.adam(rate)).update(gradients, state, params)
        new = optax.apply_updates(params, updates)
        return sum((jnp.vdot(x, x) for x in jax.tree.leaves(new)), jnp.zeros(()))

    return f


def arguments(leaves: int, size: int) -> tuple[Any, ...]:
    """A rate, parameters, gradients and a state.

    Args:
      leaves: how many arrays of parameters.
      size: how long each of them is.

    Returns:
      The arguments of a step.
    """
    keys = jax.random.split(jax.random.key(0), leaves)
    params = {str(i): jax.random.normal(k, (size,)) for i, k in enumerate(keys)}
    gradients = jax.tree.map(jnp.sin, params)
    _, state = optax.adam(0.1).update(gradients, optax.adam(0.1).init(params))
    return jnp.asarray(0.1), params, gradients, state


def tracing(leaves: int, lower: bool) -> Ratio:
    """Time of tracing the gradient with ``differentiable`` over that without.

    Args:
      leaves: how many arrays of parameters.
      lower: also make the program for XLA.

    Returns:
      The ratio.
    """
    args = arguments(leaves, 8)

    def run(wrap: Wrap) -> Callable[[], Any]:
        def go() -> Any:
            jax.clear_caches()
            traced = jax.jit(jax.grad(one_step(wrap), (0, 1, 2, 3), allow_int=True))
            traced = traced.trace(*args)
            return traced.lower() if lower else traced

        return go

    return ratio(run(differentiable), run(plain), pairs=6)


def same_program() -> bool:
    """Whether XLA is handed the same text for a forward pass with and without."""
    args = arguments(10, 8)
    texts = [
        jax.jit(one_step(wrap)).lower(*args).as_text()
        for wrap in (differentiable, plain)
    ]
    return texts[0] == texts[1]


def running(reverse: bool) -> Ratio:
    """Time of a compiled pass with ``differentiable`` over that without.

    Args:
      reverse: the gradient by everything, else the value.

    Returns:
      The ratio.
    """
    args = arguments(10, PARAMETERS // 10)

    def run(wrap: Wrap) -> Callable[[], Any]:
        f = one_step(wrap)
        if reverse:
            f = jax.grad(f, (0, 1, 2, 3), allow_int=True)
        compiled = jax.jit(f).lower(*args).compile()
        return lambda: jax.block_until_ready(compiled(*args))

    return ratio(run(differentiable), run(plain), pairs=40)


def main() -> None:
    """Measure and print."""
    report(
        "differentiable",
        {
            "tracing, 12 leaves": tracing(12, lower=False),
            "tracing, 150 leaves": tracing(150, lower=False),
            "tracing and lowering, 12 leaves": tracing(12, lower=True),
            "tracing and lowering, 150 leaves": tracing(150, lower=True),
            "forward programs the same": same_program(),
            "forward, 1e6 parameters": running(reverse=False),
            "reverse, 1e6 parameters": running(reverse=True),
        },
    )


if __name__ == "__main__":
    main()
