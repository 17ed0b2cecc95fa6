"""Targets of pixels, instances of an output, and their score."""

from __future__ import annotations

import numpy as np

from experiments.applications import canvases
from experiments.applications.canvases import Canvases
from experiments.applications.instance_robustness.network import UNIT

STRIDE = 2
_HEAT = 2.0  # deviation of the map of a centre, in pixels
_LEAST = 0.3  # of a peak of centres


def pixels(size: int) -> np.ndarray:
    """Places of the output's pixels on a canvas, ``(n, n, 2)``."""
    at = np.arange(1, size, STRIDE)
    return np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).astype(np.float32)


def owners(drawn: Canvases) -> np.ndarray:
    """The object of each of the output's pixels, -1 for none."""
    return drawn.owners[:, 1::STRIDE, 1::STRIDE]


def targets(drawn: Canvases) -> dict[str, np.ndarray]:
    """Images, classes of pixels, offsets to their centres, and maps of the centres."""
    own, places = owners(drawn), pixels(drawn.images.shape[1])
    take = np.maximum(own, 0)
    n = np.arange(len(own))[:, None, None]
    centres = drawn.boxes[n, take, :2]
    far = np.sum(
        (places[None, :, :, None] - drawn.boxes[:, None, None, :, :2]) ** 2, -1
    )
    far = np.where(drawn.labels[:, None, None] >= 0, far, np.inf)
    return {
        "images": drawn.images[..., None],
        "classes": np.where(own >= 0, drawn.labels[n, take], -1).astype(np.int32),
        "offsets": ((centres - places) / UNIT).astype(np.float32),
        "heat": np.exp(-far.min(axis=-1) / (2 * _HEAT**2)).astype(np.float32),
    }


def peaks(heat: np.ndarray) -> np.ndarray:
    """Pixels that no neighbour exceeds, from the least height on; ``(k, 2)``."""
    padded = np.pad(heat, 1, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return np.argwhere((heat >= windows.max(axis=(2, 3))) & (heat >= _LEAST))


def instances(output: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The instance of each pixel of one image, -1 for none, and their classes.

    A pixel goes to the peak of centres that is nearest to where its offset points; the
    class of an instance is that of the mean of its pixels' logits.
    """
    found = np.full(output.shape[:2], -1)
    heat = 1 / (1 + np.exp(-output[..., 1]))
    at = peaks(heat)
    there = output[..., 0] > 0
    if not len(at) or not there.any():
        return found, []
    places = pixels(output.shape[0] * STRIDE)
    pointed = (places + UNIT * output[..., 2:4])[there]
    far = np.sum((pointed[:, None] - places[at[:, 0], at[:, 1]][None]) ** 2, axis=-1)
    found[there] = np.argmin(far, axis=1)
    names, labels = np.unique(found[there]), []
    for new, name in enumerate(names):
        mask = found == name
        labels.append(int(np.argmax(output[mask][:, 4:].mean(axis=0))))
        found[mask] = new
    return found, labels


def score(outputs: np.ndarray, drawn: Canvases) -> float:
    """F1 of instances: intersection over union above a half, and the class.

    Args:
      outputs: ``(n, h, w, outputs)``.
      drawn: the canvases.

    Returns:
      The score of all canvases together.
    """
    right = found = 0
    for output, own, labels in zip(outputs, owners(drawn), drawn.labels, strict=True):
        parts, classes = instances(output)
        found += len(classes)
        # Above a half no two instances meet the same object.
        for i, label in enumerate(classes):
            mask = parts == i
            for j in np.unique(own[mask]):
                if j < 0 or labels[j] != label:
                    continue
                object_ = own == j
                both = np.sum(mask & object_)
                right += int(both / np.sum(mask | object_) > 0.5)
    return canvases.f1(right, found, int(np.sum(drawn.labels >= 0)))
