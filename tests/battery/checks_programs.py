"""The same numbers however the update is run: jit, scan, vmap, donated, twice."""

from __future__ import annotations

import unittest

import chex
import jax
import jax.numpy as jnp
import numpy as np

from battery import comparison, problems
from battery.registry import check
from battery.subject import STEPS, Subject, run, step

TIGHT = {"rtol": 1e-11, "atol": 1e-13}


class _Variants(chex.TestCase):
    subject: Subject

    @chex.variants(
        with_jit=True, without_jit=True, with_device=True, without_device=True
    )
    def test_update(self):
        tx = self.subject.tx
        params, batch = problems.params(), problems.batch()
        grads = jax.grad(problems.product)(params, batch)

        @self.variant
        def update(grads, state, params):
            grad_fn = lambda p, i=0: jax.grad(problems.product)(p, batch)
            return tx.update(grads, state, params, grad_fn=grad_fn, value=jnp.ones(()))

        if "shards" in self.subject.row.needs:
            self.skipTest("a plain gradient function has no shards")
        updates, state = update(grads, tx.init(params), params)
        moved = jax.tree.map(lambda p, u: p + u, params, updates)
        comparison.assert_close((moved, state), self.subject.path[0], **TIGHT)


@check()
def jit(subject: Subject) -> None:
    """In and out of jit, on device arrays and on numpy arrays."""
    compiled, _ = subject.compiled
    params = problems.params()
    state = jax.tree.map(jnp.copy, subject.tx.init(params))
    for _ in range(STEPS):
        params, state = compiled(params, state, problems.batch())
    comparison.assert_close((params, state), subject.looped, **TIGHT)
    case = type("_Of", (_Variants,), {"subject": subject})
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun == 4
    for _, trace in result.errors + result.failures:
        raise AssertionError(trace.strip().splitlines()[-1])


@check()
def scan(subject: Subject) -> None:
    """A scan over steps is a loop over steps."""
    params, batch = problems.params(), problems.batch()

    def body(carry, _):
        return step(subject.tx, *carry, batch)[:2], None

    carry = (params, subject.tx.init(params))
    scanned, _ = jax.lax.scan(body, carry, None, length=STEPS)
    comparison.assert_close(scanned, subject.looped, **TIGHT)


@check()
def vmap_seeds(subject: Subject) -> None:
    """Several initial points at once, init included, are a loop over them."""
    shifts = jnp.array([0.0, 0.2])

    def one(shift):
        start = jax.tree.map(lambda p: p + shift, problems.params())
        return run(subject.tx, start, problems.batch(), 2)

    together = jax.vmap(one)(shifts)
    apart = jax.tree.map(lambda *x: jnp.stack(x), *[one(s) for s in shifts])
    comparison.assert_close(together, apart, **TIGHT)


@check()
def vmap_hyper(subject: Subject) -> None:
    """Several values of every numeric hyper-parameter are a loop over them."""
    values = [subject.defaults(), subject.others()]
    stacked = jax.tree.map(lambda *x: jnp.array(x), *values)

    def one(hyper):
        return run(subject.transform(**hyper), problems.params(), problems.batch(), 2)

    together = jax.vmap(one)(stacked)
    apart = jax.tree.map(lambda *x: jnp.stack(x), *[one(v) for v in values])
    comparison.assert_close(together, apart, **TIGHT)


@check()
def recompilation(subject: Subject) -> None:
    """The second call finds the program of the first."""
    chex.clear_trace_counter()
    batch = problems.batch()
    once = jax.jit(
        chex.assert_max_traces(
            lambda params, state: step(subject.tx, params, state, batch)[:2], n=1
        )
    )
    params = problems.params()
    state = subject.tx.init(params)
    for _ in range(2):
        params, state = once(params, state)


@check()
def donation(subject: Subject) -> None:
    """Parameters and state can be given away: used, without a warning, rightly."""
    compiled, said = subject.compiled
    assert not said, said
    params = problems.params()
    state = subject.tx.init(params)
    for _ in range(STEPS):
        given = jax.tree.leaves((params, state))
        params, state = compiled(params, state, problems.batch())
        assert all(leaf.is_deleted() for leaf in given)
    expected = jax.tree.map(np.asarray, comparison.without_keys(subject.looped))
    comparison.assert_close((params, state), expected, **TIGHT)
