"""Classes of new inputs: ``jaxopt-lab predict run=runs/NAME input=FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.lab import plain_options
from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.run_choice import ACCEPTED, NEEDED, RunChoice

_SHOWN = 20


@dataclass(frozen=True)
class PredictOptions(RunChoice):
    """A run, and the inputs."""

    input: str = ""
    """file of inputs: an array .npy of one or several, or an image"""
    out: str = ""
    """file .npz for classes and probabilities; empty: they are printed only"""


def _predict(words: Sequence[str]) -> int:
    options = plain_options.parse(
        PredictOptions,
        words,
        "predict",
        "The most likely classes of the inputs in a file: {command} run=runs/NAME "
        "input=image.png\nIntegers are divided by 255, as in training; a picture of "
        "another size is resized, which is said.",
        accepted=ACCEPTED,
        needed={**NEEDED, "input": "a file .npy, or an image"},
    )
    path = Path(options.input).expanduser()
    if not path.is_file():
        raise InputError(f"no file {path}")
    run = options.load("predict")
    inputs = _read(path, run.input_shape)
    logits = np.asarray(run.apply(inputs), np.float64)
    if run.kind == "text":
        logits = logits[:, -1]
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities = shifted / shifted.sum(-1, keepdims=True)
    for i, row in enumerate(probabilities[:_SHOWN]):
        best = np.argsort(-row, kind="stable")[:3]
        told = ", ".join(f"{c} ({100 * row[c]:.1f} %)" for c in best)
        print(f"{path.name}[{i}]: {told}" if len(inputs) > 1 else told)
    if len(inputs) > _SHOWN:
        print(f"... {len(inputs) - _SHOWN} more; out=FILE.npz writes all")
    if options.out:
        out = Path(options.out).expanduser()
        classes = probabilities.argmax(-1)
        try:
            np.savez(out, classes=classes, probabilities=probabilities)
        except OSError as error:
            raise InputError(f"cannot write {out}: {reason(error)}") from None
        print(f"written: {out}")
    return 0


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    wanted = f"({', '.join(map(str, ('N', *shape)))})"
    if path.suffix.lower() != ".npy":
        return _image(path, shape)
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape:
        raise InputError(
            f"{path} has shape {array.shape}; accepted: {wanted}, as the run's inputs"
        )
    return array


def _image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    from jaxopt_lab.data.image_folder import open_image, resized

    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise InputError(
            f"{path}: the run's inputs have shape {shape}, no picture; give a .npy file"
        )
    picture = open_image(path, colour=shape[-1] == 3)
    if picture.size != (shape[1], shape[0]):
        print(
            f"resized from {picture.size[1]}x{picture.size[0]} to {shape[0]}x{shape[1]}"
        )
        picture = resized(picture, shape[0], shape[1])
    return np.asarray(picture, np.uint8).reshape(1, *shape)


main = command(_predict)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
