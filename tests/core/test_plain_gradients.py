"""Plain gradient functions: the place of the pass number, the shape of the result."""

import copy
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.gradients import MappedGradFn, as_grad_fn
from jaxopt_lab.core.plain_gradients import PlainGradFn, check_gradients

W = {"w": np.array([0.5, -1.0], np.float32), "b": np.float32(2.0)}


def loss(params, batch):
    return np.float32(3) * sum(jnp.sum(x * x) for x in jax.tree.leaves(params)) * batch


def by_keyword(params, *, i):
    return {k: i * x for k, x in params.items()}


def by_position(params, i, /):
    return {k: i * x for k, x in params.items()}


def with_default(params, batch=3.0, i=0):
    assert batch == 3.0
    return {k: i * x for k, x in params.items()}


def forwarding(*args, **kwargs):
    return by_keyword(*args, **kwargs)


@pytest.mark.parametrize("fn", [by_keyword, by_position, with_default, forwarding])
def test_the_pass_number_goes_to_the_argument_of_its_name(fn):
    expected = {k: 4 * x for k, x in W.items()}
    chex.assert_trees_all_equal(PlainGradFn(fn)(W, 4), expected)


@pytest.mark.parametrize(
    "fn",
    [
        lambda p: p,
        lambda p, batch=7.0: p if batch == 7.0 else None,
        lambda i: i,
        lambda *args: args[0] if len(args) == 1 else None,
        functools.partial(lambda batch, p: p if batch == 7.0 else None, 7.0),
        dict,
    ],
)
def test_others_get_the_parameters_alone(fn):
    chex.assert_trees_all_equal(as_grad_fn(fn)(W, 4), W)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, functools.partial])
def test_the_gradient_of_a_loss_of_a_batch_is_refused(wrap):
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1))
    words = r"grad_fn must take the parameters alone.*got one of \(params, batch\)"
    with pytest.raises(InputError, match=words):
        tx.update(W, tx.init(W), W, grad_fn=wrap(jax.grad(loss)))


@pytest.mark.parametrize(
    "row",
    [
        jaxopt_lab.sam(0.1),
        jaxopt_lab.multistep_sam(0.1),
        jaxopt_lab.masked(jaxopt_lab.sam(0.1), {"w": True, "b": True}),
        jaxopt_lab.lookbehind(optax.identity(), 0.1, k=1, alpha=1.0),
    ],
)
def test_a_function_of_one_argument_is_the_batch_gradient(row):
    batch_grad = jaxopt_lab.batch_grad(lambda p, x: loss(p, x[0]), jnp.ones(1))
    first = batch_grad(W)
    expected, _ = row.update(first, row.init(W), W, grad_fn=batch_grad)
    plain = jax.grad(functools.partial(loss, batch=1.0))
    got, _ = row.update(first, row.init(W), W, grad_fn=plain)
    chex.assert_trees_all_close(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "given, words",
    [
        (W, "must be a function.*got a gradient. jaxopt_lab.batch_grad"),
        (lambda p, batch: p, "must take the parameters alone"),
        (lambda p, *, batch: p, "must take the parameters alone"),
        (lambda: W, "must take the parameters alone"),
        (jax.value_and_grad(lambda p: loss(p, 1.0)), "a pair: jax.value_and_grad"),
        (lambda p: loss(p, 1.0), "the value of the loss"),
        (lambda p: {"w": p["w"]}, "another one: b: missing"),
        (lambda p: {**p, "w": p["w"][:1]}, r"for w, float32\[2\], it gave .*\[1\]"),
        (lambda p: {**p, "b": np.int32(1)}, r"for b, float32\[\], it gave int32"),
        (lambda p: {**p, "b": np.complex64(1)}, "it gave complex64"),
    ],
)
def test_what_is_no_gradient_function_is_told_in_one_line(given, words):
    with pytest.raises(InputError, match=words) as caught:
        link = jaxopt_lab.sam(0.1)
        link.update(W, link.init(W), W, grad_fn=given)
    assert "\n" not in str(caught.value)


def test_the_first_result_alone_is_looked_at():
    seen = iter([W, {"w": 1}])
    fn = PlainGradFn(lambda p: next(seen))
    assert fn(W) is W and fn(W) == {"w": 1}


def test_members_and_copies_are_those_of_the_function():
    fn = PlainGradFn(by_keyword)
    assert fn.__name__ == "by_keyword" and not hasattr(fn, "shard")
    chex.assert_trees_all_equal(copy.copy(fn)(W, 1), W)
    mapped = MappedGradFn(by_keyword)
    assert as_grad_fn(mapped) is mapped and as_grad_fn(fn) is fn


def test_leaves_of_no_floating_type_are_not_looked_at():
    check_gradients({"n": np.zeros((), jax.dtypes.float0)}, {"n": np.int32(1)})


def test_another_failure_to_tell_leaves_the_function_as_it_was():
    def failing(params):
        raise TypeError("of the function")

    def told():
        raise InputError("of the second link")

    fn = PlainGradFn(failing)
    with pytest.raises(InputError, match="of the second link"):
        fn.telling(told)(W)
    with pytest.raises(TypeError, match="of the function"):
        fn(W)
