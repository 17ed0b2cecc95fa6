"""batch_grad: whole, in shards, in micro-batches; gradient functions mapped."""

import copy

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lab
from jaxopt_lab.core import checks
from jaxopt_lab.core.batch_gradients import BatchGrad, split_batch
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.gradients import MappedGradFn, enter_transform
from jaxopt_lab.core.typing import GradFn, ShardedGradFn

X = jnp.arange(24.0).reshape(8, 3) / 10
W = {"w": jnp.array([0.3, -0.2, 0.5]), "b": jnp.array(0.1)}


def loss(p, x):
    return jnp.mean(jnp.tanh(x @ p["w"] + p["b"]) ** 2)


def test_it_is_the_gradient_of_the_loss():
    grad_fn = jaxopt_lab.batch_grad(loss, X)
    chex.assert_trees_all_equal(grad_fn(W), jax.grad(loss)(W, X))
    assert isinstance(grad_fn, GradFn) and isinstance(grad_fn, ShardedGradFn)


def test_shards_are_consecutive_parts():
    grad_fn = jaxopt_lab.batch_grad(loss, X)
    for j in range(4):
        part = jax.grad(loss)(W, X[2 * j : 2 * j + 2])
        chex.assert_trees_all_close(grad_fn.shard(4)(W, j), part, rtol=1e-14)


@pytest.mark.parametrize("mode", ["unroll", "vmap", "scan"])
def test_the_mean_over_shards_of_a_function_of_the_gradient(mode):
    grad_fn = jaxopt_lab.batch_grad(loss, X)
    ours = jax.jit(
        lambda p: grad_fn.shard(4).mean(lambda g: jax.tree.map(jnp.sin, g(p)), mode)
    )(W)
    each = [jax.grad(loss)(W, X[2 * j : 2 * j + 2]) for j in range(4)]
    expected = jax.tree.map(lambda *g: sum(map(jnp.sin, g)) / 4, *each)
    chex.assert_trees_all_close(ours, expected, rtol=1e-13)


@jax.custom_vjp
def straight(x):
    return jnp.round(x)


straight.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))


def rounded_loss(p, x):
    return jnp.mean((x @ p["w"] + p["b"] - straight(p["w"])[0]) ** 2)


def masked_loss(p, batch):
    error = jnp.tanh(batch["x"] @ p["w"] + p["b"]) ** 2
    return jnp.sum(error * batch["mask"]) / jnp.sum(batch["mask"])


MASK = jnp.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
POINTS = {
    "plain": (loss, X, {}),
    "custom_vjp": (rounded_loss, X, {}),
    "weights": (masked_loss, {"x": X, "mask": MASK}, {"weights": "mask"}),
    "micro_batches": (loss, X, {"micro_batches": 8}),
}


@pytest.mark.parametrize("mode", ["auto", "vmap", "scan"])
@pytest.mark.parametrize("name", POINTS)
def test_the_mean_gradient_at_a_point_of_each_shard(name, mode):
    fn, batch, options = POINTS[name]
    shards = jaxopt_lab.batch_grad(fn, batch, **options).shard(4)

    def point(grad):
        return jax.tree.map(lambda w, g: w + jnp.sin(g), W, grad(W))

    expected = shards.mean(lambda grad: grad(point(grad)))
    ours = shards.mean_gradient(point, mode)
    chex.assert_trees_all_close(ours, expected, rtol=1e-13)


def test_the_mean_gradient_of_a_mapped_function_maps_each():
    inner = jaxopt_lab.batch_grad(loss, X)
    clipped = MappedGradFn(
        inner, on_grads=lambda grads, _: jax.tree.map(jnp.sin, grads)
    )
    ours = clipped.shard(4).mean_gradient(lambda grad: grad(W), "vmap")
    sines = [
        jax.tree.map(jnp.sin, jax.grad(loss)(W, X[j : j + 2])) for j in (0, 2, 4, 6)
    ]
    at = [
        jax.tree.map(jnp.sin, jax.grad(loss)(w, X[2 * j : 2 * j + 2]))
        for j, w in enumerate(sines)
    ]
    chex.assert_trees_all_close(
        ours, jax.tree.map(lambda *g: sum(g) / 4, *at), rtol=1e-13
    )


@pytest.mark.full(plain=["2-auto", "4-scan"])
@pytest.mark.parametrize("micro_loop", ["scan", "unroll", "vmap", "auto"])
@pytest.mark.parametrize("micro", [2, 4, 8])
def test_micro_batches_give_the_whole_gradient(micro, micro_loop):
    grad_fn = jaxopt_lab.batch_grad(loss, X, micro_batches=micro, micro_loop=micro_loop)
    chex.assert_trees_all_close(grad_fn(W), jax.grad(loss)(W, X), rtol=1e-13)


@pytest.mark.parametrize("micro", [1, 2, 4])
def test_the_value_is_computed_in_micro_batches(micro):
    sizes = set()

    def measured(p, batch, key):
        sizes.add(len(batch))
        return loss(p, batch), ()

    grad_fn = BatchGrad(measured, X, micro_batches=micro)
    np.testing.assert_allclose(grad_fn.value(W), loss(W, X), rtol=1e-14)
    assert sizes == {len(X) // micro}


@pytest.mark.parametrize("shards, micro", [(2, 4), (4, 2), (4, 4), (1, 2)])
def test_shards_of_micro_batches(shards, micro):
    plain = jaxopt_lab.batch_grad(loss, X)
    split = jaxopt_lab.batch_grad(loss, X, micro_batches=micro)
    for j in range(shards):
        chex.assert_trees_all_close(
            split.shard(shards)(W, j), plain.shard(shards)(W, j), rtol=1e-13
        )


def test_micro_batches_hold_one_parts_activations():
    wide = jnp.ones((512, 64), jnp.float32)
    p = jnp.ones((64, 256), jnp.float32)

    def big(p, x):
        return jnp.mean(jnp.tanh(jnp.tanh(x @ p) @ p.T) ** 2)

    def temp(micro):
        def f(p, x):
            return jaxopt_lab.batch_grad(big, x, micro_batches=micro)(p)

        return jax.jit(f).lower(p, wide).compile().memory_analysis().temp_size_in_bytes

    assert temp(8) < temp(1) / 3


def test_the_first_pass_is_cached_for_whoever_asks_at_the_same_arrays():
    traced = []

    def counted(p, batch, key):
        traced.append(p)
        return loss(p, batch), ()

    grad_fn = BatchGrad(counted, X)
    (value, _), grads = grad_fn.value_and_grad(W, 4, "unroll")
    np.testing.assert_allclose(value, loss(W, X), rtol=1e-14)
    chex.assert_trees_all_close(grads, jax.grad(loss)(W, X), rtol=1e-13)
    before = len(traced)
    served = grad_fn.shard(4).mean(lambda grad: grad(W))
    assert len(traced) == before
    chex.assert_trees_all_close(served, grads, rtol=1e-14)
    equal_not_same = jax.tree.map(lambda x: x + 0, W)
    grad_fn.shard(4).mean(lambda grad: grad(equal_not_same))
    assert len(traced) == before + 4


def test_keys_of_shards_are_distinct_and_one_shard_gets_the_key_itself():
    seen = []

    def noisy(p, batch, key):
        seen.append(jax.random.key_data(key).tolist())
        return loss(p, batch), ()

    key = jax.random.key(3)
    grad_fn = BatchGrad(noisy, X, key)
    grad_fn(W)
    grad_fn(W, 1)
    grad_fn.shard(1).mean(lambda grad: grad(W))
    assert seen == [jax.random.key_data(key).tolist()] * 3
    del seen[:]
    grad_fn.shard(4).mean(lambda grad: jax.tree.map(jnp.add, grad(W), grad(W)))
    firsts, seconds = seen[::2], seen[1::2]
    assert firsts == seconds and len({tuple(k) for k in firsts}) == 4
    # Those of as many devices with one shard each.
    own = [jax.random.key_data(jax.random.fold_in(key, j)).tolist() for j in range(4)]
    assert firsts == own


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: jaxopt_lab.batch_grad(loss, X, micro_batches=3),
            "8 examples.*3 equal",
        ),
        (lambda: jaxopt_lab.batch_grad(loss, X).shard(5), "8 examples.*5 equal shards"),
        (
            lambda: (
                jaxopt_lab.batch_grad(loss, X, micro_batches=4).shard(8)(W, 0)
                and jaxopt_lab.batch_grad(loss, X[:6], micro_batches=2).shard(3)(W, 0)
            ),
            "3 shards and 2 micro-batches do not nest",
        ),
        (lambda: split_batch({"a": X, "b": X[:4]}, 2), "share their leading axis"),
        (lambda: split_batch({"a": jnp.ones(())}, 2), "share their leading axis"),
        (lambda: split_batch(X, 0), "must be at least 1; got 0"),
        (
            lambda: jaxopt_lab.batch_grad(lambda p, x: x @ p["w"], X)(W),
            r"scalar.*shape \(8,\)",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()


def losses(p, x):
    return jnp.tanh(x @ p["w"] + p["b"]) ** 2


def doubled(inner):
    """The gradient of ``loss`` at twice the parameters, negated."""
    return MappedGradFn(
        inner,
        on_params=lambda p: jax.tree.map(lambda x: 2 * x, p),
        on_grads=lambda g, p: jax.tree.map(lambda x, at: at - x, g, p),
    )


def test_a_mapped_gradient_function_maps_all_that_the_inner_one_can_do():
    inner = jaxopt_lab.batch_grad(loss, X, example_losses=losses)
    mapped = doubled(inner)
    twice = jax.tree.map(lambda x: 2 * x, W)
    expect = lambda g: jax.tree.map(lambda x, at: at - x, g, W)
    chex.assert_trees_all_equal(mapped(W), expect(inner(twice)))
    shards, inner_shards = mapped.shard(4), inner.shard(4)
    chex.assert_trees_all_equal(shards(W, 2), expect(inner_shards(twice, 2)))
    chex.assert_trees_all_close(
        shards.mean(lambda grad: grad(W)), expect(inner(twice)), rtol=1e-13
    )
    chex.assert_trees_all_equal(mapped.example_losses(W), losses(twice, X))
    some = jnp.array([1, 3])
    chex.assert_trees_all_equal(
        mapped.on_examples(W, some), expect(inner.on_examples(twice, some))
    )
    chex.assert_trees_all_equal(mapped.mean(W), W)


def test_a_mapped_plain_function_has_no_shards():
    mapped = doubled(lambda p, i=0: jax.tree.map(lambda x: i * x, p))
    expected = jax.tree.map(lambda x: x - 6 * x, W)
    chex.assert_trees_all_close(mapped(W, 3), expected, rtol=1e-14)
    for name in ("shard", "mean", "example_losses", "on_examples", "on_transform"):
        assert not hasattr(mapped, name)
    assert copy.copy(mapped)(W, 3).keys() == W.keys()


def test_every_function_of_the_inner_one_is_wrapped():
    names = []

    def wrap(fn):
        def call(*args):
            names.append(type(fn).__name__)
            return fn(*args)

        return call

    mapped = MappedGradFn(
        jaxopt_lab.batch_grad(loss, X, example_losses=losses), wrap=wrap
    )
    mapped(W)
    mapped.shard(2)(W, 0)
    mapped.shard(2).mean(lambda grad: grad(W))
    mapped.example_losses(W)
    mapped.on_examples(W, jnp.array([0]))
    expected = ["BatchGrad", "BatchShards", "function", "function", "method", "method"]
    assert names == expected


def test_a_transform_is_announced_through_a_mapped_function():
    class Listening:
        def __init__(self):
            self.seen = []

        def __call__(self, params, i=0):
            return params

        def on_transform(self, transform, updates, params):
            self.seen.append((transform, updates, params))

    listening, grads, seen_by_it = Listening(), {"w": X}, {"w": X + 1}
    mapped = MappedGradFn(listening, on_updates=lambda u: grads)
    assert enter_transform("mine", seen_by_it, W, mapped) == (W, mapped)
    ((transform, updates, params),) = listening.seen
    assert transform == "mine" and updates is grads and params is W
    # The check alone tells nobody.
    checks.require_grad_fn("mine", W, mapped)
    assert len(listening.seen) == 1


def test_aux_comes_beside_the_loss():
    def loss(w, x):
        return jnp.mean((x * w) ** 2), {"largest": jnp.max(x)}

    x = jnp.array([1.0, 3.0])
    grad_fn = jaxopt_lab.batch_grad(loss, x, has_aux=True)
    (value, aux), grads = grad_fn.value_and_grad(jnp.array(2.0))
    assert (float(value), float(aux["largest"]), float(grads)) == (20.0, 3.0, 20.0)
    plain = jaxopt_lab.batch_grad(lambda w, x: loss(w, x)[0], x)
    assert plain(jnp.array(2.0)) == grad_fn(jnp.array(2.0))
    assert plain.value_and_grad(jnp.array(2.0))[0] == (value, ())


@pytest.mark.parametrize(
    ("loss", "has_aux", "message"),
    [
        (lambda w, x: (w.sum(), 1.0), False, "got a tuple of 2: pass has_aux=True"),
        (lambda w, x: w.sum(), True, "has_aux=True loss_fn must return"),
        (lambda w, x: {"loss": w.sum()}, False, "real scalar.* got a dict"),
        (lambda w, x: None, False, "real scalar.* got None"),
        (lambda w, x: w, False, r"real scalar.* got an array of shape \(2,\)"),
        (lambda w, x: w.sum() * 1j, False, "real scalar.* complex"),
    ],
)
def test_the_result_of_a_loss_is_checked(loss, has_aux, message):
    grad_fn = jaxopt_lab.batch_grad(loss, jnp.ones(2), has_aux=has_aux)
    with pytest.raises(InputError, match=message):
        grad_fn(jnp.ones(2))
