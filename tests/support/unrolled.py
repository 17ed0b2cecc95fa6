"""The problem on which the bars of the unroll stand: that of its benchmark."""

from experiments.benchmarks.unroll import (
    adam_start,
    adam_step,
    data,
    loss_fn,
    net,
    outer,
    temporary_bytes,
)

__all__ = [
    "adam_start",
    "adam_step",
    "data",
    "loss_fn",
    "net",
    "outer",
    "temporary_bytes",
]
