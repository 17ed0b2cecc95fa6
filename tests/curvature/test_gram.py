"""gram: against dense Jacobians and Hessians, chunks, dtypes, sharded parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.stability.gram import (
    ggn_factors,
    ggn_hessians,
    gram_matrix,
    output_factor,
)

DRAW = np.random.default_rng(0)
PARAMS = jax.device_put(
    {
        "one": {"kernel": DRAW.normal(size=(4, 6)) / 2, "bias": np.full(6, 0.1)},
        "two": DRAW.normal(size=(6, 3)) / 2,
    }
)
X, Y = jax.device_put((DRAW.normal(size=(7, 4)), np.arange(7) % 3))


def model(params, x):
    hidden = jnp.tanh(x @ params["one"]["kernel"] + params["one"]["bias"][None])
    return hidden @ params["two"]


def cross_entropy(z, y):
    return -jax.nn.log_softmax(z)[y]


def squared(z, y):
    return jnp.sum((z - jax.nn.one_hot(y, 3, dtype=z.dtype)) ** 2) / 2


LOSSES = {
    "softmax_cross_entropy": cross_entropy,
    "squared_error": squared,
    "function": cross_entropy,
}


def dense_factors(loss, params=PARAMS, x=X, y=Y, name=None):
    flat, unravel = ravel_pytree(params)

    def one(xi, yi):
        outputs = lambda w: model(unravel(w), xi[None])[0]
        jacobian = jax.jacrev(outputs)(flat)
        return jacobian, jax.hessian(loss)(outputs(flat), yi)

    return jax.vmap(one)(x, y)


@pytest.mark.full
@pytest.mark.parametrize("name", LOSSES)
def test_factors_square_to_the_gauss_newton_matrices(name):
    output_loss = LOSSES[name] if name == "function" else name
    jacobians, curvatures = dense_factors(LOSSES[name])
    expected = jnp.einsum("ncp,ncd,ndq->npq", jacobians, curvatures, jacobians)
    rows = ggn_factors(model, PARAMS, X, Y, output_loss=output_loss)
    assert rows["one"]["kernel"].shape == (7, 3, 4, 6)
    flat = jnp.concatenate([r.reshape(7, 3, -1) for r in jax.tree.leaves(rows)], axis=2)
    got = jnp.einsum("ncp,ncq->npq", flat, flat)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.full(plain=["1-squared_error"])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("chunk_size", [1, 3, 16])
def test_gram_matrix_is_the_product_of_the_rows(name, chunk_size):
    output_loss = LOSSES[name] if name == "function" else name
    rows = ggn_factors(model, PARAMS, X, Y, output_loss=output_loss)
    flat = jnp.concatenate([r.reshape(21, -1) for r in jax.tree.leaves(rows)], axis=1)
    got = gram_matrix(
        model, PARAMS, X, Y, output_loss=output_loss, chunk_size=chunk_size
    )
    np.testing.assert_allclose(got, flat @ flat.T, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(got, got.T)


@pytest.mark.full
def test_hessians_have_the_spectra_of_the_dense_ones():
    jacobians, curvatures = dense_factors(cross_entropy)
    dense = jnp.einsum("ncp,ncd,ndq->npq", jacobians, curvatures, jacobians)
    found = ggn_hessians(model, PARAMS, X, chunk_size=4)
    mean = jnp.linalg.eigvalsh(jnp.mean(dense, axis=0))[::-1]
    # Softmax is blind to a shift of the outputs: two directions for an example.
    assert int(jnp.sum(found.eigenvalues > 0)) == 14
    np.testing.assert_allclose(found.eigenvalues, mean[:21], atol=1e-13)
    inside = jnp.einsum("ncr,ncs->nrs", found.factors, found.factors)
    np.testing.assert_allclose(
        jnp.einsum("nrs,mrs->nm", inside, inside),
        jnp.einsum("npq,mpq->nm", dense, dense),
        rtol=1e-11,
        atol=1e-14,
    )


@pytest.mark.full
def test_hessian_of_the_loss_at_zero_residual():
    targets = model(PARAMS, X)
    flat, unravel = ravel_pytree(PARAMS)
    loss = lambda w: jnp.sum((model(unravel(w), X) - targets) ** 2) / 2 / len(X)
    expected = jnp.linalg.eigvalsh(jax.hessian(loss)(flat))[::-1]
    found = ggn_hessians(model, PARAMS, X, output_loss="squared_error")
    np.testing.assert_allclose(found.eigenvalues, expected[:21], atol=1e-12)


def test_float32_and_narrower_parameters_are_computed_in_float32():
    expected = gram_matrix(model, PARAMS, X)
    narrow = jax.tree.map(lambda x: x.astype(jnp.float32), PARAMS)
    got = gram_matrix(model, narrow, X.astype(jnp.float32))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-6)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    rounded = jax.tree.map(lambda x: x.astype(jnp.float32), half)
    x = X.astype(jnp.float32)
    np.testing.assert_array_equal(
        gram_matrix(model, half, x), gram_matrix(model, rounded, x)
    )


@pytest.mark.full
def test_sharded_parameters_give_the_same_numbers():
    mesh = Mesh(np.array(jax.devices()[:2]), ("model",))
    specs = {"one": {"kernel": P(None, "model"), "bias": P("model")}, "two": P("model")}
    sharded = jax.tree.map(
        lambda x, s: jax.device_put(x, NamedSharding(mesh, s)), PARAMS, specs
    )
    got = gram_matrix(model, sharded, X, chunk_size=4)
    expected = gram_matrix(model, PARAMS, X, chunk_size=4)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_certain_outputs_have_no_curvature():
    factor = output_factor("softmax_cross_entropy", jnp.array([800.0, 0.0]), None)
    np.testing.assert_array_equal(factor, np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: gram_matrix(model, PARAMS, X, output_loss="softmax"),
            "unknown output_loss 'softmax'; perhaps you meant 'softmax_cross_entropy'",
        ),
        (
            lambda: gram_matrix(model, PARAMS, X, chunk_size=0),
            "chunk_size must be a whole number of at least 1; got 0",
        ),
        (
            lambda: gram_matrix(lambda w, x: x[:, 0], PARAMS, X),
            r"outputs of shape \(n, C\); got \(1,\)",
        ),
        (
            lambda: gram_matrix(model, PARAMS, X, Y[:3]),
            r"one common leading axis of examples; got lengths \[3, 7\]",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()
