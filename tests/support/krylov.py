"""Running Lanczos in both of its forms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab import curvature

KEY = jax.random.key(0)
BOTH = pytest.mark.parametrize("traced", [False, True], ids=["host", "traced"])
WIDTHS = pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])


def run(
    operator: curvature.Operator, steps: int, traced: bool, **options: Any
) -> curvature.LanczosResult:
    """The result with the padding of the traced form cut off."""
    r = curvature.lanczos(operator, KEY, steps, traced=traced, **options)
    n = int(r.valid)
    assert int(r.matvecs) == n
    cut = {f: np.asarray(getattr(r, f))[:n] for f in ("alphas", "betas", "values")}
    cut |= {f: np.asarray(getattr(r, f))[:n] for f in ("weights", "residuals")}
    np.testing.assert_array_equal(np.asarray(r.values)[n:], cut["values"][-1])
    np.testing.assert_array_equal(np.asarray(r.weights)[n:], 0)
    assert np.isclose(cut["weights"].sum(), 1, atol=1e-5)
    return r._replace(**cut)
