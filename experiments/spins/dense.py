r"""Dense Hebbian networks of noisy examples: couplings, fields, one step of retrieval.

A teacher has M examples of each of K archetypes :math:`\xi_\mu`, whose entries are
right with probability :math:`(1 + r)/2`, and stores their averages

.. math::
    \eta_\mu = \frac{1}{M r}\sum_a \xi^{\mu a}, \qquad
    \operatorname{Var}\eta = \rho = \frac{1 - r^2}{M r^2}.

The formulas are ours, checked by simulation in
``experiments.applications.dense_hebbian``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np


def example_noise(examples: float, quality: float) -> float:
    """Variance of a teacher's average beyond its mean of +-1.

    Args:
      examples: M; infinity: none.
      quality: r, in (0, 1].

    Returns:
      rho.

    >>> example_noise(3, 0.5), example_noise(7, 1.0), example_noise(math.inf, 0.1)
    (1.0, 0.0, 0.0)
    """
    return (1 - quality**2) / (examples * quality**2)


def one_step_overlap(noise: float, load: float, power: int) -> float:
    r"""Overlap with the archetype after one update that starts from it, at large N.

    .. math:: m = \operatorname{erf}\Big(\big[2 (\rho + \alpha (2P - 3)!!
        (1 + \rho)^P)\big]^{-1/2}\Big)

    A signal of 1 stands against the noise of the examples and the cross-talk of
    :math:`K = \alpha N^{P - 1}` archetypes.

    Args:
      noise: rho.
      load: alpha.
      power: P, at least 2.

    Returns:
      m, 1 without noise and load.

    >>> one_step_overlap(0.0, 0.0, 4)
    1.0
    """
    both = noise + load * double_factorial(2 * power - 3) * (1 + noise) ** power
    return 1.0 if both == 0 else math.erf((2 * both) ** -0.5)


def double_factorial(n: int) -> int:
    """n (n - 2) (n - 4) ... of an odd number.

    >>> [double_factorial(n) for n in (1, 3, 5)]
    [1, 3, 15]
    """
    return math.prod(range(n, 0, -2))


def teacher_averages(
    rng: np.random.Generator, archetypes: np.ndarray, examples: int, quality: float
) -> np.ndarray:
    """Averages of noisy examples over their quality.

    Args:
      rng: of NumPy.
      archetypes: +-1, any shape.
      examples: M.
      quality: r.

    Returns:
      float32 of the same shape; the archetypes where r is 1.
    """
    right = rng.binomial(examples, (1 + quality) / 2, archetypes.shape)
    mean = (2 * right / examples - 1) / quality
    return (archetypes * mean).astype(np.float32)


def fields(patterns: jax.Array, spins: jax.Array, power: int) -> jax.Array:
    r"""Fields of a dense network without self-terms.

    .. math:: h_i = \sum_\mu \eta_{\mu i} \Big(\frac1N \sum_{j \ne i} \eta_{\mu j} s_j
        \Big)^{P - 1}

    Args:
      patterns: eta, ``(K, N)``.
      spins: s, ``(N,)``.
      power: P.

    Returns:
      ``(N,)``. With zeros the new spins are ``sign(h)``.

    >>> fields(jnp.array([[1.0, 1.0, 1.0]]), jnp.array([1.0, 1.0, -1.0]), 2).tolist()
    [0.0, 0.0, 0.6666666865348816]
    """
    n = len(spins)
    whole = (patterns @ spins)[:, None]
    return jnp.sum(patterns * ((whole - patterns * spins) / n) ** (power - 1), axis=0)
