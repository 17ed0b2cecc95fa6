"""Data sets, and the batches made of them.

tensorflow-datasets, grain and scikit-learn are imported where they are used, so that
importing this package loads none of them.
"""

from jaxopt_lab.training.data.augment import compose, flip, pad_crop
from jaxopt_lab.training.data.batches import (
    ArrayBatches,
    Augment,
    BatchSource,
    evaluation_batches,
)
from jaxopt_lab.training.data.dataset import Dataset, check_images, image_dataset

__all__ = [
    "ArrayBatches",
    "Augment",
    "BatchSource",
    "Dataset",
    "check_images",
    "compose",
    "evaluation_batches",
    "flip",
    "image_dataset",
    "pad_crop",
]
