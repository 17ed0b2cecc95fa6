"""A network and data for the lab's commands that compile in a moment."""

import numpy as np
from flax import nnx

WORDS = ["task=support.tiny_lab:data", "model=support.tiny_lab:Net", "batch_size=8"]


def data():
    """Forty examples of three classes to train on, ten to test on."""
    random = np.random.default_rng(0)
    label = np.arange(50) % 3
    x = (
        random.normal(size=(50, 4)).astype("float32")
        + np.eye(4, dtype="float32")[label]
    )
    return (x[:40], label[:40]), (x[40:], label[40:])


class Net(nnx.Module):
    """Two layers; normal weights, for XLA takes seconds to compile truncated ones."""

    def __init__(self, in_features, num_classes, width: int = 5, *, rngs):
        draw = nnx.initializers.normal(0.5)
        self.hidden = nnx.Linear(in_features, width, kernel_init=draw, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, kernel_init=draw, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.tanh(self.hidden(x)))
