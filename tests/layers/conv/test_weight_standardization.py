"""Weight standardization against the four published forms, and its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import CLOSE, load

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import weight_standardization, ws_conv

FORMS = {
    "bcn_repo": {},
    "ws_repo": {"eps_place": "deviation"},
    "timm_std": {"ddof": 0, "eps": 1e-6},
    "timm_scaled_std": {"ddof": 0, "eps": 1e-6, "gain": True, "gamma": 1.7},
}
PLAIN = ["bcn_constant_filter", "timm_scaled_std_k3", "wsrepo_constant_filter"]
DEAR = ["bcn_k3", "bcn_k3_s2_groups", "timm_std_k3", "wsrepo_k3", "wsrepo_tiny_weights"]


@pytest.mark.full(plain=PLAIN)
@pytest.mark.parametrize("case", [*PLAIN, *DEAR])
def test_vectors(case):
    meta, arrays = load("ws_conv", case)
    params = {n[7:]: a for n, a in arrays.items() if n.startswith("weight/")}
    core = ws_conv(
        arrays["input/x"].shape[-1],
        out=params["kernel"].shape[-1],
        stride=meta["stride"],
        padding=meta["padding"],
        groups=meta["groups"],
        use_bias="bias" in params,
        **FORMS[meta["variant"]],
    )

    @jax.jit
    def run(params, x):
        y, back = jax.vjp(lambda p, x: core.apply(p, {}, x, train=True)[0], params, x)
        return y, *back(arrays["input/cotangent"])

    y, slopes, slope = run(params, arrays["input/x"])
    np.testing.assert_allclose(y, arrays["output/y"], **CLOSE)
    np.testing.assert_allclose(slope, arrays["grad/x"], **CLOSE)
    # 1e5 is what a constant filter multiplies a gradient with.
    loose = {**CLOSE, "atol": 1e-8} if meta["edge"] == "const" else CLOSE
    for name, got in slopes.items():
        np.testing.assert_allclose(got, arrays[f"grad/{name}"], **loose, err_msg=name)


def test_filters_have_mean_zero_and_variance_one_at_any_scale_and_offset():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5))
    for ddof in (0, 1):
        standard = jax.jit(
            lambda w, d=ddof: weight_standardization(ddof=d, eps=1e-12).apply({}, w)
        )
        w = standard(kernel)
        np.testing.assert_allclose(np.mean(w, (0, 1, 2)), 0, atol=1e-12)
        np.testing.assert_allclose(np.var(w, (0, 1, 2), ddof=ddof), 1, rtol=1e-9)
        np.testing.assert_allclose(standard(3 * kernel + 2), w, rtol=1e-8, atol=1e-9)


def test_constant_filters_have_finite_derivatives_to_second_order():
    weights = jnp.cos(jnp.arange(8.0)).reshape(2, 2, 1, 2)
    for place in ("variance", "deviation"):
        transform = weight_standardization(eps_place=place)
        value = lambda w, t=transform: jnp.sum(weights * t.apply({}, w) ** 3)
        second = jax.jit(jax.hessian(value))(jnp.full((2, 2, 1, 2), 0.3))
        assert np.all(np.isfinite(second))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"groups": 2}, "groups must divide the channels, 3 of the input and 3 of"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"eps_place": "root"}, "unknown eps_place 'root'"),
        ({"size": 0}, "size must be a whole number of at least 1"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        ws_conv(3, **options)


def test_inputs_that_do_not_fit():
    core = ws_conv(3, stride=2)
    params = jax.eval_shape(core.init, jax.random.key(0))[0]
    run = lambda x, mask=None: jax.eval_shape(
        lambda p: core.apply(p, {}, x, train=True, mask=mask), params
    )
    with pytest.raises(InputError, match=r"takes images \(B, height, width, 3\)"):
        run(np.ones((2, 4, 3)))
    with pytest.raises(InputError, match="mask of positions needs an output of the si"):
        run(np.ones((2, 4, 4, 3)), np.ones((2, 4, 4)))
    with pytest.raises(InputError, match="init draws the kernel"):
        core.init(None)
