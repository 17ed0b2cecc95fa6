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
from jaxopt_lab.training.data.digits import cache_folder, load_digits
from jaxopt_lab.training.data.grain_batches import GrainBatches, evaluation_stream
from jaxopt_lab.training.data.idx import load_fashion_mnist, read_idx
from jaxopt_lab.training.data.mesh_batches import (
    MeshBatches,
    process_rows,
    put_batch,
)
from jaxopt_lab.training.data.text import load_text, read_text, vocabulary
from jaxopt_lab.training.data.tfds_sets import TfdsSources, load_tfds, open_tfds

__all__ = [
    "ArrayBatches",
    "Augment",
    "BatchSource",
    "Dataset",
    "GrainBatches",
    "MeshBatches",
    "TfdsSources",
    "cache_folder",
    "check_images",
    "compose",
    "evaluation_batches",
    "evaluation_stream",
    "flip",
    "image_dataset",
    "load_digits",
    "load_fashion_mnist",
    "load_text",
    "load_tfds",
    "open_tfds",
    "pad_crop",
    "process_rows",
    "put_batch",
    "read_idx",
    "read_text",
    "vocabulary",
]
