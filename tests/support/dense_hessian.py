"""Small recorded models whose Hessian is known densely (vectors/curvature_hessian)."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab import curvature
from jaxopt_lab.curvature.operators import operator as operators
from support import vectors

FOLDER = "curvature_hessian"
CASES = ("conv_init", "mlp_init", "mlp_mse", "mlp_trained")


class Problem(NamedTuple):
    """A recorded model at a point, with its data."""

    params: Any
    batch: Any
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    model_fn: Callable[[Any, Any], jax.Array]
    output_losses: Callable[[jax.Array, Any], jax.Array]

    def example_losses(self, params: Any, batch: Any) -> jax.Array:
        return self.output_losses(self.model_fn(params, batch), batch)

    def loss(self, params: Any, batch: Any) -> jax.Array:
        return jnp.mean(self.example_losses(params, batch))

    def output_loss(self, outputs: jax.Array, batch: Any) -> jax.Array:
        return jnp.mean(self.output_losses(outputs, batch))

    def unequal_batches(self) -> list[Any]:
        """The three recorded parts of the batch."""
        bounds = self.arrays["batches/bounds"]
        cuts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        return [{k: x[cut] for k, x in self.batch.items()} for cut in cuts]

    def tree(self, flat: Any, dtype: Any = None) -> Any:
        """A recorded flat vector as a tree like the parameters."""
        leaves, structure = jax.tree.flatten(self.params)
        ends = np.cumsum([x.size for x in leaves])[:-1]
        parts = np.split(np.asarray(flat), ends)
        return jax.tree.unflatten(
            structure,
            [
                jnp.asarray(p.reshape(x.shape), dtype or x.dtype)
                for p, x in zip(parts, leaves, strict=True)
            ],
        )

    def hessian(self, **options: Any) -> curvature.Operator:
        return curvature.hessian(self.loss, self.params, [self.batch], **options)


def flat(tree: Any) -> np.ndarray:
    """A tree as one vector, in the recorded order."""
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def dense(operator: curvature.Operator) -> np.ndarray:
    """An operator as a matrix, column by column."""
    leaves, structure = jax.tree.flatten(operator.like)
    ends = np.cumsum([np.prod(x.shape, dtype=int) for x in leaves])[:-1]
    columns = []
    for unit in np.eye(operator.size):
        parts = [
            jnp.asarray(p.reshape(x.shape), x.dtype)
            for p, x in zip(np.split(unit, ends), leaves, strict=True)
        ]
        columns.append(flat(operator.matvec(jax.tree.unflatten(structure, parts))))
    return np.stack(columns, axis=1)


def diagonal(values: Any, dtype: Any = jnp.float64) -> curvature.Operator:
    """A diagonal matrix, over a tree of two leaves where there is room for them."""
    values = np.asarray(values)
    cut = len(values) // 3
    tree = {
        "a": jnp.asarray(values[:cut], dtype),
        "b": jnp.asarray(values[cut:], dtype),
    }
    if not cut:
        tree = {"b": tree["b"]}
    return operators.make_operator(_multiply, tree, operators.shapes_of(tree))


def _multiply(diagonal: Any, v: Any) -> Any:
    return jax.tree.map(jnp.multiply, diagonal, v)


@functools.cache  # one loss function each: what is compiled for it is found again
def load(name: str, dtype: Any = jnp.float64) -> Problem:
    """One recorded model."""
    with np.load(vectors.VECTORS / FOLDER / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    params: dict[str, Any] = {}
    for key, value in arrays.items():
        if key.startswith("init/"):
            *path, last = key.split("/")[1:]
            node = params
            for part in path:
                node = node.setdefault(part, {})
            node[last] = jnp.asarray(value, dtype)
    target = arrays["batch/0/y"]
    squared = target.dtype.kind == "f"
    batch = {
        "x": jnp.asarray(arrays["batch/0/x"], dtype),
        "y": jnp.asarray(target, dtype if squared else jnp.int32),
    }
    return Problem(
        params,
        batch,
        arrays,
        meta,
        _conv if meta["model"] == "conv" else _mlp,
        _squared_error if squared else _cross_entropy,
    )


def _mlp(params: Any, batch: Any) -> jax.Array:
    h = batch["x"]
    for i in range(len(params)):
        layer = params[f"Dense_{i}"]
        h = h @ layer["kernel"] + layer["bias"][None]
        h = jnp.tanh(h) if i + 1 < len(params) else h
    return h


def _conv(params: Any, batch: Any) -> jax.Array:
    conv, dense_layer = params["Conv_0"], params["Dense_0"]
    h = jax.lax.conv_general_dilated(
        batch["x"],
        conv["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    h = jnp.tanh(h + conv["bias"][None, None, None]).reshape(len(h), -1)
    logits = h @ dense_layer["kernel"] + dense_layer["bias"][None]
    return logits * jnp.exp(params["temperature"])


def _cross_entropy(outputs: jax.Array, batch: Any) -> jax.Array:
    logs = jax.nn.log_softmax(outputs)
    return -jnp.take_along_axis(logs, batch["y"][:, None], axis=1)[:, 0]


def _squared_error(outputs: jax.Array, batch: Any) -> jax.Array:
    return 0.5 * jnp.sum((outputs - batch["y"]) ** 2, axis=1)


def ggn(p, batches, **options):
    return curvature.ggn(p.model_fn, p.output_loss, p.params, batches, **options)


def empirical(p, batches, **options):
    return curvature.empirical_fisher(p.example_losses, p.params, batches, **options)


def hessian(p, batches, **options):
    return curvature.hessian(p.loss, p.params, batches, **options)


BUILD = {"Hv": hessian, "Gv": ggn, "Fv": empirical}


class Loader:
    """Batches from the host, anew for every pass."""

    def __init__(self, batches):
        self.batches, self.passes = batches, 0

    def __iter__(self):
        self.passes += 1
        yield from (jax.tree.map(np.asarray, b) for b in self.batches)
