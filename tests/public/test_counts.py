"""Counts of functions that are no rows: whole numbers, or one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data.augment import pad_crop
from jaxopt_lab.data.class_variants import class_variants
from jaxopt_lab.data.exemplars import herding
from jaxopt_lab.diagnostics.denoising.sampler import linear_alphas
from jaxopt_lab.layers.classifier.growing import class_means
from jaxopt_lab.layers.conv.pixel_shuffle import pixel_shuffle, pixel_unshuffle
from jaxopt_lab.metrics.dual_bank import inverted_softmax, recall_at
from jaxopt_lab.recipes.replay_memory import empty_memory
from jaxopt_lab.search.program_text import hashed_ngrams

X, IMAGES = np.ones((4, 2), np.float32), np.ones((2, 4, 4, 4), np.float32)
LABELS = np.array([0, 1, 0, 1])
CALLS = {
    "pad": lambda n: pad_crop(n),
    "count of variants": lambda n: class_variants(
        jax.random.key(0), X, LABELS, count=n
    ),
    "count of exemplars": lambda n: herding(jnp.asarray(X), n),
    "count of alphas": lambda n: linear_alphas(n),
    "classes": lambda n: class_means(X, LABELS, n),
    "factor": lambda n: pixel_shuffle(IMAGES, n),
    "factor back": lambda n: pixel_unshuffle(IMAGES, n),
    "dynamic_top_k": lambda n: inverted_softmax(X, X, dynamic_top_k=n),
    "capacity": lambda n: empty_memory({"label": LABELS}, n),
    "size": lambda n: hashed_ngrams("abc", n, 2),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("count", [-1, 2.5, True, "2"])
def test_a_count_is_a_whole_number(name, count):
    words = "out of range|must be a whole number"
    with pytest.raises(InputError, match=f"^{name.split()[0]}.*({words})"):
        CALLS[name](count)


@pytest.mark.parametrize("targets", [[0, 7], [0, -1], [0.0, 1.0]])
def test_a_retrieved_item_is_there(targets):
    with pytest.raises(InputError, match="^targets must be "):
        recall_at(jnp.ones((2, 3)), np.array(targets), ks=(1,))
