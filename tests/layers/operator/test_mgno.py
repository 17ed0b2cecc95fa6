"""The multigrid operator against cycles and point-wise maps one by one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import mgno, multigrid_cycle

RNG = np.random.default_rng(0)
SIZES: Any = {"levels": 2, "pre": 1, "post": 1, "coarsest": 1}
RULES: Any = {"boundary": "periodic", "correction": "residual"}


@pytest.mark.full
def test_it_is_the_formula_and_wraps():
    net = mgno(2, out=1, width=3, depth=2, **SIZES, **RULES)
    shapes = jax.eval_shape(net.init, jax.random.key(0))[0]
    params = {n: 0.4 * RNG.normal(size=s.shape) for n, s in shapes.items()}
    f = RNG.normal(size=(2, 4, 6, 2))

    @jax.jit
    def run(params, f):
        call = lambda f: net.apply(params, {}, f, train=True)[0]
        cycles = []
        for i in range(2):
            prefix = f"cycle_{i}_"
            own = {n[8:]: v for n, v in params.items() if n.startswith(prefix)}
            basis = jnp.eye(4 * 6 * (2 + i)).reshape(-1, 4, 6, 2 + i)
            cycles.append(multigrid_cycle(own, basis, **SIZES, **RULES))
        return call(f), call(jnp.roll(f, (2, 4), (1, 2))), cycles

    y, moved, cycles = jax.device_get(run(params, f))
    u = f
    for i, responses in enumerate(cycles):
        # The cycle is linear: its responses to every unit are its matrix.
        cycle = u.reshape(2, -1) @ responses.reshape(len(responses), -1)
        z = cycle.reshape(2, 4, 6, 3) + u @ params[f"point_{i}"] + params[f"bias_{i}"]
        u = z * (1 + erf(z / np.sqrt(2))) / 2
    np.testing.assert_allclose(y, u @ params["out"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(moved, np.roll(y, (2, 4), (1, 2)), atol=1e-12)


def test_bad_input():
    for x, words in ((jnp.ones((2, 4, 2)), "functions"), (jnp.ones((1, 4, 4, 1)), "2")):
        with pytest.raises(InputError, match=words):
            mgno(2, depth=0).apply({}, {}, x, train=True)
    with pytest.raises(InputError, match="grids of 16 n points"):
        net = mgno(1, depth=1, width=1)
        params = jax.eval_shape(net.init, jax.random.key(0))[0]
        call = lambda p: net.apply(p, {}, jnp.ones((1, 8, 8, 1)), train=True)
        jax.eval_shape(call, params)
