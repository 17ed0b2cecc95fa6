"""Agreement of networks with denoisers in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.denoiser_locality.config import Config
from experiments.studies.denoiser_locality.networks import denoised
from experiments.studies.programs import digits
from jaxopt_lab.diagnostics.denoising import (
    denoising_agreement,
    fit_wiener,
    local_denoise,
    local_masks,
    optimal_denoise,
    wiener_denoise,
    wiener_filter,
)

_KNOWN = 1e-3
"""Weight of a pixel in its own filter from which on it varies in the data."""


class Measured(NamedTuple):
    """Everything that is measured, with the pixels in order and shuffled.

    Attributes:
      agreement: of the networks with ``"optimal"``, ``"wiener"`` and ``"local"``,
        ``(2, levels, seeds)``.
      squares: with square patches, ``(radii, 2, levels, seeds)``.
      correlation: of the rows of the derivatives with those of the Wiener filter,
        means over pixels that vary, ``(2, middle, seeds)``.
    """

    agreement: dict[str, np.ndarray]
    squares: np.ndarray
    correlation: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Train the networks and compare what they denoise; see ``Experiment.measure``."""
    found = store.group("runs").measured("all", lambda: _measured(config))
    names = "optimal", "wiener", "local"
    agreement = {name: found[name] for name in names}
    return Measured(agreement, found["squares"], found["correlation"])


def patches(side: int, radius: int) -> np.ndarray:
    """Masks of square patches around every pixel.

    Args:
      side: of the images.
      radius: pixels to each side; the border cuts patches off.

    Returns:
      float32, ``(pixels, pixels)``, 0 or 1.

    >>> patches(3, 1).sum(axis=1).tolist()
    [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]
    """
    at = np.stack(np.divmod(np.arange(side * side), side), axis=1)
    apart = np.abs(at[:, None] - at[None]).max(axis=-1)
    return (apart <= radius).astype(np.float32)


def correlations(found: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Correlations of rows with those of a filter, means over pixels that vary.

    Args:
      found: ``(..., pixels, pixels)``.
      filters: ``(pixels, pixels)``.

    Returns:
      ``(...)``.
    """
    vary = np.diag(filters) > _KNOWN
    a, b = (x[..., vary, :] for x in (found, filters))
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (a, b))
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.mean(np.sum(a * b, axis=-1) / norms, axis=-1)


def _measured(config: Config) -> dict[str, np.ndarray]:
    train, test = digits()
    data, clean = 2 * train.inputs - 1, 2 * test.inputs[: config.test] - 1
    noise = (
        np.random.default_rng(0)
        .normal(size=(len(config.alphas), *clean.shape))
        .astype(np.float32)
    )
    a = np.asarray(config.alphas, np.float32)[:, None, None]
    noisy = np.sqrt(a) * np.asarray(clean)[None] + np.sqrt(1 - a) * noise
    squares = np.stack([patches(8, radius) for radius in config.radii])
    forms, filters = jax.device_get(
        jax.jit(lambda *given: _closed(config, *given))(
            data[: config.data], jnp.asarray(noisy), jnp.asarray(squares)
        )
    )
    images, slopes = denoised(config, data, jnp.asarray(noisy))

    # By arm, level and seed; of the closed form by level.
    by_seed = jax.vmap(denoising_agreement, (None, -1))
    by_level = jax.vmap(by_seed, (0, 0))
    agree = jax.jit(jax.vmap(by_level, (None, 0)))
    found = {n: np.asarray(agree(forms[n], images)) for n in forms if n != "squares"}
    found["squares"] = np.stack([agree(one, images) for one in forms["squares"]])
    places = list(config.middle)
    found["correlation"] = np.stack(
        [
            correlations(np.moveaxis(slopes[:, i], -1, 1), filters[place])
            for i, place in enumerate(places)
        ],
        axis=1,
    )
    return found


def _closed(
    config: Config, data: jax.Array, noisy: jax.Array, squares: jax.Array
) -> Any:
    """Denoised images of the closed forms, and the filters, by level."""
    fitted = fit_wiener({"image": data})

    def one(given: tuple[jax.Array, jax.Array]) -> Any:
        x, alpha = given
        own = local_masks(fitted, alpha, threshold=config.threshold)
        masks = jnp.concatenate([own[None], squares])
        local = jax.lax.map(lambda m: local_denoise(data, m, x, alpha), masks)
        forms = {
            "optimal": optimal_denoise(data, x, alpha),
            "wiener": wiener_denoise(fitted, {"x": x, "alpha": alpha}),
            "local": local[0],
            "squares": local[1:],
        }
        return forms, wiener_filter(fitted, alpha)

    forms, filters = jax.lax.map(one, (noisy, jnp.asarray(config.alphas)))
    forms["squares"] = jnp.swapaxes(forms["squares"], 0, 1)
    return forms, filters
