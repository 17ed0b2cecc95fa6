"""Hessian products and Lanczos: flops, paired times, and other libraries.

Run as ``python -m experiments.benchmarks.curvature``. Flops are those that XLA counts;
times are paired. The dense network is 784-256-256-10 at batch 512, the convolutional
one has two convolutions, at batch 128. PyHessian and curvlinops are measured on the
same weights and data where they are installed (with torch), and reported as not
installed elsewhere; ``curvature_peers`` holds their side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.benchmarks import curvature_peers
from experiments.benchmarks.paired import Ratio, ratio, report
from jaxopt_lab import curvature
from jaxopt_lab.core.typing import PyTree

STEPS = 20
PAIRS = 10
SIZES = (784, 256, 256, 10)
DENSE_BATCH = 512
IMAGE = (16, 16, 3)
CONV_BATCH = 128
CHANNELS = 32
CLASSES = 10

# (figure, largest value it may have)
BARS = {
    "dense, flops of a product / gradient": 2.1,
    "conv, Lanczos-20 per step / product": 2.5,
}


def dense_problem() -> tuple[PyTree, dict[str, Array]]:
    """Weights of the dense network and a batch.

    Returns:
      ``(params, batch)``, float32.
    """
    key = jax.random.key(0)
    params = {}
    for i, (a, b) in enumerate(itertools.pairwise(SIZES)):
        kernel = jax.random.normal(jax.random.fold_in(key, i), (a, b)) / a**0.5
        params[f"layer{i}"] = {"kernel": kernel, "bias": jnp.zeros(b)}
    return params, _batch((DENSE_BATCH, SIZES[0]))


def conv_problem() -> tuple[PyTree, dict[str, Array]]:
    """Weights of the convolutional network and a batch.

    Returns:
      ``(params, batch)``, float32.
    """
    keys = jax.random.split(jax.random.key(1), 3)
    wide = IMAGE[0] // 4 * (IMAGE[1] // 4) * CHANNELS
    shapes = ((3, 3, IMAGE[2], CHANNELS), (3, 3, CHANNELS, CHANNELS), (wide, CLASSES))
    params = {
        name: jax.random.normal(key, shape) / np.prod(shape[:-1]) ** 0.5
        for name, key, shape in zip(("one", "two", "head"), keys, shapes, strict=True)
    }
    return params, _batch((CONV_BATCH, *IMAGE))


def _batch(shape: tuple[int, ...]) -> dict[str, Array]:
    x_key, y_key = jax.random.split(jax.random.key(2))
    return {
        "x": jax.random.normal(x_key, shape),
        "y": jax.random.randint(y_key, shape[:1], 0, CLASSES),
    }


def dense_model(params: PyTree, batch: dict[str, Array]) -> Array:
    """Logits of the tanh network.

    Args:
      params: as ``dense_problem`` gives them.
      batch: ``x`` of shape ``(examples, 784)``.

    Returns:
      ``(examples, 10)``.
    """
    h = batch["x"]
    for i in range(len(params)):
        h = h @ params[f"layer{i}"]["kernel"] + params[f"layer{i}"]["bias"]
        h = jnp.tanh(h) if i + 1 < len(params) else h
    return h


def conv_model(params: PyTree, batch: dict[str, Array]) -> Array:
    """Logits of the convolutional network.

    Args:
      params: as ``conv_problem`` gives them.
      batch: ``x`` of shape ``(examples, 16, 16, 3)``.

    Returns:
      ``(examples, 10)``.
    """
    h = batch["x"]
    for name in ("one", "two"):
        h = jax.lax.conv_general_dilated(
            h,
            params[name],
            (2, 2),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        h = jnp.tanh(h)
    return h.reshape(len(h), -1) @ params["head"]


def output_loss(logits: Array, batch: dict[str, Array]) -> Array:
    """Mean cross-entropy.

    Args:
      logits: ``(examples, 10)``.
      batch: ``y`` of shape ``(examples,)``.

    Returns:
      Scalar.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
    return jnp.mean(losses)


def dense_loss(params: PyTree, batch: dict[str, Array]) -> Array:
    """Loss of the dense network."""
    return output_loss(dense_model(params, batch), batch)


def conv_loss(params: PyTree, batch: dict[str, Array]) -> Array:
    """Loss of the convolutional network."""
    return output_loss(conv_model(params, batch), batch)


def waiting(fn: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """A call that blocks until its result is ready.

    Args:
      fn: the function.
      *args: its arguments.

    Returns:
      A function without arguments.
    """
    return lambda: jax.block_until_ready(fn(*args))


def flops(fn: Callable[..., Any], *args: Any) -> float:
    """Flops of a compiled call, as XLA counts them.

    Args:
      fn: a traceable function.
      *args: its arguments.

    Returns:
      The number.
    """
    analysis = jax.jit(fn).lower(*args).compile().cost_analysis()
    return float(analysis["flops"])  # type: ignore[index]


def against_gradient(
    name: str, loss: Any, model: Any, params: PyTree, batch: Any
) -> dict[str, Any]:
    """Cost of products in gradients.

    Args:
      name: of the network, for the labels.
      loss: its loss.
      model: its outputs.
      params: the point.
      batch: the batch.

    Returns:
      Figures by label.
    """
    gradient = waiting(jax.jit(jax.grad(loss)), params, batch)
    h = curvature.hessian(loss, params, [batch])
    linear = curvature.hessian(loss, params, [batch], linearize=True)
    g = curvature.ggn(model, output_loss, params, [batch])
    whole = flops(jax.grad(loss), params, batch)
    operators = {"product": h, "product, linearized": linear, "GGN product": g}
    figures: dict[str, Any] = {}
    for label, operator in operators.items():
        assert operator.apply is not None
        used = flops(operator.apply, operator.data, params)
        figures[f"{name}, flops of a {label} / gradient"] = used / whole
        run = waiting(operator.matvec, params)
        figures[f"{name}, time of a {label} / gradient"] = ratio(
            run, gradient, pairs=PAIRS, repeat=3
        )
    return figures


def lanczos_steps(name: str, operator: curvature.Operator, v: PyTree) -> dict[str, Any]:
    """Cost of a Lanczos step in products.

    Args:
      name: of the network, for the labels.
      operator: the Hessian.
      v: a vector.

    Returns:
      Figures by label.
    """
    key = jax.random.key(3)

    def products() -> None:
        for _ in range(STEPS):
            jax.block_until_ready(operator.matvec(v))

    host = ratio(lambda: curvature.lanczos(operator, key, STEPS), products, pairs=PAIRS)
    return {
        f"{name}, Lanczos-{STEPS} per step / product": host,
        f"{name}, Lanczos-{STEPS} end to end, seconds": host.seconds[0],
    }


def traced_step(operator: curvature.Operator, v: PyTree) -> Ratio:
    """A traced Lanczos step against a product: why the host drives it on CPU.

    Args:
      operator: the Hessian of the convolutional network.
      v: a vector.

    Returns:
      The ratio, of two steps against two products.
    """
    key = jax.random.key(3)

    def traced() -> None:
        result = curvature.lanczos(operator, key, 2, traced=True)
        jax.block_until_ready(result.values)

    def products() -> None:
        for _ in range(2):
            jax.block_until_ready(operator.matvec(v))

    return ratio(traced, products, pairs=2)


def peers(params: PyTree, batch: dict[str, Array]) -> dict[str, Any]:
    """Products and Lanczos against the libraries that are installed.

    Args:
      params: weights of the dense network.
      batch: its batch.

    Returns:
      Figures by label; "not installed" where they are not.
    """
    operator = curvature.hessian(dense_loss, params, [batch])
    ours = waiting(operator.matvec, params)
    figures: dict[str, Any] = {}
    for name, build in curvature_peers.PEERS.items():
        label = f"dense, time of a product of {name} / ours"
        if (missing := curvature_peers.missing(name)) is not None:
            figures[label] = f"not installed: {missing}"
            continue
        product = build(params, batch)
        expected = operator.matvec(params)
        curvature_peers.check(product(params), expected)
        theirs = lambda product=product: product(params)
        figures[label] = ratio(theirs, ours, pairs=PAIRS)
    return figures


def main() -> None:
    """Measure and print."""
    params, batch = dense_problem()
    figures = against_gradient("dense", dense_loss, dense_model, params, batch)
    h = curvature.hessian(dense_loss, params, [batch])
    figures |= lanczos_steps("dense", h, params)
    params_conv, batch_conv = conv_problem()
    figures |= against_gradient("conv", conv_loss, conv_model, params_conv, batch_conv)
    h = curvature.hessian(conv_loss, params_conv, [batch_conv])
    figures |= lanczos_steps("conv", h, params_conv)
    if jax.default_backend() == "cpu":
        figures["conv, traced Lanczos per step / product"] = traced_step(h, params_conv)
    figures |= peers(params, batch)
    for label, most in BARS.items():
        value = figures[label]
        value = value.median if isinstance(value, Ratio) else value
        figures[f"{label}, at most {most}"] = "met" if value <= most else "NOT met"
    report("curvature", figures)


if __name__ == "__main__":
    main()
