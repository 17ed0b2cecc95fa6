"""Computation in bfloat16 from float32 parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.jaxprs import equations
from jaxopt_lab.training import Functional, from_nnx
from jaxopt_lab.training.mixed_precision import computing_in, mixed_precision

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


class Net(nnx.Module):
    """Layers without a type of their own, with float32, and statistics."""

    def __init__(self, rngs):
        self.free = nnx.Linear(3, 4, rngs=rngs, param_dtype=jnp.float32)
        self.norm = nnx.BatchNorm(4, rngs=rngs, param_dtype=jnp.float32)
        typed = {"dtype": jnp.float32, "param_dtype": jnp.float32}
        self.typed = nnx.Linear(4, 2, rngs=rngs, **typed)

    def __call__(self, x):
        return self.typed(jax.nn.relu(self.norm(self.free(x))))


def test_products_are_narrow_and_everything_that_is_kept_is_wide():
    model = mixed_precision(from_nnx(computing_in(Net)))
    params, state = model.init(jax.random.key(0))

    def loss(params):
        outputs, new = model.apply(params, state, X, train=True)
        return jnp.mean(outputs**2), new

    program = jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True))(params)
    dots = [e for e in equations(program.jaxpr) if e.primitive.name == "dot_general"]
    assert len(dots) >= 4
    assert {v.aval.dtype.name for e in dots for v in e.invars} == {"bfloat16"}
    (value, new), grads = jax.eval_shape(jax.value_and_grad(loss, has_aux=True), params)
    assert {x.dtype.name for x in jax.tree.leaves((value, new, grads))} == {"float32"}


def test_it_is_the_model_at_rounded_numbers():
    model = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs, param_dtype=jnp.float32))
    params, state = model.init(jax.random.key(0))
    found, _ = mixed_precision(model).apply(params, state, X, train=False)

    def rounded(x):
        return jnp.asarray(x, jnp.bfloat16)

    wanted, _ = model.apply(
        jax.tree.map(rounded, params), state, rounded(X), train=False
    )
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, wanted.astype(jnp.float32))


def test_keys_integers_and_complex_numbers_are_left_alone():
    seen = {}

    def apply(params, state, inputs, *, train, key=None):
        seen.update(params=params, inputs=inputs)
        return inputs["x"], state

    model = mixed_precision(Functional(lambda key: ({}, {}), apply))
    params = {"c": jnp.ones(1, jnp.complex64), "w": jnp.ones(1, jnp.float64)}
    inputs = {"x": jnp.ones(1, jnp.float32), "i": jnp.ones(1, jnp.int8)}
    inputs["k"] = jax.random.key(0)
    outputs, _ = model.apply(params, {}, inputs, train=True)
    assert outputs.dtype == jnp.float64  # the parameters'
    assert seen["params"]["c"].dtype == jnp.complex64
    assert seen["params"]["w"].dtype == seen["inputs"]["x"].dtype == jnp.bfloat16
    assert seen["inputs"]["i"].dtype == jnp.int8
    assert seen["inputs"]["k"] is inputs["k"]
    with pytest.raises(InputError, match="dtype=int8 is no floating type"):
        mixed_precision(model, "int8")
