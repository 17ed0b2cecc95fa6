"""A cross-entropy whose gradients are counted where the program evaluates them."""

import jax
import optax

evaluated = [0]
"""Gradients evaluated so far, of every seed."""


@jax.custom_vjp
def loss(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def _forward(logits, labels):
    return loss(logits, labels), (logits, labels)


def _backward(kept, cotangent):
    logits, labels = kept

    def count(_):
        evaluated[0] += 1

    jax.debug.callback(count, logits[0, 0])
    change = jax.nn.softmax(logits) - jax.nn.one_hot(
        labels, logits.shape[-1], dtype=logits.dtype
    )
    return cotangent[:, None] * change, None


loss.defvjp(_forward, _backward)
