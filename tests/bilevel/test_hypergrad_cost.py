"""hypergrad: bytes of the compiled programs, by mode and number of steps."""

import functools

import jax
import jax.numpy as jnp
import pytest
from support import unrolled

from jaxopt_lab.bilevel import InnerProblem, hypergrad
from jaxopt_lab.core import trees

pytestmark = pytest.mark.full
THETA = {"lr": jnp.float32(1e-3)}


@functools.cache
def start():
    return unrolled.adam_start(unrolled.net(64, jax.random.key(0)))


def bytes_of(mode, n, **options):
    """In carries: temporary bytes of Adam's hypergradient by its learning rate."""
    batch = unrolled.data()

    def objective(theta, w):
        return unrolled.loss_fn(w, batch) + 1e-3 * trees.global_norm(w) ** 2

    inner = InnerProblem(
        init=lambda theta: start(),
        step=lambda theta, c, t: unrolled.adam_step(theta["lr"], batch)(c, t),
        n=n,
        read=lambda c: c[0],
        objective=objective,
    )
    run = lambda theta: hypergrad(
        lambda theta, w: unrolled.loss_fn(w, batch),
        inner,
        theta,
        mode=mode,
        allow_unused=True,
        **options,
    )
    return unrolled.temporary_bytes(run, THETA) / trees.nbytes(start())


def test_forward_mode_for_one_number():
    assert bytes_of("forward", 1000) * trees.nbytes(start()) <= 0.35e6


@pytest.mark.parametrize("mode", ["forward", "one_step", "implicit_cg"])
def test_bytes_do_not_grow_with_the_steps(mode):
    assert bytes_of(mode, 1000) == bytes_of(mode, 100) <= 6


def test_a_pair_takes_four_carries():
    few, many = (
        bytes_of("es", 10, key=jax.random.key(0), sigma=0.1, pairs=pairs)
        for pairs in (4, 8)
    )
    assert 3.5 < (many - few) / 4 < 4.5


def test_reverse_takes_the_roots_carries():
    # Lengths 25 and 40 of a thousand steps, 10 and 10 of a hundred.
    grown = bytes_of("reverse", 1000) - bytes_of("reverse", 100)
    assert 44 < grown < 46


def test_a_budget_chooses_the_levels():
    size = trees.nbytes(start())
    wide = bytes_of("reverse", 1000, remat="auto")
    narrow = bytes_of("reverse", 1000, remat="auto", budget=80 * size)
    assert wide > 1000 and narrow == bytes_of("reverse", 1000) < 80
