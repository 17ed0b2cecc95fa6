"""Few-shot tasks drawn from any labelled set, on the device."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.bilevel.metalearning.task import Task
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core.errors import InputError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ClassPool:
    """A labelled set ordered by class, which may be an argument of ``jit``.

    Attributes:
      examples: the arrays without the labels, leading axis N, in their own order.
      members: int32 ``(classes, largest class)``, indices of the examples of each
        class; -1 after the last one.
      sizes: int32 ``(classes,)``, number of examples of each class.
      label: the name of the labels; static.
      smallest: number of examples of the smallest class; static, so that a task too
        large for it is an error inside ``jit`` too.
    """

    examples: Mapping[str, jax.Array]
    members: jax.Array
    sizes: jax.Array
    label: str = dataclasses.field(metadata={"static": True})
    smallest: int = dataclasses.field(metadata={"static": True})


def split_classes(
    key: jax.Array, num_classes: int, held_out: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Classes to meta-train on, and others to meta-test on, at random.

    Args:
      key: typed key.
      num_classes: number of classes, at least 2.
      held_out: how many are for the test, from 1 to ``num_classes - 1``.

    Returns:
      ``(train, test)``, both sorted, together ``0 .. num_classes - 1``.

    Raises:
      InputError: a number is out of range.

    >>> train, test = split_classes(jax.random.key(0), 10, 4)
    >>> len(train), len(test), sorted(train + test) == list(range(10))
    (6, 4, True)
    """
    arguments.check_positive_count("num_classes", num_classes)
    arguments.check_positive_count("held_out", held_out)
    if held_out >= num_classes:
        raise InputError(
            f"held_out must be less than num_classes = {num_classes}; got {held_out}"
        )
    order = np.asarray(jax.random.permutation(key, num_classes)).tolist()
    return tuple(sorted(order[held_out:])), tuple(sorted(order[:held_out]))


def class_pool(
    examples: Mapping[str, ArrayLike],
    *,
    classes: Sequence[int] | None = None,
    label: str = "label",
) -> ClassPool:
    """A labelled set prepared for ``few_shot_task``.

    Args:
      examples: arrays by name with a common leading axis, such as
        ``{"image": (N, H, W, C), "label": (N,)}``; also a ``Dataset.train``. They are
        put on the device as they are, of all classes.
      classes: labels of the classes to draw from; ``None`` for all that there are.
      label: name of the labels, integers.

    Returns:
      The pool. Memory: the examples, and 4 bytes for each.

    Raises:
      InputError: there are no labels of this name, they are no integers or do not fit
        the other arrays, a class is given twice or has no example.

    >>> pool = class_pool({"x": jnp.arange(5.0), "label": np.array([7, 7, 3, 7, 3])})
    >>> pool.members.tolist(), pool.sizes.tolist()  # of class 3, and of class 7
    ([[2, 4, -1], [0, 1, 3]], [2, 3])
    """
    if label not in examples:
        listed = ", ".join(map(repr, sorted(examples)))
        raise InputError(f"no labels {label!r} in the examples; there: {listed}")
    labels = np.asarray(examples[label])
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels must be integers of one axis; got {labels.dtype}"
            f"{list(labels.shape)}"
        )
    rest = {name: jnp.asarray(x) for name, x in examples.items() if name != label}
    for name, x in rest.items():
        if x.shape[:1] != labels.shape:
            raise InputError(
                f"{name} of shape {x.shape} does not fit {labels.size} labels"
            )
    chosen = np.unique(labels).tolist() if classes is None else list(classes)
    if not chosen or len(set(chosen)) != len(chosen):
        raise InputError(f"classes must be different ones, at least one; got {chosen}")
    where = [np.flatnonzero(labels == c) for c in chosen]
    empty = [c for c, at in zip(chosen, where, strict=True) if not at.size]
    if empty:
        raise InputError(f"no examples of class {', '.join(map(str, empty))}")
    members = np.full((len(chosen), max(at.size for at in where)), -1, np.int32)
    for row, at in zip(members, where, strict=True):
        row[: at.size] = at
    sizes = np.array([at.size for at in where], np.int32)
    smallest = int(sizes.min())
    return ClassPool(rest, jnp.asarray(members), jnp.asarray(sizes), label, smallest)


def few_shot_task(
    key: jax.Array,
    pool: ClassPool,
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
) -> Task:
    """One N-way K-shot task: some classes, and some examples of each.

    The classes are drawn uniformly without replacement and get the labels
    ``0 .. ways - 1`` in the order drawn, so that a label means something else in every
    task. Of each class ``shots + queries`` different examples are drawn uniformly.

    Args:
      key: typed key; the same key gives the same task.
      pool: from ``class_pool``.
      ways: number of classes, N.
      shots: examples of each class to adapt to, K.
      queries: examples of each class for evaluation.

    Returns:
      The task, in batches like the examples of the pool: ``ways * shots`` and
      ``ways * queries`` of them, class by class, labels int32. Under ``vmap`` over
      keys, a batch of tasks.

    Raises:
      InputError: a number is less than 1, there are fewer classes than ``ways``, or
        one of them has fewer examples than are wanted.

    >>> pool = class_pool({"x": jnp.arange(40.0), "label": np.arange(40) % 4})
    >>> task = few_shot_task(jax.random.key(0), pool, ways=3, shots=2, queries=1)
    >>> task.support["label"].tolist(), task.query["x"].shape
    ([0, 0, 1, 1, 2, 2], (3,))
    """
    for name, value in (("ways", ways), ("shots", shots), ("queries", queries)):
        arguments.check_positive_count(name, value)
    wanted = shots + queries
    if ways > pool.sizes.size:
        raise InputError(f"ways = {ways}, but the pool has {pool.sizes.size} classes")
    if wanted > pool.smallest:
        raise InputError(
            f"shots + queries = {wanted}, but a class of the pool has {pool.smallest} "
            "examples"
        )
    of_classes, of_examples = jax.random.split(key)
    chosen = distinct(of_classes, pool.sizes.size, ways)

    def one_class(key: jax.Array, c: jax.Array) -> jax.Array:
        return pool.members[c, distinct(key, pool.sizes[c], wanted)]

    at = jax.vmap(one_class)(jax.random.split(of_examples, ways), chosen)

    def batch(at: jax.Array) -> dict[str, jax.Array]:
        labels = jnp.repeat(jnp.arange(ways, dtype=jnp.int32), at.shape[1])
        taken = {name: x[at.reshape(-1)] for name, x in pool.examples.items()}
        return {**taken, pool.label: labels}

    return Task(batch(at[:, :shots]), batch(at[:, shots:]))


def distinct(key: jax.Array, n: int | jax.Array, k: int) -> jax.Array:
    """``k`` different whole numbers below ``n``, uniformly and in random order.

    In k small steps instead of a permutation of all n: with k of 16 and n of 6000 this
    makes it cheap to draw tasks inside of the training program.

    Args:
      key: typed key.
      n: upper bound, exclusive; may be traced.
      k: how many to draw, static.

    Returns:
      int32 ``(k,)``.

    >>> sorted(distinct(jax.random.key(0), 4, 4).tolist())
    [0, 1, 2, 3]
    """
    # Floyd's algorithm: number i is drawn from the first n - k + i + 1 and, if it is
    # taken already, replaced by the last of these, which cannot be. Every set is
    # equally likely; the order is not, hence the permutation.
    draws, order = jax.random.split(key)
    last = jnp.asarray(n, jnp.int32) - k + jnp.arange(k, dtype=jnp.int32)
    drawn = jax.random.randint(draws, (k,), 0, jnp.maximum(last, 0) + 1, jnp.int32)

    def one(i: int, taken: jax.Array) -> jax.Array:
        again = jnp.any(taken == drawn[i])
        return taken.at[i].set(jnp.where(again, last[i], drawn[i]))

    taken = jax.lax.fori_loop(0, k, one, jnp.full((k,), -1, jnp.int32))
    return jax.random.permutation(order, taken)
