"""Classifiers as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.classifier.local_similarity import local_similarity_classifier
from jaxopt_lab.layers.nnx_module import BatchedLayer


class LocalSimilarityClassifier(BatchedLayer):
    """Classifier by local similarity to several proxies a class, as an nnx module.

    >>> from flax import nnx
    >>> module = LocalSimilarityClassifier(4, out=3, proxies=2, rngs=nnx.Rngs(0))
    >>> module.proxies.shape
    (3, 2, 4)
    """

    make = staticmethod(local_similarity_classifier)
