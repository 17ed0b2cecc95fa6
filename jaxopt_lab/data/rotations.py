"""RotNet's pretext task: images turned by quarters, and the number of the turn."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.data.batches import Augment


def rotations(
    turns: Annotated[int, Interval(1, 4)] = 4,
    *,
    every: bool = True,
    entry: str = "rotation",
) -> Augment:
    r"""Turn images counter-clockwise by quarters and say by how many.

    Image b becomes, for every k below ``turns`` or for one k of its own,

    .. math::
        x_{b,k} = \mathrm{rot}_{90}^k(x_b), \qquad y_{b,k} = k.

    Args:
      turns: number of different turns, 1 to 4: k = 0 .. turns - 1. 1 changes nothing,
        and then ``entry`` is not written.
      every: all turns of each image, one after the other in the batch, so that equal
        parts of the batch keep the turns of an image together; ``False``: one turn of
        each image, drawn uniformly.
      entry: where k goes, int32. ``"label"`` makes it the target of a classifier, as
        in the paper; otherwise labels stay those of the images.

    Returns:
      ``(key, batch) -> batch``, on square images ``(B, H, H, ...)``. With ``every`` the
      batch has ``turns * B`` examples: the other entries whose leading axis is B are
      repeated, too, and the key is not used. Pixels are moved, never computed.

    Raises:
      InputError: ``turns`` is none of 1 to 4; at the call, there are no images, or they
        are not square.

    >>> batch = {"image": jnp.arange(4).reshape(1, 2, 2)}
    >>> turned = rotations()(jax.random.key(0), batch)
    >>> turned["image"][1].tolist(), turned["rotation"].tolist()
    ([[1, 3], [0, 2]], [0, 1, 2, 3])

    Cost: memory for ``turns`` copies of the images.

    Source: Gidaris, Singh and Komodakis, "Unsupervised Representation Learning by
    Predicting Image Rotations", arXiv:1803.07728.
    """
    check_arguments(rotations, locals())

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image",), "turn")
        images = jnp.asarray(batch["image"])
        if images.ndim < 3 or images.shape[1] != images.shape[2]:
            raise InputError(
                f"images to turn have shape {images.shape}; accepted: (B, H, H, ...)"
            )
        if turns == 1:
            return batch
        count = images.shape[0]
        turned = jnp.stack(
            [jnp.rot90(images, k, axes=(1, 2)) for k in range(turns)], axis=1
        )
        if not every:
            k = jax.random.randint(key, (count,), 0, turns, jnp.int32)
            rows = jnp.arange(count, dtype=jnp.int32)
            return {**batch, "image": turned[rows, k], entry: k}

        def repeated(x: jax.Array) -> jax.Array:
            alike = jnp.shape(x)[:1] == (count,)
            return jnp.repeat(x, turns, axis=0) if alike else x

        others = {name: jax.tree.map(repeated, x) for name, x in batch.items()}
        image = turned.reshape(turns * count, *images.shape[1:])
        k = jnp.tile(jnp.arange(turns, dtype=jnp.int32), count)
        return {**others, "image": image, entry: k}

    return transform
