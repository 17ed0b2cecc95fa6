"""Tiny inputs of losses and recipes of generative models."""

from __future__ import annotations

from typing import Any

import numpy as np


def velocities() -> dict[str, Any]:
    """Velocities and displacements of five pairs.

    >>> sorted(velocities())
    ['displacement', 'epsilon', 'outputs', 'perfect']
    """
    rng = np.random.default_rng(0)
    displacement = rng.normal(size=(5, 3))
    outputs = displacement + 0.5 * rng.normal(size=(5, 3))
    pair = {"displacement": displacement, "perfect": displacement}
    return {"outputs": outputs, **pair, "epsilon": 1.5}


def log_densities() -> dict[str, Any]:
    """Log-densities, up to a constant, of four examples and of six noise samples.

    >>> sorted(log_densities())
    ['averaging', 'log_q', 'noise', 'outputs']
    """
    rng = np.random.default_rng(0)
    samples = rng.normal(size=6)
    log_q = -(samples**2) / 2 - 0.5 * np.log(2 * np.pi)
    outputs = rng.normal(size=4)
    noise = -((samples - 0.5) ** 2) / 3
    return {"outputs": outputs, "noise": noise, "log_q": log_q, "averaging": 0.3}


def one_flow() -> dict[str, Any]:
    """A batch of eight points, and the weights of a linear velocity.

    >>> one_flow()["params"]["model"].shape
    (4, 4)
    """
    rng = np.random.default_rng(0)
    batch = {"image": rng.normal(size=(8, 4))}
    params = {"model": rng.normal(size=(4, 4))}
    return {"batch": batch, "params": params, "epsilon": 2.0, "sigma": 0.1}


def vae_and_discriminator() -> dict[str, Any]:
    """A batch of eight patches, and the weights of a linear VAE and discriminator.

    >>> vae_and_discriminator()["params"]["vae"].shape
    (4, 2)
    """
    rng = np.random.default_rng(0)
    params = {"vae": rng.normal(size=(4, 2)), "discriminator": rng.normal(size=(4, 1))}
    weights = {"kl": 0.1, "fool_rebuilt": 0.2, "fool_generated": 0.3}
    return {"batch": {"image": rng.normal(size=(8, 4))}, "params": params, **weights}


def noisy_points() -> dict[str, Any]:
    """Points, noisy ones, and points that hardly determine a covariance.

    >>> sorted(noisy_points()["degenerate"])
    ['constant', 'one example']
    """
    rng = np.random.default_rng(0)
    points = rng.normal(size=(7, 3)) @ rng.normal(size=(3, 3)) + 1
    noisy = {"x": rng.normal(size=(2, 3)), "alpha": np.float64(0.6)}
    degenerate = {
        "constant": {"image": np.full((4, 3), 0.7)},
        "one example": {"image": points[:1]},
    }
    return {"data": {"image": points}, "inputs": noisy, "degenerate": degenerate}
