"""Reference trajectories: the models they were made with, and how to replay them."""

from __future__ import annotations

import json
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

VECTORS = pathlib.Path(__file__).parents[1] / "vectors"


class Case(NamedTuple):
    """One recorded run: its description, and arrays by name and step."""

    meta: dict[str, Any]
    init: dict[str, np.ndarray]
    batches: list[dict[str, np.ndarray]]
    params: list[dict[str, np.ndarray]]
    arrays: dict[str, np.ndarray]


def cases(method: str) -> list[str]:
    """Names of the recorded cases of a method."""
    return sorted(p.stem for p in (VECTORS / method).glob("*.npz"))


def load(method: str, name: str) -> Case:
    """Read one case."""
    with np.load(VECTORS / method / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))

    def under(prefix: str) -> dict[str, np.ndarray]:
        start = f"{prefix}/"
        return {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}

    steps = range(meta["steps"])
    return Case(
        meta=meta,
        init=under("init"),
        batches=[under(f"batch/{t}") for t in steps],
        params=[under(f"params/{t}") for t in steps],
        arrays=arrays,
    )


def loss(meta: dict[str, Any]):
    """The loss function that a case was recorded with."""

    def logits(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        if meta["model"] == "conv":
            y = jax.lax.conv_general_dilated(
                x, w["conv.weight"], (1, 1), "SAME", dimension_numbers=_NHWC
            )
            h = jnp.tanh(y + w["conv.bias"][None, None, None]).reshape(len(x), -1)
            h = jnp.tanh(h @ w["dense1.weight"] + w["dense1.bias"][None]) * w["scale"]
        else:
            h = jnp.tanh(x @ w["dense1.weight"] + w["dense1.bias"][None])
        return h @ w["dense2.weight"] + w["dense2.bias"][None]

    def loss_fn(w: dict[str, jax.Array], batch: dict[str, jax.Array]) -> jax.Array:
        out = jax.nn.log_softmax(logits(w, batch["x"]))
        value = -jnp.mean(jnp.take_along_axis(out, batch["y"][:, None], axis=1))
        decay = meta.get("l2_in_loss", 0.0)
        return value + 0.5 * decay * sum(jnp.sum(p**2) for p in w.values())

    return loss_fn


_NHWC = ("NHWC", "HWIO", "NHWC")


def base_optimizer(meta: dict[str, Any]) -> optax.GradientTransformation:
    """The base optimizer of a case, in optax's words."""
    options = dict(meta["base_optimizer"])
    name, rate = options.pop("name"), options.pop("lr")
    if "lr_schedule" in meta:
        rate = schedule(meta["lr_schedule"])
    decay = options.pop("weight_decay", 0.0)
    if name == "adamw":
        return optax.adamw(rate, weight_decay=decay, **options)
    if name == "adam":
        base = optax.adam(rate, **options)
    else:
        base = optax.sgd(
            rate, options.get("momentum"), nesterov=options.get("nesterov", False)
        )
    return optax.chain(optax.add_decayed_weights(decay), base) if decay else base


def schedule(values: list[float]) -> optax.Schedule:
    """A recorded list of values as a schedule of the step count."""
    return lambda count: jnp.asarray(values)[count]


def cast(tree: Any, dtype: Any) -> Any:
    """Arrays of a case as jax arrays, floating ones in ``dtype``."""
    return jax.tree.map(
        lambda x: jnp.asarray(x, dtype if x.dtype.kind == "f" else jnp.int32), tree
    )


def max_error(tree: Any, reference: Any) -> float:
    """Largest absolute difference between two trees; NaN if either has one."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(reference), strict=True)
    return float(max(np.max(np.abs(np.asarray(a) - np.asarray(b))) for a, b in pairs))
