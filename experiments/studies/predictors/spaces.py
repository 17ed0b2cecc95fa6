"""Three spaces of small networks: plain ones for texts, masked ones to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ACTIVATIONS = (jax.nn.relu, jnp.tanh, jax.nn.sigmoid, lambda x: x)
WIDEST, DEEPEST, TOKENS, HEADS = 32, 3, 8, 4
CLASSES = 10
_WINDOW = 4
Sizes = Mapping[str, Any]


class Space(NamedTuple):
    """A space of networks on 64 pixels.

    Attributes:
      choices: values by name.
      shapes: ``shapes(arch)``, shapes of the parameters of a network by name.
      plain: ``plain(arch, params, x)``, the network of whole numbers.
      masked: ``masked(arch, params, x)``, the same in the largest shapes, ``arch``
        traced.
    """

    choices: Mapping[str, tuple[int, ...]]
    shapes: Callable[[Sizes], dict[str, tuple[int, ...]]]
    plain: Callable[[Sizes, Any, jax.Array], jax.Array]
    masked: Callable[[Sizes, Any, jax.Array], jax.Array]


def draw(space: Space, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Networks of a space.

    Args:
      space: the space.
      rng: random numbers.
      count: of networks.

    Returns:
      ``(count,)`` int32 by name of the choice.
    """
    return {
        name: rng.choice(np.array(values, np.int32), count)
        for name, values in space.choices.items()
    }


def _activated(arch: Sizes, x: jax.Array) -> jax.Array:
    if isinstance(arch["activation"], int):
        return ACTIVATIONS[arch["activation"]](x)
    return jax.lax.switch(arch["activation"], ACTIVATIONS, x)


def _open(width: Any) -> jax.Array:
    return (jnp.arange(WIDEST) < width).astype(jnp.float32)


def _mlp_shapes(arch: Sizes) -> dict[str, tuple[int, ...]]:
    sizes = [64] + [arch["width"]] * arch["depth"]
    found = {f"w{i}": (sizes[i], sizes[i + 1]) for i in range(arch["depth"])}
    return {**found, "head": (sizes[-1], CLASSES)}


def _mlp(arch: Sizes, p: Any, x: jax.Array) -> jax.Array:
    for i in range(arch["depth"]):
        x = _activated(arch, x @ p[f"w{i}"])
    return x @ p["head"]


def _masked_mlp(arch: Sizes, p: Any, x: jax.Array) -> jax.Array:
    open_ = _open(arch["width"])
    for i in range(DEEPEST):
        y = _activated(arch, x @ p[f"w{i}"]) * open_
        x = jnp.where(i < arch["depth"], y, x) if i else y
    return x @ p["head"]


def _patch_shapes(arch: Sizes) -> dict[str, tuple[int, ...]]:
    k, width = arch["kernel"], arch["width"]
    return {
        "w0": (k * k, width),
        "w1": (width, width),
        "head": (width, CLASSES),
    }


def _pooled(arch: Sizes, x: jax.Array, traced: bool) -> jax.Array:
    if not traced:
        return jnp.max(x, axis=1) if arch["pool"] else jnp.mean(x, axis=1)
    return jnp.where(arch["pool"], jnp.max(x, axis=1), jnp.mean(x, axis=1))


def _patches(arch: Sizes, p: Any, x: jax.Array) -> jax.Array:
    k = arch["kernel"]
    kernel = p["w0"].reshape(k, k, 1, -1)
    x = jax.lax.conv_general_dilated(
        x.reshape(-1, 8, 8, 1),
        kernel,
        (2, 2),
        [(1, k - 3)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x = _activated(arch, x.reshape(x.shape[0], 16, -1))
    return _pooled(arch, _activated(arch, x @ p["w1"]), False) @ p["head"]


def windows(x: jax.Array) -> jax.Array:
    """Windows of 4 x 4 pixels at steps of two.

    Args:
      x: ``(B, 64)``.

    Returns:
      ``(B, 16, 16)``: windows, then pixels.
    """
    padded = jnp.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    parts = [
        padded[:, i : i + 7 : 2, j : j + 7 : 2].reshape(-1, 16)
        for i in range(_WINDOW)
        for j in range(_WINDOW)
    ]
    return jnp.stack(parts, axis=-1)


def _masked_patches(arch: Sizes, p: Any, x: jax.Array) -> jax.Array:
    places = jnp.arange(_WINDOW * _WINDOW)
    inside = jnp.maximum(places // _WINDOW, places % _WINDOW) < arch["kernel"]
    open_ = _open(arch["width"])
    y = _activated(arch, (windows(x) * inside) @ p["w0"]) * open_
    y = _activated(arch, y @ p["w1"]) * open_
    return _pooled(arch, y, True) @ p["head"]


def _attention_shapes(arch: Sizes) -> dict[str, tuple[int, ...]]:
    d = arch["width"]
    found = {"embed": (TOKENS, d), "q": (d, d), "k": (d, d), "v": (d, d)}
    found |= {"mlp": (d, d)} if arch["mlp"] else {}
    return {**found, "place": (TOKENS, d), "head": (d, CLASSES)}


def _attention(arch: Sizes, p: Any, x: jax.Array) -> jax.Array:
    heads = arch["heads"]
    x = x.reshape(-1, TOKENS, TOKENS) @ p["embed"] + p["place"]
    split = lambda m: (x @ m).reshape(-1, TOKENS, heads, p["q"].shape[0] // heads)
    q, k, v = (split(p[n]) for n in "qkv")
    z = jnp.einsum("bihd,bjhd->bhij", q, k) / q.shape[-1] ** 0.5
    y = jnp.einsum("bhij,bjhd->bihd", jax.nn.softmax(z), v)
    x = x + y.reshape(x.shape)
    if arch["mlp"]:
        x = x + _activated(arch, x @ p["mlp"])
    return jnp.mean(x, axis=1) @ p["head"]


def _masked_attention(arch: Sizes, p: Any, x: jax.Array) -> jax.Array:
    open_ = _open(arch["width"])
    own = arch["width"] // arch["heads"]
    head_of = jnp.arange(WIDEST) // own
    heads = (head_of[None] == jnp.arange(HEADS)[:, None]) * open_
    x = (x.reshape(-1, TOKENS, TOKENS) @ p["embed"] + p["place"]) * open_
    q, k, v = (x @ p[n] for n in "qkv")
    z = jnp.einsum("bid,bjd,hd->bhij", q, k, heads) / jnp.sqrt(own)
    x = x + jnp.einsum("bhij,bjd,hd->bid", jax.nn.softmax(z), v, heads)
    more = _activated(arch, x @ p["mlp"]) * open_
    x = x + jnp.where(arch["mlp"], more, 0)
    return jnp.mean(x, axis=1) @ p["head"]


_ANY = tuple(range(len(ACTIVATIONS)))
SPACES: Mapping[str, Space] = {
    "dense": Space(
        {"depth": (1, 2, 3), "width": (2, 4, 8, 16, 32), "activation": _ANY},
        _mlp_shapes,
        _mlp,
        _masked_mlp,
    ),
    "windows": Space(
        {
            "kernel": (2, 3, 4),
            "width": (2, 4, 8, 16, 32),
            "activation": _ANY,
            "pool": (0, 1),
        },
        _patch_shapes,
        _patches,
        _masked_patches,
    ),
    "attention": Space(
        {
            "width": (4, 8, 16, 32),
            "heads": (1, 2, 4),
            "mlp": (0, 1),
            "activation": _ANY,
        },
        _attention_shapes,
        _attention,
        _masked_attention,
    ),
}
LARGEST: Mapping[str, Sizes] = {
    "dense": {"depth": DEEPEST, "width": WIDEST},
    "windows": {"kernel": _WINDOW, "width": WIDEST},
    "attention": {"width": WIDEST, "mlp": 1},
}


def initial(
    key: jax.Array, name: str, arch: Sizes, dtype: Any = jnp.float32
) -> dict[str, jax.Array]:
    """Parameters in the largest shapes, of the variance of a network's own inputs.

    Args:
      key: PRNG key.
      name: of the space.
      arch: the network, traced or not.
      dtype: of the parameters.

    Returns:
      Arrays by name; entries outside of the network do not matter.
    """
    inputs = {"w0": 64, "embed": TOKENS, "place": 1}
    if name == "windows":
        inputs["w0"] = arch["kernel"] ** 2
    shapes = SPACES[name].shapes(LARGEST[name])
    found = {}
    for i, (part, shape) in enumerate(shapes.items()):
        own = jax.random.normal(jax.random.fold_in(key, i), shape, dtype)
        found[part] = own / jnp.sqrt(
            jnp.asarray(inputs.get(part, arch["width"]), dtype)
        )
    return found


def sliced(params: Any, name: str, arch: Sizes) -> dict[str, Any]:
    """The parameters of a plain network out of the largest ones.

    Args:
      params: of ``initial``.
      name: of the space.
      arch: the network, of whole numbers.

    Returns:
      Arrays by name.
    """
    found = {}
    for part, shape in SPACES[name].shapes(arch).items():
        whole = params[part]
        if name == "windows" and part == "w0":
            k = arch["kernel"]
            square = whole.reshape(_WINDOW, _WINDOW, -1)[:k, :k]
            whole = square.reshape(k * k, -1)
        found[part] = whole[: shape[0], : shape[1]]
    return found
