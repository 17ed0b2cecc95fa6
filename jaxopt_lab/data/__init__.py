"""Data sets and their batches.

tensorflow-datasets, grain and scikit-learn are imported where they are used, so that
importing this package loads none of them.
"""

from jaxopt_lab.core.typing import BatchSource
from jaxopt_lab.data.augment import compose, flip, pad_crop
from jaxopt_lab.data.batch_styles import batch_styles, standardise_styles
from jaxopt_lab.data.batches import ArrayBatches, Augment, evaluation_batches
from jaxopt_lab.data.class_variants import class_variants
from jaxopt_lab.data.corruptions import CORRUPTIONS, corrupt, corruption
from jaxopt_lab.data.cutmix import cutmix
from jaxopt_lab.data.dataset import Dataset, check_images, image_dataset
from jaxopt_lab.data.digits import cache_folder, load_digits
from jaxopt_lab.data.erase import erase
from jaxopt_lab.data.example_noise import example_noise
from jaxopt_lab.data.exemplars import herding
from jaxopt_lab.data.grain_batches import GrainBatches, evaluation_stream
from jaxopt_lab.data.idx import load_fashion_mnist, read_idx
from jaxopt_lab.data.image_folder import load_image_folder
from jaxopt_lab.data.masked_spans import (
    CorruptedText,
    SpanTokens,
    corrupt_spans,
    corrupted_length,
)
from jaxopt_lab.data.mesh_batches import MeshBatches, process_rows, put_batch
from jaxopt_lab.data.min_hashes import jaccard, minhash
from jaxopt_lab.data.mixture import MixtureBatches, MixtureRows, MixtureSampler
from jaxopt_lab.data.mixup import mixup
from jaxopt_lab.data.near_duplicates import (
    Deduplicated,
    band_groups,
    deduplicate,
    exact_overlap,
    hit_probability,
)
from jaxopt_lab.data.own import as_dataset, load_npz
from jaxopt_lab.data.recombine import composite, recombine
from jaxopt_lab.data.restored_spans import restore_spans
from jaxopt_lab.data.rotations import rotations
from jaxopt_lab.data.span_corruption import next_tokens, span_corruption
from jaxopt_lab.data.text import load_text, read_text, vocabulary
from jaxopt_lab.data.tfds_sets import TfdsSources, load_tfds, open_tfds
from jaxopt_lab.data.views import same_views, views

__all__ = [
    "CORRUPTIONS",
    "ArrayBatches",
    "Augment",
    "BatchSource",
    "CorruptedText",
    "Dataset",
    "Deduplicated",
    "GrainBatches",
    "MeshBatches",
    "MixtureBatches",
    "MixtureRows",
    "MixtureSampler",
    "SpanTokens",
    "TfdsSources",
    "as_dataset",
    "band_groups",
    "batch_styles",
    "cache_folder",
    "check_images",
    "class_variants",
    "compose",
    "composite",
    "corrupt",
    "corrupt_spans",
    "corrupted_length",
    "corruption",
    "cutmix",
    "deduplicate",
    "erase",
    "evaluation_batches",
    "evaluation_stream",
    "exact_overlap",
    "example_noise",
    "flip",
    "herding",
    "hit_probability",
    "image_dataset",
    "jaccard",
    "load_digits",
    "load_fashion_mnist",
    "load_image_folder",
    "load_npz",
    "load_text",
    "load_tfds",
    "minhash",
    "mixup",
    "next_tokens",
    "open_tfds",
    "pad_crop",
    "process_rows",
    "put_batch",
    "read_idx",
    "read_text",
    "recombine",
    "restore_spans",
    "rotations",
    "same_views",
    "span_corruption",
    "standardise_styles",
    "views",
    "vocabulary",
]
