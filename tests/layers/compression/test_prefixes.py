"""Sub-networks that are prefixes: masked is cut, gradients stay inside, draws."""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    SubNetwork,
    active_units,
    evaluate_all,
    extract_subnetwork,
    mask_params,
    prefix_mask,
    sample_subnetworks,
    sub_networks,
    with_sub_networks,
)

WIDTHS, DEPTHS = (0.25, 0.5, 1.0), (1, 2, 3)
ALL = sub_networks(WIDTHS, DEPTHS)
AXES = {
    r"^in": (None, "width"),
    r"block_(?P<block>\d+)/one": ("width", "width"),
    r"block_(?P<block>\d+)/two": ("width", "width"),
    r"stacked": ("depth", "width"),
    r"mean": ("width",),
    r"^out": ("width", None),
}
OF_PARAMS = {pattern: kinds for pattern, kinds in AXES.items() if pattern != "mean"}
RNG = np.random.default_rng(0)
PARAMS = {
    "in": RNG.normal(size=(3, 8)),
    **{
        f"block_{i}": {n: RNG.normal(size=(8, 8)) / 3 for n in ("one", "two")}
        for i in range(3)
    },
    "stacked": RNG.normal(size=(3, 8)),
    "out": RNG.normal(size=(8, 2)),
    "bias": RNG.normal(size=2),
}
STATE = {"mean": RNG.normal(size=8)}
X = RNG.normal(size=(5, 3))


def forward(params, x, xp):
    """A residual network of as many blocks and units as the parameters have."""
    h, i = xp.tanh(x @ params["in"]), 0
    while f"block_{i}" in params:
        block = params[f"block_{i}"]
        h = h + xp.tanh(h @ block["one"]) @ block["two"] * params["stacked"][i : i + 1]
        i += 1
    return h @ params["out"] + params["bias"][None], h


def apply(params, state, x, *, train, key=None):
    y, h = forward(params, x, jnp)
    return y, {"mean": 0.5 * state["mean"] + jnp.mean(h, 0)}


@functools.cache
def masked():
    """Outputs, states and gradients of all candidates, in one program."""
    network = with_sub_networks(Functional(lambda key: (PARAMS, STATE), apply), AXES)

    def one(params, sub):
        y, state = network.apply(params, STATE, (X, sub), train=True)
        return jnp.sum(jnp.sin(y)), (y, state)

    of = jax.value_and_grad(one, has_aux=True)
    run = jax.jit(lambda params: evaluate_all(lambda sub: of(params, sub), ALL))
    return jax.device_get(run(PARAMS))


def each():
    return [SubNetwork(float(w), int(d)) for w, d in zip(*ALL, strict=True)]


def test_masked_is_the_extracted_network_with_its_own_statistics():
    (_, (outputs, states)), _ = masked()
    sizes = []
    for i, sub in enumerate(each()):
        small = extract_subnetwork(PARAMS, AXES, sub)
        y, h = forward(small, X, np)
        np.testing.assert_allclose(outputs[i], y, rtol=1e-10)
        units = h.shape[1]
        kept = extract_subnetwork(STATE, AXES, sub)["mean"]
        mean = 0.5 * kept + np.mean(h, 0)
        np.testing.assert_allclose(states["mean"][i][:units], mean, rtol=1e-10)
        np.testing.assert_array_equal(states["mean"][i][units:], STATE["mean"][units:])
        sizes.append((units, sum(n.startswith("block") for n in small)))
        assert small["stacked"].shape == (sizes[-1][1], units)
    assert sizes == [(u, d) for u in (2, 4, 8) for d in DEPTHS]


def test_a_known_sub_network_is_extracted_under_jit():
    sub = SubNetwork(0.5, 1)
    found = jax.jit(lambda params: extract_subnetwork(params, AXES, sub))(PARAMS)
    jax.tree.map(
        np.testing.assert_array_equal, found, extract_subnetwork(PARAMS, AXES, sub)
    )


def test_gradients_are_zero_outside_of_the_prefix_and_not_inside():
    _, grads = masked()
    ones = jax.tree.map(np.ones_like, PARAMS)
    for i, sub in enumerate(each()):
        inside = mask_params(ones, OF_PARAMS, sub)
        found = jax.tree.map(lambda g, i=i: (g[i] != 0).astype(float), grads)
        jax.tree.map(np.testing.assert_array_equal, found, inside)


def test_smaller_ones_are_in_larger_ones_and_the_last_is_the_largest():
    ones = jax.tree.map(np.ones_like, PARAMS)
    sums = [mask_params(ones, OF_PARAMS, sub) for sub in each()]
    for small, large in ((0, 1), (0, 3), (4, 8), (2, 8)):
        jax.tree.map(
            lambda a, b: np.all(a <= b) or pytest.fail("no prefix"),
            sums[small],
            sums[large],
        )
    jax.tree.map(np.testing.assert_array_equal, sums[-1], ones)
    assert float(ALL.width[-1]) == 1 and int(ALL.depth[-1]) == 3


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_units_are_the_nearest_number_whatever_the_rounding_of_the_share(n):
    for k in range(1, n + 1, max(n // 4, 1)):
        assert int(active_units(n, k / n)) == k
    assert int(active_units(n, 1e-6)) == 1
    assert prefix_mask(n, 1).tolist() == [True] + [False] * (n - 1)


def test_draws_are_uniform_and_may_hold_the_full_network():
    @jax.jit
    def draw(key):
        few = sample_subnetworks(key, ALL, 2, always_full=True)
        return sample_subnetworks(key, ALL, 9000), few

    drawn, full = draw(jax.random.key(0))
    place = 3 * np.searchsorted(WIDTHS, drawn.width) + np.asarray(drawn.depth) - 1
    counts = np.bincount(place, minlength=9)
    assert np.all(np.abs(counts - 1000) <= 5 * np.sqrt(1000))
    assert (float(full.width[-1]), int(full.depth[-1])) == (1.0, 3)


def network(axes):
    whole = Functional(lambda key: (PARAMS, STATE), apply)
    return with_sub_networks(whole, axes)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: sub_networks(()), "widths must be shares"),
        (lambda: sub_networks((0.0, 1.0)), "above 0 and at most 1"),
        (lambda: sub_networks((float("nan"),)), "above 0 and at most 1"),
        (lambda: sub_networks(depths=(0,)), "depths must be whole numbers"),
        (
            lambda: sub_networks(depths=cast(Any, (1.5,))),
            "depths must be whole numbers",
        ),
        (lambda: sample_subnetworks(jax.random.key(0), ALL, 0), "n must be"),
        (lambda: mask_params(PARAMS, {"none": ()}, ALL), "'none' finds no leaf; .*in"),
        (
            lambda: mask_params(PARAMS, {"^in": ("width",)}, ALL),
            r"in of shape \(3, 8\)",
        ),
        (
            lambda: mask_params(PARAMS, {"^in": (None, "units")}, ALL),
            "'width', 'depth' or None; got",
        ),
        (
            lambda: network({"none": ()}).apply(PARAMS, STATE, (X, ALL), train=True),
            "there are .*bias.*, mean",
        ),
        (
            lambda: extract_subnetwork(PARAMS, {"none": ()}, SubNetwork(0.5, 1)),
            "axes: none of 'none' finds a leaf; there are .*bias",
        ),
        (
            lambda: jax.jit(
                lambda w: extract_subnetwork(PARAMS, AXES, SubNetwork(w, 1))
            )(0.5),
            "cannot be traced; under jit call mask_params",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
