"""The builder of scikit-learn's digits; importing it imports tensorflow-datasets.

``digits.py`` imports this module when it has to build, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxopt_lab.data.digits_split import held_out_rows


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels, 1,437 to train on.

    The pictures come from scikit-learn (``sklearn.datasets.load_digits``), which has
    them in its package, so nothing is downloaded.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "Raw grey levels 0 to 16, stratified split 1437/360."
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(
                {
                    # No features.Image: encoding one from an array needs TensorFlow.
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()
        images = bunch.images.astype(np.uint8)[..., None]
        labels = bunch.target
        in_test = np.zeros(len(labels), bool)
        in_test[held_out_rows(labels)] = True
        return {
            "train": self._examples(images, labels, np.flatnonzero(~in_test)),
            "test": self._examples(images, labels, np.flatnonzero(in_test)),
        }

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        return self._examples(**kwargs)

    def _examples(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray
    ) -> Iterator[Any]:
        for row in rows:
            yield int(row), {"image": images[row], "label": int(labels[row])}
