"""Random features against recorded ones, and their exact properties."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import CLOSE, load

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    bundle,
    bundle_weights,
    gaussian_projection,
    kernel_adapter,
    kernel_features,
    kernel_feed_forward,
    relu_features,
    solve_bundled,
    universal_features,
)

RELU = ("relu_m16", "relu_m64_normalized", "relu_normconst_leaky")
URF = ("urf_cos_m32", "urf_cos_m512")
SIDES: Any = ("inputs", "weights")
RNG = np.random.default_rng(0)


def test_recorded_relu_features_and_gradients():
    cases = {name: load("snnk", name) for name in RELU}

    @jax.jit
    def run():
        found = {}
        for name, (meta, arrays) in cases.items():
            radius = meta["normalization_constant"] or 1.0
            options = {
                "threshold": float(meta["constant"]),
                "radius": radius if meta["normalize"] else None,
            }
            drawn = jnp.asarray(arrays["weight/projection"])
            x, w = arrays["input/x"], arrays["weight/layer_weights"]
            psi = relu_features(jnp.asarray(w), drawn, **options)

            def output(x, psi, drawn=drawn, options=options):
                phi = relu_features(x, drawn, **options)
                return phi @ psi.T, phi

            y, back, phi = jax.vjp(output, jnp.asarray(x), psi, has_aux=True)
            slopes = back(jnp.asarray(arrays["input/cotangent"]))
            found[name] = (phi, psi, y, *slopes)
        return found

    keys = ("output/features_x", "output/features_w", "output/y", "grad/x")
    for name, values in run().items():
        for key, got in zip((*keys, "grad/features_w"), values, strict=True):
            want = cases[name][1][key]
            np.testing.assert_allclose(got, want, err_msg=f"{name} {key}", **CLOSE)


def test_recorded_universal_features_and_gradients():
    cases = {name: load("snnk", name)[1] for name in URF}

    @jax.jit
    def run():
        found = {}
        for name, arrays in cases.items():
            drawn = jnp.asarray(arrays["weight/projection"])
            x, w = map(jnp.asarray, (arrays["input/x"], arrays["weight/layer_weights"]))
            exponents = jnp.asarray(2j * np.pi * arrays["weight/xi"])
            psi = universal_features(w, drawn, jnp.ones(len(drawn)))

            def output(x, drawn=drawn, exponents=exponents, psi=psi):
                phi = universal_features(x, drawn, exponents)
                return jnp.real(phi) @ psi.T, phi

            y, back, phi = jax.vjp(output, x, has_aux=True)
            (slope,) = back(jnp.asarray(arrays["input/cotangent"]))
            ours = [
                kernel_features(v, drawn, kernel="cosine", of=of)
                for v, of in zip((x, w), SIDES, strict=True)
            ]
            found[name] = (phi.real, phi.imag, psi, y, slope, ours[0] @ ours[1].T)
        return found

    keys = ("output/features_x_re", "output/features_x_im", "output/features_w_re")
    for name, values in run().items():
        want = (*keys, "output/y", "grad/x", "output/y")
        for key, got in zip(want, values, strict=True):
            np.testing.assert_allclose(got, cases[name][key], err_msg=key, **CLOSE)
        np.testing.assert_allclose(cases[name]["output/features_w_im"], 0, atol=1e-15)


def test_the_projection_is_normal_and_the_same_in_every_type():
    wide, narrow = (
        np.asarray(gaussian_projection(3, 200, 100, dtype=d))
        for d in (jnp.float64, jnp.float32)
    )
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))
    assert abs(wide.mean()) < 4 / np.sqrt(wide.size)
    assert abs(wide.var() - 1) < 4 * np.sqrt(2 / wide.size)
    assert abs((wide**4).mean() - 3) < 4 * np.sqrt(96 / wide.size)
    other = np.asarray(gaussian_projection(3, 200, 100, layer=1, dtype=jnp.float64))
    assert abs((other * wide).mean()) < 4 / np.sqrt(wide.size)
    np.testing.assert_allclose(wide[:2, :2], WRITTEN, rtol=1e-12)


WRITTEN = [
    [-0.2440703418678939, 1.0255005416160912],
    [-0.370365083959946, -0.6566810552621649],
]


def test_the_error_falls_with_the_root_of_the_features():
    x, w = RNG.normal(size=(2, 6)) * 0.4
    sizes = np.array([16, 128, 1024])

    @jax.jit
    def run():
        return [
            jnp.stack([_estimate(x, w, m, seed) for seed in range(30)])
            for m in (16, 128, 1024)
        ]

    errors = [np.sqrt(np.mean((np.asarray(e) - np.cos(x @ w)) ** 2)) for e in run()]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.6 < slope < -0.4, (slope, errors)


def _estimate(x, w, m, seed):
    drawn = gaussian_projection(seed, m, 6, dtype=jnp.float64)
    sides = [
        kernel_features(jnp.asarray(v), drawn, kernel="cosine", of=of)
        for v, of in zip((x, w), SIDES, strict=True)
    ]
    return jnp.sum(sides[0] * sides[1])


def test_bundled_matrices():
    """Ridge and least squares as NumPy's; a linear net is bundled exactly."""
    f, y = RNG.normal(size=(9, 4)), RNG.normal(size=(9, 2))
    wide = RNG.normal(size=(4, 9))
    targets = y[:4]

    @jax.jit
    def run():
        loss = lambda psi: (
            jnp.mean(jnp.sum((f @ psi.T - y) ** 2, 1)) + 0.1 * jnp.sum(psi**2)
        )
        best = solve_bundled(jnp.asarray(f), jnp.asarray(y), ridge=0.1)
        w1, w2 = jnp.asarray(wide[:, :3]), jnp.asarray(y[:, :1] @ np.ones((1, 4)))
        net = bundle([lambda x: x, lambda x: x])
        x = jnp.asarray(f[:, :3])
        return {
            "best": best,
            "slope": jax.grad(loss)(best),
            "plain": solve_bundled(jnp.asarray(f), jnp.asarray(y), ridge=0.0),
            "dual": solve_bundled(jnp.asarray(wide), jnp.asarray(targets), ridge=0.1),
            "through": solve_bundled(jnp.asarray(wide), jnp.asarray(targets), ridge=0),
            "linear": (net(x) @ bundle_weights(w2, w1).T, x @ w1.T @ w2.T),
        }

    found = run()
    close: Any = {"rtol": 1e-10, "atol": 1e-12}
    ridge = lambda f, y, n: (
        np.linalg.solve(f.T @ f + 0.1 * n * np.eye(f.shape[1]), f.T @ y).T
    )
    np.testing.assert_allclose(found["best"], ridge(f, y, 9), **close)
    np.testing.assert_allclose(found["slope"], 0, atol=1e-10)
    np.testing.assert_allclose(found["dual"], ridge(wide, targets, 4), **close)
    np.testing.assert_allclose(found["plain"], np.linalg.lstsq(f, y)[0].T, **close)
    np.testing.assert_allclose(wide @ found["through"].T, targets, **close)
    np.testing.assert_allclose(*found["linear"], **close)


def test_scaling_to_a_norm_is_safe():
    drawn = jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32)
    x = jnp.array([[0, 0], [3e-30, 4e-30], [3e30, 4e30], [3, 4]], jnp.float32)
    run = lambda x: relu_features(x, drawn, radius=2.0)
    y, slope = jax.jit(lambda x: (run(x), jax.grad(lambda x: jnp.sum(run(x)))(x)))(x)
    y, slope = np.asarray(y), np.asarray(slope)
    assert not y[0].any() and not slope[0].any() and np.isfinite(slope[1:3]).all()
    np.testing.assert_allclose(y[1:3], y[[3, 3]], rtol=1e-6)


def test_layers_start_as_said():
    """The layer near the net that it stands for, the adapter as the identity."""
    x = jnp.asarray(RNG.normal(size=(5, 8)), jnp.float32)

    @jax.jit
    def run(key):
        layer = kernel_feed_forward(
            8, out=3, num_features=4096, kernel="cosine", radius=1.0
        )
        params, _ = layer.init(key)
        w = jax.nn.initializers.lecun_normal()(key, (8, 3), jnp.float32).T
        adapter = kernel_adapter(8, size=2)
        start = adapter.init(key)
        return (
            layer.apply(params, {}, x, train=True)[0],
            w,
            adapter.apply(*start, x, train=False)[0],
        )

    y, w, same = run(jax.random.key(1))
    one = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)
    np.testing.assert_allclose(
        y, np.cos(one(np.asarray(x)) @ one(np.asarray(w)).T), atol=0.15
    )
    np.testing.assert_array_equal(same, x)


X, G = jnp.ones((2, 3)), jnp.ones((4, 3))
UNKNOWN: Any = "sine"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: relu_features(X, G[:, :2]), "projection"),
        (lambda: relu_features(X, G, radius=0.0), "radius"),
        (lambda: relu_features(jnp.ones((2, 3), int), G), "real floating"),
        (lambda: universal_features(X, G, jnp.ones(3)), "exponents"),
        (lambda: kernel_features(X, G, kernel="sine"), "kernel"),
        (lambda: kernel_feed_forward(0), "features"),
        (lambda: kernel_adapter(3, size=0), "size"),
        (lambda: gaussian_projection(-1, 2, 2), "seed"),
        (lambda: solve_bundled(X, jnp.ones((3, 1))), "features and targets"),
        (lambda: solve_bundled(X, X, ridge=-1.0), "ridge"),
        (lambda: solve_bundled(X[:0], X[:0]), "at least one example"),
        (lambda: bundle_weights(X, X), "following"),
        (lambda: bundle([]), "at least one map"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
