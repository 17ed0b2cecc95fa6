"""Broken layers."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from battery.faults import plant
from battery.layer.toy import TOY, broken, centring, example, with_apply
from battery.parts.common_faults import plant_common
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.trees import accumulation_dtype


def documented(text: str):
    """The toy with another docstring; its own where there is none."""

    def build(features: int, *, amount: float = 1.0) -> Functional:
        return centring(features, amount=amount)

    build.__doc__ = text or centring.__doc__
    return dataclasses.replace(TOY, name="documented", build=build, module=build)


plant_common("layer", broken, documented=documented, example=example)


def of_the_batch(apply, params, state, x, *, train, **options):
    y, new = apply(params, state, x, train=train, **options)
    return (y if train else y + jnp.mean(x)), new


def of_the_example(apply, params, state, x, **options):
    return x + jnp.mean(x, axis=1, keepdims=True), state


def counting_evaluation(apply, params, state, x, *, train, **options):
    y, new = apply(params, state, x, train=train, **options)
    return y, new if train else {"mean": state["mean"] + 1}


def growing_state(apply, params, state, x, **options):
    y, new = apply(params, state, x, **options)
    return y, {**new, "calls": jnp.zeros(())}


def wide_state(apply, params, state, x, **options):
    y, new = apply(params, state, x, **options)
    return y, jax.tree.map(lambda s: s.astype(jnp.float64), new)


def forgetful_of_masks(apply, params, state, x, *, mask=None, **options):
    return apply(params, state, x, **options)


def unmasked_output(apply, params, state, x, *, mask=None, **options):
    y, new = apply(params, state, x, mask=mask, **options)
    return y + (0 if mask is None else 1), new


def product_with_mask(apply, params, state, x, *, mask=None, **options):
    y, new = apply(params, state, x, mask=mask, **options)
    if mask is not None:
        shape = (-1,) + (1,) * (x.ndim - 1)
        y = y + 0 * jnp.sum(x * (mask != 0).astype(x.dtype).reshape(shape))
    return y, new


def greedy(apply, params, state, x, **options):
    y, new = apply(params, state, x, **options)
    return jnp.sin(jnp.sin(y)) * jnp.cos(y), new


def on_one_device(apply, params, state, x, *, axis_name=None, **options):
    return apply(params, state, x, **options)


def fast_variance(apply, params, state, x, **options):
    y, new = apply(params, state, x, **options)
    z = x.astype(accumulation_dtype(x.dtype))
    var = jnp.mean(z * z) - jnp.square(jnp.mean(z))
    return y + var.astype(y.dtype), new


def narrow_statistics(apply, params, state, x, **options):
    y, new = apply(params, state, x, **options)
    mean = jnp.mean(x, axis=tuple(range(x.ndim - 1)), dtype=x.dtype)
    return y, {"mean": mean.astype(new["mean"].dtype)}


def real_parts(apply, params, state, x, **options):
    own = jax.tree.map(jnp.real, (params, state))
    return apply(*own, x, **options)


def _calls():
    seen = []

    def apply_changed(apply, params, state, x, *, train, **options):
        y, new = apply(params, state, x, train=train, **options)
        seen.append(True)
        return y, jax.tree.map(lambda s: s + len(seen) * 1e-3, new)

    return apply_changed


def with_taken_name():
    """The toy with a parameter and a state of one name."""

    def build(features: int, *, amount: float = 1.0) -> Functional:
        init, apply = centring(features, amount=amount)

        def renamed(key=None):
            params, state = init(key)
            return {"scale": params["scale"], "mean": params["bias"]}, state

        def applied(params, state, x, **options):
            own = {"scale": params["scale"], "bias": params["mean"]}
            return apply(own, state, x, **options)

        return Functional(renamed, applied)

    return dataclasses.replace(TOY, name="taken name", build=build)


@jax.custom_vjp
def _doubled(x):
    return x * 1


_doubled.defvjp(lambda x: (x * 1, None), lambda kept, g: (2 * g,))

plant(
    "layer",
    "batch in evaluation",
    "evaluation",
    "on the batch",
    with_apply(of_the_batch),
)
plant(
    "layer",
    "state in evaluation",
    "evaluation",
    "changes the state",
    with_apply(counting_evaluation),
)
plant("layer", "state grows", "state_types", "structure", with_apply(growing_state))
plant("layer", "state is widened", "state_types", "becomes", with_apply(wide_state))
plant(
    "layer",
    "state denied",
    "state_types",
    "row says",
    dataclasses.replace(TOY, state="none"),
)
plant(
    "layer",
    "coupling denied",
    "alone",
    "depends on the others",
    dataclasses.replace(TOY, couples_examples=False),
    also={"positions"},
)
plant(
    "layer",
    "coupling claimed",
    "alone",
    "they do not",
    with_apply(lambda apply, p, s, x, **o: (x * 1, s)),
    also={"positions"},
)
plant(
    "layer",
    "coupled positions denied",
    "positions",
    "depends on later ones",
    with_apply(of_the_example, couples_examples=False),
)
plant(
    "layer",
    "coupling beyond a position denied",
    "positions",
    "depends on later ones",
    with_apply(of_the_example, couples_examples="at a position"),
)
plant(
    "layer",
    "coupled positions claimed",
    "positions",
    "they do not",
    with_apply(
        lambda apply, p, s, x, **o: (x * 1, s),
        couples_examples=False,
        couples_positions=True,
    ),
)
plant(
    "layer",
    "mask ignored",
    "padding",
    "changes something",
    with_apply(forgetful_of_masks),
)
plant(
    "layer",
    "mask multiplied",
    "padding",
    "is seen|something",
    with_apply(product_with_mask),
)
plant(
    "layer",
    "padding not zero",
    "padding",
    "changes something|not zero",
    with_apply(unmasked_output),
)


def doubled_slope(gradient):
    """The toy without a state of its own, twice the derivative, under a loose claim."""
    return broken(lambda r, x: (_doubled(r[0]), r[1]), gradient=gradient)


plant(
    "layer",
    "far from rounded",
    "derivatives",
    "finite differences",
    doubled_slope("rounded"),
)
plant(
    "layer",
    "another mean of samples",
    "derivatives",
    "finite differences",
    doubled_slope("sampled"),
)
plant(
    "layer",
    "own gradient of parameters",
    "derivatives",
    "finite differences",
    doubled_slope("own"),
)
plant(
    "layer",
    "imaginary parts dropped",
    "complex_numbers",
    "dropped without a word",
    with_apply(real_parts),
)
plant("layer", "keeps more", "residual_bytes", "row says", with_apply(greedy))
plant("layer", "fast variance", "large_mean", "large mean", with_apply(fast_variance))
plant(
    "layer",
    "narrow statistics",
    "large_mean",
    "large mean",
    with_apply(narrow_statistics),
)
plant("layer", "own mean", "divided_batch", "on an axis", with_apply(on_one_device))
plant(
    "layer",
    "state of a later pass",
    "first_pass",
    "another state",
    with_apply(_calls()),
)
plant("layer", "taken name in nnx", "nnx_module", "mean|scale", with_taken_name())
plant("layer", "more state", "linen_module", "structure", with_apply(growing_state))
plant(
    "layer",
    "custom rule off",
    "derivatives",
    "finite differences",
    broken(lambda r, x: (_doubled(r[0]), r[1])),
)
