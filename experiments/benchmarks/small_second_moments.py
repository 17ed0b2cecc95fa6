"""Coded second moments that round to zero: the remedies, measured.

Run as ``python -m experiments.benchmarks.small_second_moments``; a minute. A row of an
embedding gets one gradient of 1e-3 beside a row of ones, then none; and a bigram model
is trained on tokens by Zipf's law, where most rows get a gradient seldom. An element of
the second moment whose code is zero is kept as zero, gets the smallest code (the
default of ``quantize_state``), counts as half a code, or its update is capped at 1.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from jaxopt_lab.core import codecs
from jaxopt_lab.transforms.compressed import moments

TOKENS, WIDTH, BATCH, STEPS, SEEDS, RATE = 512, 16, 64, 400, 5, 0.02


class _Half:
    """A codec whose code zero stands for half of the smallest code above it."""

    def from_codes(self, codes: Any, at: Any, dtype: Any) -> Any:
        decode: Any = super()
        half = decode.from_codes(jnp.ones_like(codes), at, dtype) / 2
        return jnp.where(codes == 0, half, decode.from_codes(codes, at, dtype))


@dataclasses.dataclass(frozen=True)
class _HalfFloat8(_Half, codecs.FloatingPoint8):
    pass


@dataclasses.dataclass(frozen=True)
class _HalfDynamic8(_Half, codecs.Dynamic8):
    pass


# First moment, second moment, and the same with half a code for zero.
KINDS = {
    "dynamic": (
        codecs.Dynamic8(),
        codecs.Dynamic8(signed=False),
        _HalfDynamic8(signed=False),
    ),
    "float8": (codecs.FloatingPoint8(), codecs.FloatingPoint8(), _HalfFloat8()),
    "linear": (codecs.Linear(256), codecs.Linear(256), None),
}


def methods(rate: float) -> dict[str, Any]:
    """The methods, AdamW's step without decay first.

    Args:
      rate: learning rate.

    Returns:
      Optimizers by label.
    """
    adam, step = optax.scale_by_adam(), optax.scale_by_learning_rate(rate)
    found = {"adam": optax.chain(adam, step)}
    for kind, (first, codec, half) in KINDS.items():

        def coded(
            v: Any, zero: bool = False, m: Any = first
        ) -> optax.GradientTransformation:
            return jaxopt_lab.quantize_state(
                adam, m=m, v=v, select=moments(1), round_to_zero=zero
            )

        found[f"{kind}, zero"] = optax.chain(coded(codec, True), step)
        found[f"{kind}, one code"] = optax.chain(coded(codec), step)
        if half is not None:
            found[f"{kind}, half a code"] = optax.chain(coded(half, True), step)
        capped = (coded(codec, True), optax.clip(1.0), step)
        found[f"{kind}, cap"] = optax.chain(*capped)
    return found


def movement(tx: optax.GradientTransformation, steps: int = 6) -> float:
    """Largest movement of the row that gets one small gradient.

    Args:
      tx: an optimizer.
      steps: number of steps.

    Returns:
      The movement.
    """

    def run() -> jax.Array:
        at: Any = jnp.zeros((2, 128))
        state = tx.init(at)
        for t in range(steps):
            grads = at.at[0].set(1.0).at[1].set(0.0 if t else 1e-3)
            updates, state = tx.update(grads, state, at)
            at = optax.apply_updates(at, updates)
        return jnp.max(jnp.abs(at[1]))

    return float(jax.jit(run)())


def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross-entropy of the next token."""
    scores = params["embedding"][x] @ params["output"]
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, y))


def tokens(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of neighbours: seven of ten by a fixed permutation, the rest at random."""
    follows = np.random.default_rng(0).permutation(TOKENS)
    draw = np.random.default_rng(seed)
    zipf = 1 / np.arange(1, TOKENS + 1)
    x = draw.choice(TOKENS, number, p=zipf / zipf.sum())
    regular = draw.random(number) < 0.7
    other = draw.choice(TOKENS, number, p=zipf / zipf.sum())
    return x, np.where(regular, follows[x], other)


def trained(tx: optax.GradientTransformation) -> np.ndarray:
    """The validation loss after training, for each seed.

    Args:
      tx: an optimizer.

    Returns:
      ``(SEEDS,)``.
    """
    x_test, y_test = map(jnp.asarray, tokens(99, 4096))

    def one(key: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        keys = jax.random.split(key)
        shapes = {"embedding": (TOKENS, WIDTH), "output": (WIDTH, TOKENS)}
        params = {
            name: 0.3 * jax.random.normal(k, shape)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

        def step(carry: Any, batch: Any) -> Any:
            params, state = carry
            grads = jax.grad(loss)(params, *batch)
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), (x, y))
        return loss(params, x_test, y_test)

    drawn = zip(*(tokens(s + 1, STEPS * BATCH) for s in range(SEEDS)), strict=True)
    x, y = (np.stack(part).reshape(SEEDS, STEPS, BATCH) for part in drawn)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    return np.asarray(jax.jit(jax.vmap(one))(keys, x, y))


def main() -> None:
    """Print a JSON line for each method."""
    small, large = methods(1e-3), methods(RATE)
    base = None
    for label in small:
        losses = trained(large[label])
        base = losses if base is None else base
        line = {
            "method": label,
            "movement of the small row": round(movement(small[label]), 5),
            "loss": round(float(losses.mean()), 4),
            "loss minus adam's": round(float((losses - base).mean()), 4),
            "standard error": round(float((losses - base).std(ddof=1) / SEEDS**0.5), 4),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
