"""The hypernetwork against recorded calls, and its exact properties."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import CLOSE, load

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import hypernetwork, magnitude_invariant_encoding

RNG = np.random.default_rng(0)


def test_recorded_predictions_and_gradients():
    cases = {name: load("mip_hypernet", name) for name in ("small", "batch_noenc")}

    @jax.jit
    def run():
        return {name: _replayed(*case) for name, case in cases.items()}

    for name, (y, slopes, slope) in run().items():
        meta, arrays = cases[name]
        for key, got in zip(meta["shapes"], y, strict=True):
            want = arrays[f"output/{key}"].reshape(got.shape)
            np.testing.assert_allclose(got, want, err_msg=f"{name} {key}", **CLOSE)
        np.testing.assert_allclose(slope, arrays["grad/h"], err_msg=name, **CLOSE)
        for own, key in _names(meta).items():
            want = arrays[f"grad/{key}"]
            np.testing.assert_allclose(slopes[own], want, err_msg=key, **CLOSE)


def _names(meta):
    names = {"head": "output/weight", "base": "output/bias"}
    for i in range(len(meta["hidden"])):
        names |= {f"kernel_{i}": f"block{i}/weight", f"bias_{i}": f"block{i}/bias"}
    return names


def _replayed(meta, arrays):
    net = hypernetwork(
        arrays["input/h"].shape[1],
        target=[jax.ShapeDtypeStruct(tuple(s), float) for s in meta["shapes"].values()],
        hidden=tuple(meta["hidden"]),
        encoding="cos_sin" if meta["encoding"] else "none",
    )
    x = jnp.asarray(arrays["input/h"])
    params = {n: jnp.asarray(arrays[f"weight/{k}"]) for n, k in _names(meta).items()}
    y, back = jax.vjp(lambda p, x: net.apply(p, {}, x, train=True)[0], params, x)
    cotangent = [
        jnp.asarray(arrays[f"input/cotangent/{key}"]).reshape(one.shape)
        for key, one in zip(meta["shapes"], y, strict=True)
    ]
    return y, *back(cotangent)


@functools.cache
def found():
    """Everything that the exact properties compare, in one program."""
    z = jnp.asarray(RNG.uniform(size=(5, 2)))
    target = {"dense": jnp.zeros((4, 3)), "conv": jnp.zeros((3, 3, 2, 5))}
    target["bias"] = jnp.zeros(3)
    make = functools.partial(hypernetwork, 2, target=target, param_dtype=jnp.float64)
    plain, mip = make(encoding="none", additive=False), make()
    call = lambda net, params, z: net.apply(params, {}, z, train=True)[0]

    @jax.jit
    def run(key):
        first, own = plain.init(key)[0], mip.init(key)[0]
        still = {**own, "head": jnp.zeros_like(own["head"])}
        loss = lambda p: sum(
            map(jnp.sum, jax.tree.leaves(call(make(frozen=True), p, z)))
        )
        return {
            "proportional": (call(plain, first, 3 * z), call(plain, first, z)),
            "not": (call(mip, own, z / 2), call(mip, own, z)),
            "base": call(mip, still, z),
            "own": own,
            "one": call(mip, own, z[2:3]),
            "each": jax.vmap(lambda z: call(mip, own, z[None]))(z),
            "frozen": jax.grad(loss)(own),
        }

    return jax.tree.map(np.asarray, run(jax.random.key(0)))


@pytest.mark.full
def test_only_without_encoding_and_base_the_input_scales_the_prediction():
    for three, one in zip(*map(jax.tree.leaves, found()["proportional"]), strict=True):
        np.testing.assert_allclose(three, 3 * one, rtol=1e-12, atol=1e-14)
    half, whole = (tree["dense"] for tree in found()["not"])
    assert np.max(np.abs(2 * half - whole)) > 0.1


def test_without_a_head_it_predicts_the_base():
    base, own = found()["base"], found()["own"]["base"]
    order = [base[name][1].ravel() for name in sorted(base)]
    np.testing.assert_array_equal(np.concatenate(order), own)
    assert not base["bias"].any() and base["conv"].all()
    np.testing.assert_array_equal(base["conv"][0], base["conv"][4])


def test_a_batch_is_its_examples():
    batch, each = found()["not"][1], found()["each"]
    for name, y in batch.items():
        np.testing.assert_allclose(each[name][:, 0], y, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found()["one"][name], y[2:3], rtol=1e-12, atol=1e-14)


def test_a_frozen_base_gets_no_gradient():
    slopes = found()["frozen"]
    assert not slopes["base"].any() and slopes["head"].any()


@pytest.mark.full
def test_each_target_has_the_variance_of_its_initializer():
    """For one input, over many draws: that of the fan of the target itself."""
    target = {"a": jnp.zeros((3, 4)), "b": jnp.zeros((2, 2, 3, 8))}
    net = hypernetwork(
        1, target=target, hidden=(32, 32), additive=False, param_dtype=jnp.float64
    )

    @jax.jit
    def run(keys):
        z = jnp.full((1, 1), 0.3)
        return jax.vmap(lambda k: net.apply(net.init(k)[0], {}, z, train=True)[0])(keys)

    y = run(jax.random.split(jax.random.key(3), 1000))
    for name, fan in (("a", 4), ("b", 32)):
        squares = np.mean(np.square(y[name]), axis=(1, 2, 3, *range(4, y[name].ndim)))
        error = 4 * squares.std() / np.sqrt(len(squares))
        want = 2 / (1 + 1e-4) / fan
        assert abs(squares.mean() - want) < error < 0.3 * want, name


def test_encodings_have_one_norm():
    z = jnp.asarray(np.concatenate([RNG.uniform(size=(6, 3)), [[0.0] * 3, [1.0] * 3]]))
    code = np.asarray(magnitude_invariant_encoding(z))
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), np.sqrt(3), rtol=1e-14)
    np.testing.assert_allclose(
        code[6:], [[1] * 3 + [0] * 3, [0] * 3 + [1] * 3], atol=1e-15
    )
    other = np.asarray(magnitude_invariant_encoding(z, kind="complement"))
    np.testing.assert_allclose(np.abs(other).sum(1), 3, rtol=1e-14)


UNKNOWN: Any = "polar"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: hypernetwork(0), "features"),
        (lambda: hypernetwork(1, hidden=(4, 0)), "hidden"),
        (lambda: hypernetwork(1, target={}), "at least one array"),
        (lambda: hypernetwork(1, target={"w": 3}), "at least one array"),
        (lambda: hypernetwork(1, encoding=UNKNOWN), "encoding"),
        (lambda: magnitude_invariant_encoding(jnp.ones(2), kind=UNKNOWN), "kind"),
        (lambda: magnitude_invariant_encoding(jnp.ones(2, int)), "real floating"),
        (
            lambda: hypernetwork(1).apply({}, {}, jnp.ones((2, 3)), train=True),
            "hypernetwork takes inputs",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
