"""The mixture by a loop over positions, and mixtures whose experts are merged."""

import functools

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import mixture_of_experts

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 2, 3))
PARAMS = {
    "router": RNG.normal(size=(3, 4)),
    "wi": RNG.normal(size=(4, 3, 5)),
    "wo": RNG.normal(size=(4, 5, 3)),
}


@functools.cache
def found():
    two = [0, 1, 1, 0]
    spread = {n: (PARAMS[n] if n == "router" else PARAMS[n][two]) for n in PARAMS}
    merged = {n: (PARAMS[n] if n == "router" else PARAMS[n][:2]) for n in PARAMS}
    make = functools.partial(mixture_of_experts, 3, experts=4, hidden=5, top=2)
    plain, shared = make(), make(labels=tuple(two))

    @jax.jit
    def run(params, spread, merged, x):
        apply = lambda core, p: core.apply(p, {}, x, train=True)[0]
        return apply(plain, params), apply(plain, spread), apply(shared, merged)

    return run(PARAMS, spread, merged, X)


def test_each_position_by_its_two_experts():
    want = np.zeros_like(X)
    for at in np.ndindex(4, 2):
        logits = X[at] @ PARAMS["router"]
        p = np.exp(logits) / np.exp(logits).sum()
        for e in np.argsort(-p)[:2]:
            inner = np.maximum(X[at] @ PARAMS["wi"][e], 0)
            want[at] += p[e] * inner @ PARAMS["wo"][e]
    np.testing.assert_allclose(found()[0], want, rtol=1e-12, atol=1e-14)


def test_equal_experts_are_one_network():
    _, spread, shared = found()
    np.testing.assert_allclose(shared, spread, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"top": 5}, "at most 4"),
        ({"labels": (0, 1, 2)}, "each of the 4 experts"),
        ({"labels": (0, 2, 2, 0)}, "without a gap"),
        ({"experts": 0}, "experts"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words) as error:
        mixture_of_experts(3, **options)
    assert "\n" not in str(error.value)
