"""A trained run in formats that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.lab import weights
from jaxopt_lab.lab.trained_run import Run

_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def with_arrays(run: Run, named: Mapping[str, Any]) -> Run:
    """The run with weights that were exported.

    Args:
      run: gives structure, shapes and dtypes.
      named: as ``weights.named`` gives them.

    Returns:
      A run with these weights.

    Raises:
      InputError: an array is missing or of another shape.
    """

    def filled(part: str, tree: Any) -> Any:
        leaves = []
        for path, leaf in trees.leaves_with_path(tree):
            name = f"{part}/{trees.path_name(path)}"
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaves.append(leaf)
                continue
            if name not in named or np.shape(named[name]) != leaf.shape:
                got = np.shape(named[name]) if name in named else "nothing"
                raise InputError(f"{name}: got {got}; accepted: shape {leaf.shape}")
            leaves.append(jnp.asarray(named[name], leaf.dtype))
        return jax.tree.unflatten(jax.tree.structure(tree), leaves)

    return run.with_weights(
        filled("params", run.params), filled("model_state", run.model_state)
    )


def _npz(run: Run, path: Path) -> None:
    named: dict[str, Any] = dict(weights.named(run.params, run.model_state))
    np.savez(path, **named)


def _safetensors(run: Run, path: Path) -> None:
    save_file = weights.needed("safetensors.numpy", "to=safetensors").save_file
    told = {"format": "flax", "model": run.configuration.run.model}
    save_file(weights.named(run.params, run.model_state), path, metadata=told)


def _stablehlo(run: Run, path: Path) -> None:
    weights.needed("flatbuffers", "to=stablehlo")
    from jax import export

    params, model_state = run.params, run.model_state

    def outputs(inputs: jax.Array) -> jax.Array:
        return run.model.apply(params, model_state, inputs, train=False)[0]

    (batch,) = export.symbolic_shape("batch")
    dtype = jnp.int32 if run.kind == "text" else jnp.float32
    inputs = jax.ShapeDtypeStruct((batch, *run.input_shape), dtype)
    exported = export.export(jax.jit(outputs), platforms=_PLATFORMS)(inputs)
    path.write_bytes(exported.serialize())


FORMATS: dict[str, tuple[str, Callable[[Run, Path], None]]] = {
    "npz": ("weights.npz", _npz),
    "safetensors": ("weights.safetensors", _safetensors),
    "stablehlo": ("model.stablehlo", _stablehlo),
}
"""By format: the file's usual name, and its writer."""


def check(to: str) -> None:
    """Refuse an unknown format.

    Args:
      to: name of the format.

    Raises:
      InputError: there is none of this name.
    """
    if to not in FORMATS:
        raise InputError(f"to={to}; accepted: {', '.join(FORMATS)}")


def write(run: Run, to: str, path: str | Path = "") -> Path:
    """Write a run's weights, or its program with them.

    Args:
      run: the run; of several seeds the first.
      to: ``"npz"`` or ``"safetensors"``, the weights by name; ``"stablehlo"``, the
        compiled network in evaluation mode with its weights, for any batch size, as
        ``jax.export.deserialize`` reads it.
      path: of the file; empty: the usual name in the run's folder.

    Returns:
      The path.

    Raises:
      InputError: there is no such format, its package is missing, or the file cannot be
        written.
    """
    check(to)
    usual, writer = FORMATS[to]
    file = Path(path).expanduser() if path else run.folder / usual
    try:
        writer(run.seed(0), file)
    except OSError as error:
        raise InputError(f"cannot write {file}: {reason(error)}") from None
    return file
