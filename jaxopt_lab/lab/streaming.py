"""Large image sets, read and resized as the training needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_lab.core.typing import Batch
from jaxopt_lab.data import BatchSource
from jaxopt_lab.lab.run_options import RunOptions

_TEST_BATCH = 100


class Resize:
    """An example with its image cut to a square and brought to one size.

    Args:
      size: pixels a side of the result.
      crop: cut a random part of at least 25 % of the area with a ratio of 3/4 to 4/3,
        instead of the central square.
      flip: mirror every second image, at random.
    """

    def __init__(self, size: int, crop: bool = False, flip: bool = False):
        self._size, self._crop, self._flip = size, crop, flip

    def __call__(
        self, example: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> dict[str, Any]:
        from PIL import Image

        image = np.asarray(example["image"])
        height, width = image.shape[:2]
        box = _central(height, width)
        if self._crop and rng is not None:
            box = _random_part(height, width, rng)
        squeezed = image[..., 0] if image.shape[-1] == 1 else image
        resized = Image.fromarray(squeezed).resize(
            (self._size, self._size), Image.Resampling.BILINEAR, box=box
        )
        pixels = np.asarray(resized).reshape(self._size, self._size, -1)
        if self._flip and rng is not None and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        return {**example, "image": np.ascontiguousarray(pixels)}


Box = tuple[float, float, float, float]


def _central(height: int, width: int) -> Box:
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)


def _random_part(height: int, width: int, rng: np.random.Generator) -> Box:
    area = height * width * rng.uniform(0.25, 1.0)
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w = min(float(np.sqrt(area * ratio)), float(width))
    h = min(float(np.sqrt(area / ratio)), float(height))
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return (left, top, left + w, top + h)


def stream(
    run: RunOptions, name: str, folder: Path
) -> tuple[
    int,
    tuple[int, ...],
    Callable[[range | None], BatchSource],
    Callable[[], Iterable[Batch]],
]:
    """Open a set of TFDS for training from its folder.

    Args:
      run: names the image size, the batch size, the seeds and the workers.
      name: name of the set.
      folder: where it was prepared.

    Returns:
      Number of classes, shape of an image, and makers of training and test batches.

    Raises:
      InputError: the set is not there or damaged.
    """
    from jaxopt_lab.data.grain_batches import GrainBatches, evaluation_stream
    from jaxopt_lab.data.tfds_sets import open_tfds

    sources = open_tfds(name, folder)
    channels = sources.input_shape[-1] or 3
    seeds = range(run.seed, run.seed + run.seeds)

    def train(rows: range | None) -> BatchSource:
        return GrainBatches(
            sources.train,
            run.batch_size,
            list(seeds) if run.seeds > 1 else run.seed,
            rows=rows,
            transform=Resize(
                run.image_size, "crop" in run.augment, "flip" in run.augment
            ),
            num_workers=run.workers,
        )

    test = evaluation_stream(
        sources.test, _TEST_BATCH, transform=Resize(run.image_size)
    )
    return sources.num_classes, (run.image_size,) * 2 + (channels,), train, test
