"""Data as a trained network takes them: its calibration set, and sets of one's own."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.data import as_dataset, evaluation_batches
from jaxopt_lab.lab.assembly import Program

_BATCH = 500


def prepared(inputs: Any, kind: str) -> jax.Array:
    """Inputs as the network takes them: integers of images are divided by 255.

    Args:
      inputs: a batch.
      kind: of the data, ``"image"`` or ``"text"``.

    Returns:
      The batch.
    """
    arrays = jax.numpy.asarray(inputs)
    return to_float(arrays) if kind == "image" else arrays


def calibration_inputs(program: Program, count: int) -> list[jax.Array]:
    """Inputs of the first training examples, as the network takes them.

    Args:
      program: of the run.
      count: number of examples.

    Returns:
      Batches without padding.
    """
    name = "image" if program.kind == "image" else "inputs"
    found = []
    for batch in program.fixed(count):
        weight = batch.get("weight")
        inputs = prepared(batch[name], program.kind)
        if weight is not None and not np.all(weight):
            real = flattened(np.asarray(weight)).any(1)
            inputs = inputs[np.flatnonzero(real)]
        found.append(inputs)
    return found


def evaluation_batches_of(data: Any, kind: str) -> Any:
    """Batches of data of one's own.

    Args:
      data: as of ``Run.evaluate``.
      kind: of the data that the run is on.

    Returns:
      Batches, the last one padded.

    Raises:
      InputError: the data are of another kind.
    """
    found = as_dataset({"train": data, "test": data}, "data")
    if found.kind != kind:
        raise InputError(f"the run is on {kind}, the data are {found.kind}")
    size = min(_BATCH, len(next(iter(found.test.values()))))
    return evaluation_batches(found.test, size)
