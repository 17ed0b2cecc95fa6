"""The audit of 36 optimizers of optax (and one clipping) of the specification.

Three steps in float64; derivatives by the learning rate and by every initial
parameter. 0 ordinary, 1 a leaf with constant zero gradients, 2 a product ``a * b``
with ``b = 0``, 3 all parameters zero.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import audit, cases

from jaxopt_lab.bilevel import differentiable

# The specification ran these in case 2 only, where they are finite here too: the root
# of a squared norm of a whole leaf, whose gradient is zero.
NOT_RUN = {"lars": (1,), "novograd": (3,), "adafactor": (3,)}


@functools.cache
def _program(name, idle):
    def both(rate, params):
        make = audit.AUDIT[name].make
        return [
            jax.value_and_grad(audit.outer(m, idle), (0, 1), has_aux=True)(rate, params)
            for m in (make, lambda rate: differentiable(make(rate)))
        ]

    return jax.jit(both)


def _gradients(name, case):
    """``(values, gradients)`` of the original and of the safe one, as rows."""
    program = _program(name, audit.idle_in(case))
    results = program(jnp.float64(audit.AUDIT[name].rate), audit.start(case))
    return [tuple(map(audit.flat, one)) for one in results]


def test_thirty_six_and_a_clipping():
    assert len(audit.AUDIT) == 37


@pytest.mark.full
@pytest.mark.parametrize("name", cases.plain(audit.AUDIT, {"adam"}))
def test_derivatives(name):
    for case, title in enumerate(audit.CASES):
        (values, original), (same, safe) = _gradients(name, case)
        assert np.all(np.isfinite(values)), title
        assert np.all(np.isfinite(safe)), title
        known = np.isfinite(original)
        np.testing.assert_allclose(
            safe[known], original[known], rtol=1e-9, atol=1e-9, err_msg=title
        )
        # In one program, as the specification compares them. In a program of its own
        # each is fused with its own reverse pass, and the last bit may differ from
        # that of the forward pass alone; AdaMax's, the original's, does even here.
        close = 1e-15 if name == "adamax" else 0
        np.testing.assert_allclose(same, values, rtol=close, atol=0, err_msg=title)
        expected = audit.AUDIT[name].nan + NOT_RUN.get(name, ())
        assert np.all(known) == (case not in expected), title


# LAMB and Muon normalise what Adam has normalised: at zero parameters they bend within
# 1e-11, and there is no finite difference to compare with.
@pytest.mark.full
@pytest.mark.parametrize(
    "name, case",
    [(n, c) for n in ("adam", "ademamix", "madgrad") for c in (2, 3)]
    + [("lamb", 2), ("muon", 2)],
)
def test_a_number_below_the_roots_makes_small_true_slopes(name, case):
    f = audit.outer(lambda r: differentiable(audit.AUDIT[name].make(r), eps_root=1e-8))
    flat, unravel = jax.flatten_util.ravel_pytree((jnp.float64(0), audit.start(case)))
    value = jax.jit(lambda x: f(*unravel(x))[0])
    slopes = jax.jit(jax.grad(lambda x: f(*unravel(x))[0]))
    # A slope of 1e4 in each step, times the rate and the curvature of the loss.
    assert np.max(np.abs(slopes(flat.at[0].set(1e-2)))) < 1e6
    flat = flat.at[0].set(1e-3)
    for i, exact in enumerate(np.asarray(slopes(flat))):
        way = jnp.zeros_like(flat).at[i].set(1.0)
        measured = audit.central(value, flat, way, 1e-8)
        assert abs(measured - exact) <= 1e-6 * max(abs(exact), 1.0), (i, exact)


@pytest.mark.full
def test_a_number_below_the_roots_is_that_of_adam():
    params = audit.start(0)
    ours = differentiable(optax.adam(0.1), eps_root=1e-3)
    theirs = optax.adam(0.1, eps_root=1e-3)
    a, b = (jax.jit(lambda p, tx=tx: audit.run(tx, p))(params) for tx in (ours, theirs))
    np.testing.assert_array_equal(audit.flat(a), audit.flat(b))
    eager = audit.run(ours, params)
    np.testing.assert_allclose(audit.flat(eager), audit.flat(b), rtol=1e-14)
