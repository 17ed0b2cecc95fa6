"""The recorded directions and landscapes."""

import json

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from support import vectors


def recorded(name):
    """Description and arrays of a case."""
    with np.load(vectors.VECTORS / "landscape" / f"{name}.npz") as file:
        arrays = {key: jnp.asarray(file[key]) for key in file.files if key != "meta"}
        return json.loads(str(file["meta"])), arrays


def under(arrays, prefix):
    """The arrays whose names begin with ``prefix``, by the rest of their names."""
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def tanh_loss(params, batch):
    """The network of the recordings."""
    x, last = batch["x"], sum(name.startswith("Dense") for name in params) // 2 - 1
    for i in range(last + 1):
        x = x @ params[f"Dense_{i}/kernel"] + params[f"Dense_{i}/bias"][None]
        x = jnp.tanh(x) if i < last else x
    picked = jnp.take_along_axis(jax.nn.log_softmax(x), batch["y"][:, None], axis=1)
    return -jnp.mean(picked)


def case(name, dtype=jnp.float64):
    """Arrays, parameters, both normalised directions and the batch of a case."""
    _, arrays = recorded(name)
    params = trees.cast(under(arrays, "init/"), dtype)
    axes = [
        trees.cast(under(arrays, f"direction{i}/filter_biasbn/"), dtype) for i in (0, 1)
    ]
    batch = trees.cast(under(arrays, "batch/0/"), dtype)
    return arrays, params, axes, batch
