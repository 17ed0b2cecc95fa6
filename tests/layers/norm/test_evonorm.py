"""EvoNorm against timm, and the properties of its six forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import load, replay

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import evonorm_b0, evonorm_s0

RNG = np.random.default_rng(0)
FORMS = ("b0", "b1", "b2", "s0", "s1", "s2")
X = RNG.normal(1.0, 2.0, (3, 4, 5, 6))


def layer(form, features=6, **options):
    if form.startswith("b"):
        return evonorm_b0(features, form=form, **options)
    return evonorm_s0(features, form=form, **{"groups": 2, **options})


@pytest.mark.full(plain=["b0_default", "s0_g2"])
@pytest.mark.parametrize(
    "case", ["b0_default", "b0_eps1e-5_m03", "s0_g2", "s0_g8_eps1e-3", "s0_no_act"]
)
def test_vectors(case):
    meta, arrays = load("evonorm", case)
    options = {"eps": meta["eps"], "activate": meta["apply_act"]}
    if meta["kind"] == "B0":
        options["momentum"] = meta["torch_momentum"]
    else:
        options["groups"] = meta["groups"]
    core = layer(meta["kind"].lower(), arrays["weight/scale"].size, **options)
    names = ("scale", "bias", "v") if meta["apply_act"] else ("scale", "bias")
    state = {"var": "var"} if meta["kind"] == "B0" else {}
    replay(core, meta, arrays, params=names, state=state)


def by_hand(form, x, v, eps, groups=2):
    """The formulas of the paper in NumPy, without scale and bias."""
    places = (1, 2)
    batch = np.sqrt(x.var((0, 1, 2), keepdims=True) + eps)
    root = np.sqrt(np.mean(x * x, places, keepdims=True) + eps)
    deviation = np.sqrt(x.var(places, keepdims=True) + eps)
    apart = x.reshape(*x.shape[:-1], groups, -1)
    spread = lambda f: np.broadcast_to(f, apart.shape).reshape(x.shape)
    group = spread(np.sqrt(apart.var((1, 2, 4), keepdims=True) + eps))
    square = spread(np.sqrt(np.mean(apart**2, (1, 2, 4), keepdims=True) + eps))
    silu = lambda v: x / (1 + np.exp(-v * x))
    return {
        "b0": lambda: x / np.maximum(batch, v * x + deviation),
        "b1": lambda: x / np.maximum(batch, (x + 1) * root),
        "b2": lambda: x / np.maximum(batch, root - x),
        "s0": lambda: silu(v) / group,
        "s1": lambda: silu(1.0) / group,
        "s2": lambda: silu(1.0) / square,
    }[form]()


def test_the_six_formulas_and_their_exact_limits():
    x = jnp.asarray(X)
    v = RNG.normal(size=6)

    def outputs(x, v):
        found = {}
        for form in FORMS:
            core = layer(form, eps=1e-12)
            params, state = jax.tree.map(lambda p: p.astype(float), core.init())
            if "v" in params:
                params["v"] = v
            found[form], new = core.apply(params, state, x, train=True)
            if state:
                found[f"{form} stored"] = new["var"]
        return found

    run = jax.jit(outputs)
    found, scaled = run(x, v), run(3 * x, v)
    for form in FORMS:
        np.testing.assert_allclose(found[form], by_hand(form, X, v, 1e-12), rtol=1e-9)
        same = np.allclose(scaled[form], found[form], rtol=1e-6)
        assert same == (form in ("b0", "b2")), form
    stored = 0.9 + 0.1 * X.var((0, 1, 2), ddof=1)
    for form in ("b0", "b1", "b2"):
        np.testing.assert_allclose(found[f"{form} stored"], stored, rtol=1e-9)
    one, zero = run(x, np.ones(6)), run(x, np.zeros(6))
    np.testing.assert_allclose(one["s0"], one["s1"], rtol=1e-12)
    apart = X.reshape(3, 4, 5, 2, 3)
    half = 0.5 * apart / apart.std((1, 2, 4), keepdims=True)
    np.testing.assert_allclose(zero["s0"], half.reshape(X.shape), rtol=1e-9)


def test_b0_without_v_is_division_by_the_deviation_of_the_batch():
    # Examples that vary less than the batch.
    x = 0.1 * X + np.array([-3.0, 0.0, 3.0])[:, None, None, None]
    core = layer("b0", eps=1e-12)
    params = {"scale": np.ones(6), "bias": np.zeros(6), "v": np.zeros(6)}
    run = jax.jit(lambda x: core.apply(params, {"var": np.ones(6)}, x, train=True)[0])
    np.testing.assert_allclose(run(x), x / x.std((0, 1, 2)), rtol=1e-9)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: evonorm_s0(6, groups=4), "groups must divide the features, 6; got"),
        (lambda: evonorm_b0(6, form="s0"), "unknown form 's0'"),  # type: ignore
        (lambda: evonorm_b0(6, momentum=1.5), "momentum must lie in"),
    ],
)
def test_options_out_of_range(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_batch_of_one_value_is_refused():
    core = evonorm_b0(6)
    params, state = core.init()
    with pytest.raises(InputError, match="evonorm_b0 .* at least two values"):
        core.apply(params, state, np.ones((1, 1, 6)), train=True)
    assert evonorm_s0(3).init()[0]["v"].shape == (3,)
