"""The adapter to qwix: its products beside ours, and one line without it."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import ProductGrids, QwixGrid, quant_matmul, qwix_model

X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)), jnp.float32)


def test_without_qwix_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "qwix", None)
    with pytest.raises(InputError, match=r"pip install 'jaxopt_lab\[qwix\]'"):
        qwix_model(nnx.Linear(8, 4, rngs=nnx.Rngs(0)), X)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"weights": "int9"}, "unknown weights 'int9'"),
        ({"gradients": "uint8"}, "unknown gradients"),
        ({"weights": None}, "activations=int8 needs weights"),
    ],
)
def test_bad_types(options, words):
    with pytest.raises(InputError, match=words):
        qwix_model(None, X, **options)


@pytest.mark.full
def test_its_integer_products_are_ours_on_the_same_grid():
    """But for the largest value of a row, 127.5 steps: a tie, one step up or down."""
    pytest.importorskip("qwix")
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        model = nnx.Sequential(nnx.Linear(8, 4, rngs=nnx.Rngs(0)))

        @jax.jit
        def native(x):
            return qwix_model(model, x)(x)

        found = native(X)
        kernel = model.layers[0].kernel[...]
        grid = QwixGrid(8)
        wanted = quant_matmul(X, kernel.T, ProductGrids(grid, grid))
        tie = 2.01 * np.abs(X).max() * np.abs(kernel).max() / 127.5
        assert np.abs(found - wanted).max() <= tie
        # Without ties, where no largest value takes part, they are the same.
        assert np.mean(np.abs(found - wanted) < 1e-5) > 0.2
        with pytest.raises(InputError, match="is the path of no module; there are"):
            qwix_model(model, X, match="head")
        with pytest.raises(InputError, match=r"must be an nnx\.Module; got int"):
            qwix_model(3, X)
