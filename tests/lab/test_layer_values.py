"""Inputs and outputs of layers, found in the program of a network."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.layer_values import with_layers
from jaxopt_lab.training import from_nnx


class Net(nnx.Module):
    """A convolution, a dense layer without a bias, and an output layer used twice."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 2, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.dense = nnx.Linear(8, 3, use_bias=False, rngs=rngs)
        self.head = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x))).reshape(len(x), -1)
        return self.head(nnx.relu(self.head(jnp.tanh(self.dense(x)))))


def test_they_are_what_the_layers_take_and_give():
    model = from_nnx(lambda rngs: Net(rngs))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, 2, 1)), jnp.float32)
    chosen: Any = (("inputs", ""), ("outputs", ""), ("outputs", "conv|head"))

    @jax.jit
    def run(key):
        params, state = model.init(key)
        bias = jnp.array([0.5, -2.0], jnp.float32)
        params["conv"]["bias"] = bias
        plain = model.apply(params, state, x, train=True)
        found = [
            with_layers(model, *c).apply(params, state, x, train=True) for c in chosen
        ]
        conv = jax.lax.conv_general_dilated(
            x,
            params["conv"]["kernel"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return plain, found, conv + bias[None, None, None], params

    (y, state), found, conv, params = run(jax.random.key(0))
    for (out, _), after in found:
        np.testing.assert_array_equal(out, y)
        jax.tree.map(np.testing.assert_array_equal, after, state)
    ((_, inputs), _), ((_, outputs), _), ((_, named), _) = found
    assert [v.shape for v in outputs] == [(4, 2, 2, 2), (4, 3)]
    np.testing.assert_allclose(outputs[0], conv, atol=1e-6)
    # The first use of the head counts.
    np.testing.assert_allclose(inputs[0], np.tanh(outputs[1]), rtol=1e-6)
    head = params["head"]
    wanted = np.asarray(inputs[0] @ head["kernel"]) + np.asarray(head["bias"])
    np.testing.assert_allclose(named[1], wanted, rtol=1e-5)


def test_a_name_that_no_layer_has_is_an_error():
    model = from_nnx(lambda rngs: nnx.Linear(2, 2, rngs=rngs))
    for layers, said in (
        ("hiden", "finds no layer; the network has kernel"),
        ("", "too few layers; the network has kernel"),
    ):
        network = with_layers(model, "outputs", layers)
        with pytest.raises(InputError, match=said):
            jax.eval_shape(
                lambda k, n=network: n.apply(*n.init(k), jnp.ones((1, 2)), train=False),
                jax.random.key(0),
            )
