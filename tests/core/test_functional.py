"""Layers from functions of a call, or of the input alone, with one contract."""

import inspect

import jax.numpy as jnp
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, stateful_layer, stateless_layer


def init(key=None):
    return {"w": jnp.ones(2)}, {"n": jnp.zeros(())}


def told(params, state, x, call):
    return call, {"n": state["n"] + 1}


def scaled(params, x, mask):
    return x * params["w"], mask


LAYERS = {
    "stateful": stateful_layer(init, told),
    "stateless": stateless_layer(init, scaled),
}


def test_a_stateful_layer_is_told_every_word_of_the_call():
    words = {"train": False, "key": 1, "axis_name": "batch", "mask": 2}
    params, state = init()
    call, new = LAYERS["stateful"].apply(params, state, 3.0, **words)
    assert call == Call(**words)
    assert new == {"n": 1}
    alone, _ = LAYERS["stateful"].apply(params, state, 3.0, train=True)
    assert alone == Call(True, None, None, None)


def test_a_stateless_layer_sees_input_and_mask_and_hands_its_state_on():
    params, state = init()
    apply = LAYERS["stateless"].apply
    for train in (False, True):
        (y, mask), new = apply(params, state, jnp.ones(2), train=train, key=1, mask=2)
        assert y.tolist() == [1, 1]
        assert mask == 2
        assert new is state


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_the_signature_is_that_of_every_layer(layer):
    names = ["params", "state", "x", "train", "key", "axis_name", "mask"]
    assert list(inspect.signature(layer.apply).parameters) == names
    params, state = init()
    with pytest.raises(TypeError, match="train"):
        layer.apply(params, state, 1.0)
    with pytest.raises(TypeError, match="training"):
        layer.apply(params, state, 1.0, train=True, training=True)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_complex_leaves_are_refused(layer):
    params, state = init()
    with pytest.raises(InputError, match="complex128 for 'w'"):
        layer.apply({"w": params["w"] + 1j}, state, 1.0, train=True)
    with pytest.raises(InputError, match="complex128 for 'n'"):
        layer.apply(params, {"n": state["n"] + 1j}, 1.0, train=True)
