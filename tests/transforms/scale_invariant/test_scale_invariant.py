"""Exact equalities, norms over many steps, channel axes and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.scale_invariant import (
    adamp,
    normalize_and_project,
    project_radial,
    scale_by_adamp,
    scale_by_sgdp,
    scale_invariant_mask,
)

DRAW = np.random.default_rng(0)
W = {"kernel": DRAW.normal(size=(4, 3)), "bias": DRAW.normal(size=3)}


def at_right_angles(p, g):
    """The part of a gradient that each column of a matrix has no share of."""
    return g - p * np.sum(p * g, 0) / np.sum(p * p, 0)


G = [
    {
        "kernel": at_right_angles(W["kernel"], DRAW.normal(size=(4, 3))),
        "bias": np.ones(3),
    }
    for _ in range(3)
]


def directions(tx, grads, params):
    def run(params, grads):
        state, found = tx.init(params), []
        for g in grads:
            u, state = tx.update(g, state, params)
            found.append(u)
        return found

    return jax.jit(run)(params, grads)


def test_project_radial_of_adam_is_adamp():
    ours = directions(scale_by_adamp(), G, W)
    other = directions(project_radial(optax.scale_by_adam()), G, W)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, other)
    radial = np.sum(np.asarray(ours[-1]["kernel"]) * W["kernel"], 0)
    np.testing.assert_allclose(radial, 0, atol=1e-7)  # eps beside the norm


def test_a_gradient_at_right_angles_is_projected_onto_itself():
    once = G[:1]
    found = directions(project_radial(optax.identity()), once, W)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9), found, once
    )


def test_one_channel_along_its_weights_keeps_all_of_them():
    g = {**G[0], "kernel": G[0]["kernel"].copy()}
    g["kernel"][:, 1] = W["kernel"][:, 1]
    found = directions(project_radial(optax.sgd(1.0)), [g], W)[0]
    np.testing.assert_array_equal(found["kernel"], -g["kernel"])


def test_the_channel_axis_may_differ_by_leaf():
    params = {"in": W["kernel"], "out": W["kernel"].T.copy()}
    grads = {"in": np.ones((4, 3)), "out": np.ones((3, 4))}
    grads = {"in": at_right_angles(W["kernel"], np.ones((4, 3)))}
    grads["out"] = grads["in"].T.copy()
    tx = project_radial(optax.sign_sgd(1.0), channel_axis=[("out", 0)])
    found = directions(tx, [grads], params)[0]
    np.testing.assert_array_equal(found["in"], found["out"].T)


def test_a_rule_without_a_leaf_is_told():
    with pytest.warns(UserWarning, match="channel_axis: 'head' matches none"):
        adamp(0.1, channel_axis=[("head", 0)]).init(W)


@pytest.mark.full
def test_norms_stay_over_ten_thousand_steps_in_float32():
    params = jax.tree.map(lambda x: np.float32(x), {"w": W["kernel"], "b": W["bias"]})
    tx = optax.chain(optax.sgd(0.1, momentum=0.9), normalize_and_project(per="channel"))

    @jax.jit
    def run(params, key):
        def body(carry, key):
            params, state = carry
            g = jax.tree.map(lambda p: jax.random.normal(key, p.shape, p.dtype), params)
            u, state = tx.update(g, state, params)
            return (optax.apply_updates(params, u), state), None

        keys = jax.random.split(key, 10_000)
        return jax.lax.scan(body, (params, tx.init(params)), keys)[0][0]

    end = run(params, jax.random.key(0))
    norm = lambda x: np.linalg.norm(np.asarray(x["w"], np.float64), axis=0)
    np.testing.assert_allclose(norm(end), norm(params), rtol=3e-7)


@pytest.mark.full
def test_a_decay_of_a_projected_tensor_is_a_tenth():
    zero = jax.tree.map(np.zeros_like, W)
    u = directions(scale_by_sgdp(0.5, weight_decay=0.1), [zero], W)[0]
    np.testing.assert_allclose(u["kernel"], 0.1 * 0.1 / 0.5 * W["kernel"], rtol=1e-12)
    np.testing.assert_allclose(u["bias"], 0.1 / 0.5 * W["bias"], rtol=1e-12)
    masked = scale_by_sgdp(weight_decay=0.1, mask={"kernel": False, "bias": True})
    assert not np.any(directions(masked, [zero], W)[0]["kernel"])


def normalized(params, x):
    """A network in which one matrix stands before a normalization."""
    y = x @ params["first"]
    y = (y - jnp.mean(y, 0)[None]) / jnp.sqrt(jnp.var(y, 0) + 1e-5)[None]
    return jnp.tanh(y * params["scale"][None]) @ params["second"]


def test_the_invariant_tensors_are_found():
    shapes = {"first": (4, 5), "scale": (5,), "second": (5, 2), "unused": (2, 2)}
    params = {n: DRAW.normal(size=shape) for n, shape in shapes.items()}
    mask = scale_invariant_mask(normalized, params, DRAW.normal(size=(8, 4)))
    assert mask == {"first": True, "scale": False, "second": False, "unused": False}
    with pytest.raises(InputError, match="not zero at params; its norm there is 0.0"):
        scale_invariant_mask(lambda p: 0.0 * jnp.sum(p["first"]), params)


@pytest.mark.full
def test_derivatives_at_zero_gradients_are_finite():
    tx = adamp(0.1, weight_decay=0.01)

    def end(scale, params):
        grads = jax.tree.map(lambda g: scale * g, G[0])
        u, _ = tx.update(grads, tx.init(params), params)
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(u))

    zeros = jax.tree.map(np.zeros_like, W)
    differentiate = jax.jit(jax.grad(end, argnums=(0, 1)))
    for params in (W, zeros):
        found = differentiate(0.0, params)
        assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(found))


@pytest.mark.parametrize(
    "make, line",
    [
        (lambda: adamp(0.1, delta=-1.0), "delta must be at least 0; got -1.0"),
        (lambda: adamp(0.1, wd_ratio=1.5), r"wd_ratio must lie in \[0, 1\]; got 1.5"),
        (lambda: adamp(0.1, channel_axis=2), "channel_axis=2 of kernel must be one of"),
        (lambda: adamp(0.1, channel_axis=[("kern", 3)]), "channel_axis=3 of kernel"),
        (lambda: adamp(0.1, channel_axis="kernel"), "must be a whole number or pairs"),
        (lambda: adamp(0.1, channel_axis=["ab"]), "must be a whole number or pairs"),
        (
            lambda: normalize_and_project({"kernel": True, "bias": True}),
            r"mask: bias of shape \(3,\) has no norm of its own",
        ),
        (
            lambda: normalize_and_project(joint=[("scale", "offset")]),
            "nowhere do the parameters have both 'scale' and 'offset'",
        ),
        (lambda: normalize_and_project(joint=["scale"]), "joint must hold pairs"),
        (lambda: normalize_and_project(every=0), "every must be"),
        (lambda: normalize_and_project(per="layer"), "per"),
    ],
)
def test_bad_input(make, line):
    with pytest.raises(InputError, match=line):
        make().init(W)


def test_a_norm_is_kept_of_what_is_rescaled_alone():
    params = {"kernel": jnp.ones((2, 3)), "scale": jnp.ones(3), "bias": jnp.ones(3)}
    mask = {**dict.fromkeys(params, False), "kernel": True}
    for per, size in (("tensor", 1), ("channel", 3)):
        tx = normalize_and_project(mask, per=per)
        norms = jax.eval_shape(tx.init, params).norms
        assert norms["kernel"].size == size
        assert norms["scale"].shape == norms["bias"].shape == (0,)


@pytest.mark.parametrize(
    "tx", [adamp(0.1), project_radial(optax.sgd(0.1)), normalize_and_project()]
)
def test_complex_parameters_are_refused(tx):
    with pytest.raises(
        InputError, match="takes real parameters; got complex64 for 'w'"
    ):
        tx.init({"w": jnp.ones((2, 2), jnp.complex64)})


@pytest.mark.parametrize(
    "tx", [adamp(0.1), project_radial(optax.sgd(0.1)), normalize_and_project()]
)
def test_params_are_needed(tx):
    with pytest.raises(InputError, match="needs params"):
        tx.update(W, tx.init(W))
