"""Held-out losses of transformers that are rounded in training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications import corpus, text_model
from experiments.applications.text_model import Shape
from experiments.harness.store import Store
from experiments.studies import programs
from experiments.studies.language_losses.measure import prepare
from experiments.studies.quantized_pretraining.config import Config
from jaxopt_lab.core import codecs
from jaxopt_lab.core.codecs import Codec
from jaxopt_lab.lab.quant_recipe import QuantRecipe
from jaxopt_lab.quantize import LinearGrid, product_grids, quantize_updates
from jaxopt_lab.transforms.compressed import quantize_state
from jaxopt_lab.transforms.compressed.selection import moments

__all__ = ["ARMS", "FLOAT", "Arm", "Measured", "measure", "prepare"]

LINEAR = "qkv|out|gates|down"
FLOAT = "float"


class Arm(NamedTuple):
    """What is rounded.

    Attributes:
      bits: of products, as of ``product_grids``; empty: none is rounded.
      whole: one step for a whole kernel, not one an output.
      m: codec of first moments.
      v: codec of second moments.
      updates: bits of the gradients of kernels before the optimizer; 0: unrounded.
    """

    bits: str = ""
    whole: bool = False
    m: Codec | None = None
    v: Codec | None = None
    updates: int = 0


ARMS: Mapping[str, Arm] = {
    FLOAT: Arm(),
    "w8a8": Arm("w8a8"),
    "w8": Arm("w8"),
    "w4, by outputs": Arm("w4"),
    "w4, by tensors": Arm("w4", whole=True),
    "a4, by tokens": Arm("a4"),
    "g8, by tokens": Arm("g8"),
    "g4, by tokens": Arm("g4"),
    "kernels' gradients, 4 bits": Arm(updates=4),
    "m8, linear": Arm(m=codecs.Linear()),
    "m4, linear": Arm(m=codecs.Linear(bits=4)),
    "v8, linear": Arm(v=codecs.Linear()),
    "v8, dynamic": Arm(v=codecs.dynamic(8, signed=False)),
}


class Measured(NamedTuple):
    """Everything that is measured, by arm, in nats.

    Attributes:
      start: held-out loss before the first step, ``(seeds,)``; the same for all arms.
      losses: after the last one, ``{arm: (seeds,)}``; NaN where it diverged.
      curves: of the training, means over 20 stretches, ``{arm: (stretches, seeds)}``.
    """

    start: np.ndarray
    losses: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]


def shape_of(config: Config) -> Shape:
    """The sizes of the model."""
    size = len(corpus.VOCABULARY)
    return Shape(size, config.width, config.depth, config.heads, config.rate)


def measure(
    config: Config, store: Store, train: np.ndarray, held: np.ndarray
) -> Measured:
    """Train every arm from the same start on the same windows.

    See ``Experiment.measure``.

    Args:
      train: tokens.
      held: tokens of the text that is held out.
    """
    rows, found = store.group("runs"), {}
    for name in config.arms:
        take = lambda arm=ARMS[name]: _of_arm(config, arm, train, held)
        found[name] = rows.measured(name, take)
    losses = {name: row["loss"] for name, row in found.items()}
    curves = {name: row["curve"].T for name, row in found.items()}
    return Measured(found[FLOAT]["start"], losses, curves)


def parts_of(
    config: Config, arm: Arm
) -> tuple[Any, optax.GradientTransformationExtraArgs]:
    """The model of an arm and its optimizer.

    Args:
      config: the size of the study.
      arm: what is rounded.

    Returns:
      ``apply(params, tokens)``, logits; and the transformation.
    """
    shape = shape_of(config)

    def apply(params: Any, tokens: jax.Array) -> jax.Array:
        prefix = jnp.zeros(len(tokens), jnp.int32)
        return text_model.logits(params, tokens, prefix, shape)

    if arm.bits:
        grids = product_grids(arm.bits)
        weights = grids.weights
        if arm.whole:
            assert weights is not None
            weights = LinearGrid(weights.bits, granularity="tensor")
        recipe = QuantRecipe(weights, grids.activations, grids.gradients, match=LINEAR)
        apply = recipe.model(apply)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.rate, max(config.steps // 10, 1), config.steps
    )
    tx = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, 0.9, 0.999, weight_decay=0.1)
    )
    if arm.updates:
        tx = optax.chain(quantize_updates(arm.updates), tx)
    if arm.m is not None or arm.v is not None:
        linear = lambda path, leaf: re.search(LINEAR, path) is not None
        select = moments(1, linear)
        # As published: a small second moment may become 0.
        tx = quantize_state(tx, m=arm.m, v=arm.v, select=select, round_to_zero=True)
    return apply, optax.with_extra_args_support(tx)


def _of_arm(config: Config, arm: Arm, train: np.ndarray, held: np.ndarray) -> Any:
    apply, tx = parts_of(config, arm)
    length = config.context + 1

    def loss(params: Any, tokens: jax.Array) -> jax.Array:
        scores = apply(params, tokens[:, :-1])
        each = optax.softmax_cross_entropy_with_integer_labels(scores, tokens[:, 1:])
        return jnp.mean(each)

    def start(key: jax.Array) -> Any:
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        made = text_model.init(np.random.default_rng(seed), shape_of(config))
        return jax.tree.map(jnp.asarray, made)

    reach = np.arange(length)
    places = np.linspace(0, len(held) - length, config.held).astype(np.int32)
    test = jnp.asarray(held[places[:, None] + reach])

    def run(params: Any, key: jax.Array, train: jax.Array, test: jax.Array) -> Any:
        at = programs.picks(key, config.steps, config.batch, len(train) - length)
        batch_loss = lambda p, at: loss(p, train[at[:, None] + reach[None]])
        last, losses = programs.trained(batch_loss, tx, params, at)
        curve = jnp.mean(losses.reshape(-1, max(config.steps // 20, 1)), axis=1)
        return {"start": loss(params, test), "loss": loss(last, test), "curve": curve}

    return programs.over_starts(start, run, config, jnp.asarray(train), test)
