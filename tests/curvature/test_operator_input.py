"""Operators: refused input."""

import jax
import jax.numpy as jnp
import optax
import pytest
from support.dense_hessian import Loader

from jaxopt_lab import curvature
from jaxopt_lab.core.errors import InputError

SQUARE = lambda w, x: jnp.mean((x @ w) ** 2)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: curvature.hessian(SQUARE, jnp.ones(2), iter([jnp.ones((3, 2))])),
            "batches must be a list, or an object that can be iterated for every.*"
            "uses up",
        ),
        (
            lambda: curvature.hessian(SQUARE, jnp.ones(2), {"x": jnp.ones((3, 2))}),
            r"a list of batches, \[batch\] for a single one; got a dict",
        ),
        (
            lambda: curvature.hessian(SQUARE, jnp.ones(2), []),
            "batches must hold at least one batch; got none",
        ),
        (
            lambda: curvature.hessian(
                SQUARE, jnp.ones(2), [jnp.ones((3, 2))], reduce="sum"
            ),
            "unknown reduce 'sum'",
        ),
        (
            lambda: curvature.hessian(
                SQUARE,
                jnp.ones(2),
                [jnp.ones((3, 2)), jnp.ones((1, 2))],
                reduce="scan",
            ),
            'reduce="scan" needs batches of equal shapes',
        ),
        (
            lambda: curvature.hessian(
                SQUARE, jnp.ones(2), Loader([jnp.ones((3, 2))]), linearize=True
            ),
            "linearize=True holds all batches: give them as a list",
        ),
        (
            lambda: curvature.hessian(
                SQUARE, jnp.ones(2), [jnp.ones((3, 2))], mask=False
            ),
            "the mask leaves no parameter",
        ),
        (
            lambda: curvature.hessian(SQUARE, jnp.ones(2) + 0j, [jnp.ones((3, 2))]),
            "curvature is defined for real parameters; got complex",
        ),
        (
            lambda: curvature.hessian(
                lambda w, x: x @ w, jnp.ones(2), [jnp.ones((3, 2))]
            ).matvec(jnp.ones(2)),
            r"the loss must be a scalar, a mean over the examples; got shape \(3,\)",
        ),
        (
            lambda: curvature.hessian(SQUARE, jnp.ones(2), [jnp.ones((3, 2))]).matvec(
                jnp.ones(3)
            ),
            r"the vector does not fit the operator: .*float64\[2\], got float64\[3\]",
        ),
        (
            lambda: curvature.hessian(
                lambda w, b: jnp.mean((b[0] @ w) ** 2),
                jnp.ones(2),
                [(jnp.ones((3, 2)), jnp.ones(())), (jnp.ones((2, 2)), jnp.ones(()))],
            ).matvec(jnp.ones(2)),
            "must share their leading axis, the examples, or give example_weights=",
        ),
        (
            lambda: curvature.empirical_fisher(
                SQUARE, jnp.ones(2), [jnp.ones((3, 2))]
            ).matvec(jnp.ones(2)),
            r"one loss for each example, \(3,\); got shape \(\)",
        ),
        (
            lambda: curvature.fisher(
                lambda w, x: x @ w, jnp.ones(2), [jnp.ones((3, 2))], jax.random.key(0)
            ).matvec(jnp.ones(2)),
            r"\(examples, outputs\) with examples = \(3,\); got \(3,\)",
        ),
        (
            lambda: curvature.fisher(
                SQUARE,
                jnp.ones(2),
                [jnp.ones((3, 2))],
                jax.random.key(0),
                likelihood="poisson",
            ),
            "unknown likelihood 'poisson'",
        ),
        (
            lambda: curvature.fisher(
                SQUARE,
                jnp.ones(2),
                [jnp.ones((3, 2))],
                jax.random.key(0),
                num_samples=0,
            ),
            "num_samples must be a whole number of at least 1; got 0",
        ),
        (
            lambda: curvature.linear_operator(lambda v: v, jnp.ones(2, jnp.bfloat16)),
            "vectors must be of float32 or float64; got bfloat16 at the only leaf",
        ),
        (
            lambda: curvature.preconditioned(
                curvature.linear_operator(lambda v: v, jnp.ones(2)), jnp.zeros(2)
            ),
            "diagonal must be positive; its smallest entry is 0.0",
        ),
        (
            lambda: curvature.preconditioned(
                curvature.linear_operator(lambda v: v, jnp.ones(2)), jnp.ones(3)
            ),
            r"diagonal does not fit the operator: expected shape \(2,\), got \(3,\)",
        ),
        (
            lambda: curvature.preconditioned(
                curvature.linear_operator(lambda v: v, {"a": jnp.ones(2)}),
                {"b": jnp.ones(2)},
            ),
            "diagonal does not fit the operator: a: missing",
        ),
        (
            lambda: curvature.adam_diagonal(optax.sgd(0.1).init(jnp.ones(2))),
            "opt_state must hold the state of one optax.scale_by_adam; found 0",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_traced_mask_is_refused():
    @jax.jit
    def product(m):
        h = curvature.hessian(SQUARE, jnp.ones(2), [jnp.ones((3, 2))], mask=m)
        return h.matvec(jnp.ones(2))

    with pytest.raises(InputError, match="mask must be known at trace time"):
        product(True)
